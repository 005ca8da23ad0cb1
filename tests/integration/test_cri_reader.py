"""The thread `cri` from a runtime's socket to the link: names while NRI is away, states with sentences, and nothing fatal."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fakes.cri_peer import PeerState, bytes_field, prefixed
from fakes.cri_runtime import CriRuntime
from fakes.other_user import as_other_user
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.model.timebase import MS, S
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import (
    ContainerState,
    LinkState,
    PodStarted,
    RuntimeContainer,
    RuntimePod,
    RuntimeWire,
)
from workers.control_plane.container_runtime.link import RuntimeLink
from workers.control_plane.cri.message import (
    CONTAINERD_EVENTS,
    CRI_EVENTS,
    LIST_CONTAINERS,
    LIST_SANDBOXES,
    VERSION,
    VERSION_ALPHA,
)
from workers.control_plane.cri.reader import CriReader

# No test waits for it: what changes sooner was brought by an event or by a new connection.
NEVER_NS = 3_600 * S
# The best of so many is judged where a time is promised.
TRIES = 5
POD = RuntimePod("a" * 64, "uid-a", namespace="shop", name="web-0", labels={"app": "web"})
CONTAINER = RuntimeContainer("c" * 64, POD.sandbox_id, name="main", state=ContainerState.RUNNING)


class _ToldLink(RuntimeLink):
    """A link that keeps each state of CRI that it was told, with the pods that it knew then: the next one may be told before
    anybody looks."""

    def __init__(self) -> None:
        super().__init__(Binder([]))
        self.told: list[tuple[LinkState, list[str]]] = []

    def tell_state(self, state: LinkState) -> None:
        if state.wire is RuntimeWire.CRI:
            self.told.append((state, self.names()))
        super().tell_state(state)

    def names(self) -> list[str]:
        """The names of the pods that are known."""
        return sorted(known.pod.name for known in self.pods().values())


class Heard:
    """A link, and the states of CRI that were reported to it."""

    def __init__(self) -> None:
        self.link = _ToldLink()

    def wait_state(self, condition: Callable[[LinkState], object], what: str, *, since: int = 0) -> LinkState:
        """The first state that fits, among all but the first `since`."""
        return wait_until(lambda: next((state for state, _names in self.link.told[since:] if condition(state)), None), what)

    def wait_pods(self, *names: str) -> None:
        """Exactly these pods are known, by their names."""
        wait_until(lambda: self.link.names() == sorted(names), f"pods {names}")


@contextmanager
def reading(heard: Heard, path: Path | str, interval_ns: int = NEVER_NS, call_ns: int = 5 * S) -> Iterator[CriReader]:
    """A reader that runs until the end of the block."""
    reader = CriReader(heard.link, SystemClock(), socket_path=str(path), interval_ns=interval_ns, call_ns=call_ns)
    reader.start()
    try:
        yield reader
    finally:
        began = time.monotonic()
        reader.stop()
        assert time.monotonic() - began < 1
        wait_until(lambda: not reader._thread.is_alive(), "the thread has ended")


def test_pods_that_run_already_are_named(tmp_path: Path) -> None:
    """With namespace, labels and containers, and the runtime's own name beside them."""
    heard = Heard()
    with CriRuntime(str(tmp_path / "s"), PeerState(pods=[POD], containers=[CONTAINER])), reading(heard, tmp_path / "s") as reader:
        state = heard.wait_state(lambda state: state.is_connected, "a connection")
        known = heard.link.pods()["uid-a"]
        assert (state.runtime, known.pod, known.containers) == ("containerd 1.7.24", POD, (CONTAINER,))
        stats = reader.stats()
    assert (stats["sandboxes"], stats["containers"], stats["lists"], stats["left_out"]) == (1, 1, 1, 0)


@pytest.mark.parametrize(("name", "method"), [("containerd", CONTAINERD_EVENTS), ("cri-o", CRI_EVENTS)])
def test_an_event_brings_a_new_pod_within_a_second(tmp_path: Path, name: str, method: str) -> None:
    """Long before the interval; of containerd its own events are taken and never those that the kubelet needs."""
    heard = Heard()
    with CriRuntime(str(tmp_path / "s"), PeerState(name=name)) as runtime, reading(heard, tmp_path / "s") as reader:
        heard.wait_state(lambda state: state.is_connected, "a connection")
        wait_until(lambda: runtime.streams, "a stream of events")
        took_seconds: list[float] = []
        # After a list that took long, on a machine that stood still, the next early one comes later.
        while len(took_seconds) < TRIES and min(took_seconds, default=1) >= 1:
            name = f"web-{len(took_seconds)}"
            runtime.state.pods.append(RuntimePod(f"{len(took_seconds):064x}", f"uid-{name}", name=name))
            began = time.monotonic()
            runtime.emit()
            heard.wait_pods(*(pod.name for pod in runtime.state.pods))
            took_seconds.append(time.monotonic() - began)
        assert min(took_seconds) < 1
        wait_until(lambda: reader.stats()["events"] == len(took_seconds), "counted events")
        assert runtime.state.calls[:2] == [VERSION, method]
        assert not {CRI_EVENTS, CONTAINERD_EVENTS} - {method} & set(runtime.state.calls)


