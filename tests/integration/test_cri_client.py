"""The client of the CRI socket against a runtime that answers, and against peers that do not."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fakes.cri_peer import PeerState
from fakes.cri_runtime import CriRuntime
from harness.waiting import wait_until

from agent.model.errors import ProtocolError, UnavailableError
from agent.model.timebase import MS, S
from workers.control_plane.container_runtime.event import RuntimePod
from workers.control_plane.cri.client import EVENTS_MAX, CriConnection
from workers.control_plane.cri.grpc_frame import GrpcError
from workers.control_plane.cri.interrupt import Interrupt, Interrupted
from workers.control_plane.cri.message import CONTAINERD_EVENTS, LIST_SANDBOXES, VERSION, parse_sandboxes, parse_version

# Long enough for a busy machine, short enough for a test that waits for it.
CALL_NS = 300 * MS


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    """What ends the waits; closed at the end."""
    held = Interrupt()
    yield held
    held.close()


def connection(path: Path, interrupt: Interrupt, call_ns: int = 5 * S) -> closing[CriConnection]:
    """A client's end, closed at the end of its block."""
    return closing(CriConnection(str(path), interrupt, time.monotonic_ns, call_ns))


def test_a_call_is_answered(tmp_path: Path, interrupt: Interrupt) -> None:
    """Over a real socket, with as many calls on it as one likes."""
    with CriRuntime(str(tmp_path / "s"), PeerState(version="2.1.9")), connection(tmp_path / "s", interrupt) as client:
        for _ in range(20):
            assert str(parse_version(client.call(VERSION, b""))) == "containerd 2.1.9"


def test_a_large_answer_in_small_pieces_comes_whole(tmp_path: Path, interrupt: Interrupt) -> None:
    """However the socket cuts it, and beyond any window."""
    pods = [RuntimePod(f"{number:064x}", f"u{number}", labels={"k": "v" * 900}) for number in range(6_000)]
    with (
        CriRuntime(str(tmp_path / "s"), PeerState(pods=pods), chunk_bytes=1_000) as runtime,
        connection(tmp_path / "s", interrupt, 30 * S) as client,
    ):
        assert len(parse_sandboxes(client.call(LIST_SANDBOXES, b"")).pods) == 6_000
        assert runtime.state.calls == [LIST_SANDBOXES]


def test_a_refused_call_names_the_runtimes_words(tmp_path: Path, interrupt: Interrupt) -> None:
    """And the connection goes on."""
    state = PeerState(refused={LIST_SANDBOXES: (2, "disk on fire")})
    with CriRuntime(str(tmp_path / "s"), state), connection(tmp_path / "s", interrupt) as client:
        with pytest.raises(GrpcError, match=r"/s: ListPodSandbox: status 2: disk on fire"):
            client.call(LIST_SANDBOXES, b"")
        assert client.call(VERSION, b"")


def test_a_runtime_that_never_answers_costs_the_deadline(tmp_path: Path, interrupt: Interrupt) -> None:
    """Not more, and it is said how long it was waited for."""
    with (
        CriRuntime(str(tmp_path / "s"), PeerState(silent={VERSION})),
        connection(tmp_path / "s", interrupt, CALL_NS) as client,
        pytest.raises(UnavailableError, match=r"Version has no answer within 0\.3 s"),
    ):
        client.call(VERSION, b"")


def test_a_peer_that_does_not_read_costs_the_deadline(tmp_path: Path, interrupt: Interrupt) -> None:
    """It has no answer either."""
    with (
        CriRuntime(str(tmp_path / "s"), is_mute=True),
        connection(tmp_path / "s", interrupt, CALL_NS) as client,
        pytest.raises(UnavailableError, match="has no answer"),
    ):
        client.call(VERSION, b"")


@pytest.mark.parametrize(
    ("greeting", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak HTTP/2"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n" + b"\0" * 100, "does not speak HTTP/2"),
        (b"\xff" * 100_000, "does not speak HTTP/2"),
    ],
)
def test_a_peer_that_speaks_something_else_is_named(tmp_path: Path, interrupt: Interrupt, greeting: bytes, problem: str) -> None:
    """Its first bytes are enough."""
    with (
        CriRuntime(str(tmp_path / "s"), greeting=greeting),
        connection(tmp_path / "s", interrupt) as client,
        pytest.raises(ProtocolError, match=problem),
    ):
        client.call(VERSION, b"")