def test_a_pod_that_is_listed_late_is_found_by_the_settled_list(tmp_path: Path) -> None:
    """Its event comes before the runtime shows it: containerd waits for its plugins in between."""
    heard, pods = Heard(), _LateList([POD])
    with CriRuntime(str(tmp_path / "s"), PeerState(pods=pods)) as runtime, reading(heard, tmp_path / "s") as reader:
        wait_until(lambda: runtime.streams and reader.stats()["lists"] == 1, "the first list")
        # The early list comes before this instant, and wherever it comes later it may show the pod.
        pods.listed_from = time.monotonic() + 0.5
        runtime.emit()
        heard.wait_pods("web-0")


class _LateList(list[RuntimePod]):
    """Pods that are listed from an instant on."""

    listed_from = math.inf

    def __iter__(self) -> Iterator[RuntimePod]:
        return super().__iter__() if time.monotonic() >= self.listed_from else iter(())


def test_what_nri_left_behind_between_two_lists_is_put_right(tmp_path: Path) -> None:
    """The list is the same as before NRI came and went, and yet it counts: a pod has ended that only NRI reported."""
    heard = Heard()
    with CriRuntime(str(tmp_path / "s"), PeerState(pods=[POD])), reading(heard, tmp_path / "s", 100 * MS):
        heard.wait_pods("web-0")
        heard.link.tell_state(LinkState(RuntimeWire.NRI, is_connected=True))
        heard.link.tell(RuntimeWire.NRI, PodStarted(RuntimePod("b" * 64, "uid-b", namespace="shop", name="web-1")))
        heard.link.tell_state(LinkState(RuntimeWire.NRI, is_connected=False, problem="lost"))
        heard.wait_pods("web-0")


def test_without_events_the_interval_finds_it(tmp_path: Path) -> None:
    """cri-dockerd has none, CRI-O has them switched off and ends the stream at once."""
    heard = Heard()
    for name, setting in (("docker", {}), ("cri-o", {CRI_EVENTS: b""})):
        told = len(heard.link.told)
        state = PeerState(name=name, answers=setting, refused={} if setting else {CRI_EVENTS: (12, "no such method")})
        with CriRuntime(str(tmp_path / name), state) as runtime, reading(heard, tmp_path / name, 50 * MS) as reader:
            heard.wait_state(lambda state: state.is_connected, "a connection", since=told)
            heard.wait_pods()
            runtime.state.pods.append(POD)
            heard.wait_pods("web-0")
            assert (reader.stats()["has_events"], reader.stats()["is_connected"], runtime.connections) == (False, True, 1)
        heard.link.tell_state(LinkState(RuntimeWire.CRI, is_connected=False))
        with CriRuntime(str(tmp_path / f"{name}2")), reading(heard, tmp_path / f"{name}2", 50 * MS):
            heard.wait_pods()


def test_a_pod_whose_first_process_ended_is_kept_while_a_container_runs(tmp_path: Path) -> None:
    """Its sandbox is not ready, so it is looked for among all."""
    heard = Heard()
    state = PeerState(not_ready=[POD, RuntimePod("b" * 64, "uid-b", name="other")], containers=[CONTAINER])
    with CriRuntime(str(tmp_path / "s"), state) as runtime, reading(heard, tmp_path / "s"):
        heard.wait_state(lambda state: state.is_connected, "a connection")
        known = heard.link.pods()["uid-a"]
        assert (known.pod, known.containers) == (POD, (CONTAINER,))
        assert runtime.state.calls.count(LIST_SANDBOXES) == 2


@pytest.mark.parametrize("end", ["drop", "go_away", "reset_streams"])
def test_a_lost_connection_is_made_again_and_no_pod_is_forgotten(tmp_path: Path, end: str) -> None:
    """However it is lost; what is another meanwhile is seen in the first list."""
    heard = Heard()
    with CriRuntime(str(tmp_path / "s"), PeerState(pods=[POD])) as runtime, reading(heard, tmp_path / "s"):
        wait_until(lambda: runtime.streams and heard.link.names() == ["web-0"], "the first list")
        # Nothing asks for it before the next connection, which may come before this thread goes on.
        runtime.state.pods = [RuntimePod("b" * 64, "uid-b", name="db-0")]
        getattr(runtime, end)()
        heard.wait_pods("db-0")
        lost, names = next((state, names) for state, names in heard.link.told if not state.is_connected)
        assert lost.problem
        assert names == ["web-0"]
        assert runtime.connections == 2


@pytest.mark.runbook("CRI")
def test_a_restarted_runtime_is_found_again(tmp_path: Path) -> None:
    """Its socket was away for a while."""
    heard = Heard()
    path = tmp_path / "s"
    with reading(heard, path, 100 * MS):
        assert "there is no such socket" in heard.wait_state(lambda state: state.problem, "a problem").problem
        with CriRuntime(str(path), PeerState(pods=[POD])):
            heard.wait_pods("web-0")
            heard.wait_state(lambda state: state.is_connected, "a connection")
            told = len(heard.link.told)
        assert heard.wait_state(lambda state: not state.is_connected, "the loss", since=told).is_there
        heard.wait_state(lambda state: "no program listens there" in state.problem, "a refusal", since=told)
        path.unlink()
        with CriRuntime(str(path), PeerState(pods=[POD, RuntimePod("b" * 64, "uid-b", name="db-0")])):
            heard.wait_pods("db-0", "web-0")


def test_nothing_is_asked_while_nri_reports(tmp_path: Path) -> None:
    """It begins when NRI is gone, and ends when it is back."""
    heard = Heard()
    heard.link.tell_state(LinkState(RuntimeWire.NRI, is_connected=True))
    with CriRuntime(str(tmp_path / "s"), PeerState(pods=[POD])) as runtime, reading(heard, tmp_path / "s", 20 * MS):
        assert heard.wait_state(lambda state: not state.is_connected, "a state").problem == ""
        assert runtime.connections == 0
        heard.link.tell_state(LinkState(RuntimeWire.NRI, is_connected=False))
        heard.wait_pods("web-0")
        heard.wait_state(lambda state: state.is_connected, "a connection")
        told = len(heard.link.told)
        heard.link.tell_state(LinkState(RuntimeWire.NRI, is_connected=True))
        heard.wait_state(lambda state: not state.is_connected, "the end of the connection", since=told)
        lists = runtime.state.calls.count(LIST_CONTAINERS)
        wait_until(lambda: not runtime.streams, "a closed connection")
        assert runtime.state.calls.count(LIST_CONTAINERS) == lists


def test_the_first_known_socket_that_is_there_is_taken(tmp_path: Path) -> None:
    """Without a setting; where there is none at all, that is no problem."""
    heard = Heard()
    paths = [str(tmp_path / name) for name in ("none", "second", "third")]
    with CriRuntime(paths[1], PeerState(pods=[POD])), CriRuntime(paths[2]):
        reader = CriReader(heard.link, SystemClock(), socket_path="", interval_ns=NEVER_NS, known_paths=paths)
        reader.start()
        heard.wait_pods("web-0")
        reader.stop()
    reader = CriReader(heard.link, SystemClock(), socket_path="", interval_ns=NEVER_NS, known_paths=paths[:1])
    told = len(heard.link.told)
    reader.start()
    state = heard.wait_state(lambda state: not state.is_connected, "a state", since=told)
    reader.stop()
    assert (state.is_there, state.problem) == (False, "")


@pytest.mark.runbook("CRI")
def test_a_socket_without_cri_does_not_hide_the_next_one(tmp_path: Path) -> None:
    """Docker's containerd stands beside that of K3s."""
    heard = Heard()
    paths = [str(tmp_path / name) for name in ("docker", "k3s")]
    with CriRuntime(paths[0], PeerState(refused=status_12(VERSION, VERSION_ALPHA))), CriRuntime(paths[1], PeerState(pods=[POD])):
        reader = CriReader(heard.link, SystemClock(), socket_path="", interval_ns=NEVER_NS, known_paths=paths)
        reader.start()
        heard.wait_pods("web-0")
        reader.stop()


def status_12(*methods: str) -> dict[str, tuple[int, str]]:
    """These methods are not implemented."""
    return dict.fromkeys(methods, (12, "unknown service"))