def test_a_peer_that_sends_without_an_end_is_given_up(tmp_path: Path, interrupt: Interrupt) -> None:
    """Frames of an unknown kind are to be ignored, but not for ever; the bytes are counted."""
    frame = (16_384).to_bytes(3, "big") + b"\x42\0\0\0\0\0" + b"x" * 16_384
    greeting = b"\0\0\0\x04\0\0\0\0\0" + frame * 2_000
    with (
        CriRuntime(str(tmp_path / "s"), greeting=greeting),
        connection(tmp_path / "s", interrupt, 40 * S) as client,
        pytest.raises(ProtocolError, match="without an end"),
    ):
        client.call(VERSION, b"")


def test_events_are_counted_and_waited_for(tmp_path: Path, interrupt: Interrupt) -> None:
    """Those that come during a call are not lost, and a wait ends with the first."""
    with CriRuntime(str(tmp_path / "s")) as runtime, connection(tmp_path / "s", interrupt) as client:
        client.subscribe(CONTAINERD_EVENTS, b"")
        assert client.call(VERSION, b"")
        runtime.emit(3)
        total = 0
        while total < 3:
            count = client.take_events(time.monotonic_ns() + 5 * S)
            assert count > 0
            total += count
        assert client.take_events(time.monotonic_ns() + 1 * MS) == 0


def test_a_stream_of_events_without_measure_is_given_up(tmp_path: Path, interrupt: Interrupt) -> None:
    """Reading them would take a CPU; a list resets the count."""
    with CriRuntime(str(tmp_path / "s")) as runtime, connection(tmp_path / "s", interrupt) as client:
        client.subscribe(CONTAINERD_EVENTS, b"")
        assert client.call(VERSION, b"")
        runtime.emit(EVENTS_MAX + 1)
        with pytest.raises(ProtocolError, match="more than 4000 events"):
            take_all(client, EVENTS_MAX + 1)


def take_all(client: CriConnection, count: int) -> None:
    """So many events."""
    while count > 0:
        count -= client.take_events(time.monotonic_ns() + 5 * S)


def test_the_end_of_a_stream_is_kept(tmp_path: Path, interrupt: Interrupt) -> None:
    """Its status says whether there will never be events, or the connection has a problem."""
    with CriRuntime(str(tmp_path / "s")) as runtime, connection(tmp_path / "s", interrupt) as client:
        client.subscribe(CONTAINERD_EVENTS, b"")
        assert client.call(VERSION, b"")
        runtime.end_streams(12)
        wait_until(lambda: client.take_events(time.monotonic_ns() + 5 * MS) == 0 and client.events_end, "the end of the stream")
        assert client.events_end is not None
        assert client.events_end.code == 12
        assert client.call(VERSION, b"")


def test_a_runtime_that_goes_away_ends_the_connection(tmp_path: Path, interrupt: Interrupt) -> None:
    """With its announcement or without."""
    with CriRuntime(str(tmp_path / "s")) as runtime:
        for end in (runtime.go_away, runtime.drop):
            with connection(tmp_path / "s", interrupt) as client:
                client.subscribe(CONTAINERD_EVENTS, b"")
                assert client.call(VERSION, b"")
                end()
                with pytest.raises(UnavailableError, match="the runtime close"):
                    client.take_events(time.monotonic_ns() + 5 * S)


def test_a_wait_is_interrupted_at_once(tmp_path: Path, interrupt: Interrupt) -> None:
    """Whatever is waited for, and every wait after it, too."""
    with CriRuntime(str(tmp_path / "s"), PeerState(silent={VERSION})), connection(tmp_path / "s", interrupt, 60 * S) as client:
        timer = threading.Timer(0.05, interrupt.set)
        timer.start()
        with pytest.raises(Interrupted):
            client.call(VERSION, b"")
        with pytest.raises(Interrupted):
            client.take_events(time.monotonic_ns() + 60 * S)
        timer.join()