ALPHA = prefixed(bytes_field(2, "containerd") + bytes_field(3, "1.5.11"))


@pytest.mark.parametrize(
    ("state", "is_there", "sentence"),
    [
        (PeerState(refused=status_12(VERSION), answers={VERSION_ALPHA: ALPHA}), True, "containerd 1.5.11 offers CRI v1alpha2 only"),
        (
            PeerState(refused=status_12(VERSION, VERSION_ALPHA)),
            False,
            "the runtime offers no CRI; where Kubernetes",
        ),
        (PeerState(refused={VERSION: (7, "go away")}), True, "Version: status 7: go away"),
        (PeerState(refused={LIST_SANDBOXES: (2, "broken")}), True, "ListPodSandbox: status 2: broken"),
        (PeerState(silent={LIST_CONTAINERS}), True, "ListContainers has no answer within 0.2 s"),
        (PeerState(answers={VERSION: prefixed(b"\xff\xff")}), True, "a protobuf number without an end"),
        (PeerState(answers={LIST_SANDBOXES: b"\0\xff\xff\xff\xff"}), True, "a message of 4294967295 bytes is announced"),
        (PeerState(headers=[(":status", "403"), ("content-type", "text/html")]), True, "does not speak gRPC: HTTP status 403"),
    ],
)
def test_a_runtime_that_cannot_be_read_is_a_sentence(tmp_path: Path, state: PeerState, is_there: bool, sentence: str) -> None:
    """It says what is wrong, and the thread goes on: with the next try the same runtime may be right."""
    heard = Heard()
    # The parameter stays as it is: this test changes its runtime.
    with (
        CriRuntime(str(tmp_path / "s"), replace(state, calls=[])) as runtime,
        reading(heard, tmp_path / "s", 100 * MS, call_ns=200 * MS),
    ):
        # A busy machine may be too late for an answer; the sentence comes with one of the next tries.
        told = heard.wait_state(lambda told: sentence in told.problem, sentence)
        assert told.is_there is is_there
        runtime.state.refused, runtime.state.silent, runtime.state.answers = {}, set(), {}
        runtime.state.headers = PeerState().headers
        runtime.state.pods = [POD]
        heard.wait_pods("web-0")
        assert heard.wait_state(lambda told: told.is_connected, "a connection").problem == ""


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 50_000])
def test_nonsense_on_the_socket_is_a_sentence(tmp_path: Path, greeting: bytes) -> None:
    """Whatever listens there."""
    heard = Heard()
    with CriRuntime(str(tmp_path / "s"), greeting=greeting), reading(heard, tmp_path / "s"):
        assert "does not speak HTTP/2" in heard.wait_state(lambda told: told.problem, "a problem").problem


def test_a_file_that_is_no_socket_is_a_sentence(tmp_path: Path) -> None:
    """And so is a path that no socket can have."""
    (tmp_path / "s").write_text("no socket")
    for path, sentence in (
        (tmp_path / "s", "it is no socket; correct"),
        (tmp_path, "it is no socket; correct"),
        ("/" + "x" * 200, "there is no such socket"),
    ):
        heard = Heard()
        with reading(heard, path):
            assert sentence in heard.wait_state(lambda told: told.problem, "a problem").problem


def problem_of(path: Path) -> str:
    """What a reader says of a socket."""
    heard = Heard()
    with reading(heard, path):
        return heard.wait_state(lambda told: told.problem, "a problem").problem


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.runbook("CRI")
def test_a_socket_that_belongs_to_root_is_a_sentence() -> None:
    """An agent that runs as another user may not open it."""
    with TemporaryDirectory(prefix="cri-") as folder, CriRuntime(f"{folder}/s"):
        os.chmod(folder, 0o755)
        os.chmod(f"{folder}/s", 0o600)
        assert "the agent may not open it; run the agent as root" in as_other_user(lambda: problem_of(Path(folder) / "s"))


def test_a_stopped_reader_leaves_no_descriptor(tmp_path: Path) -> None:
    """However often one is started; a call without an answer does not hold it up."""
    with CriRuntime(str(tmp_path / "s"), PeerState(silent={VERSION})) as runtime:
        heard = Heard()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with reading(heard, tmp_path / "s", call_ns=60 * S):
                wait_until(lambda: len(runtime.state.calls) > 0, "a call")
                runtime.state.calls.clear()
            wait_until(lambda: len(os.listdir("/proc/self/fd")) == before, "closed descriptors")
