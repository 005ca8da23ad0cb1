"""The registry of what a runtime reports: any order, any repetition, two sandboxes of one pod, and its bounds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.control_plane.container_runtime import registry as module
from workers.control_plane.container_runtime.event import (
    ContainerRemoved,
    ContainerStarting,
    ContainerState,
    ContainerStopped,
    PodRemoved,
    PodStarted,
    PodStopped,
    RuntimeContainer,
    RuntimeEvent,
    RuntimePod,
    Synchronized,
    uid_of,
)
from workers.control_plane.container_runtime.registry import RuntimeRegistry

WEB = RuntimePod("s1", "u1", "shop", "web", {"app": "web"})
AGAIN = RuntimePod("s2", "u1", "shop", "web", {"app": "web", "v": "2"})
DB = RuntimePod("s3", "u3", "shop", "db")
NGINX = RuntimeContainer("c1", "s1", "nginx", ContainerState.RUNNING)
LOGS = RuntimeContainer("c2", "s1", "logs", ContainerState.RUNNING)


def _after(*events: RuntimeEvent) -> RuntimeRegistry:
    registry = RuntimeRegistry()
    for event in events:
        registry.take(event)
    return registry


def _names(registry: RuntimeRegistry, uid: str = "u1") -> list[str] | None:
    known = registry.pod(uid)
    return None if known is None else [container.name for container in known.containers]


def test_a_pod_and_its_containers_come_and_go() -> None:
    """Each report names the pod that it changes."""
    registry = RuntimeRegistry()
    story: list[tuple[RuntimeEvent, list[str] | None]] = [
        (PodStarted(WEB), []),
        (ContainerStarting(WEB, NGINX), ["nginx"]),
        (ContainerStarting(WEB, LOGS), ["nginx", "logs"]),
        (ContainerStopped("c1"), ["logs"]),
        (PodStopped("s1"), []),
        (PodRemoved("s1"), None),
    ]
    for event, names in story:
        registry.take(event)
        assert (registry.take_changed(), _names(registry)) == (frozenset({"u1"}), names), event
    assert (registry.pods_count, registry.containers_count) == (0, 0)


@pytest.mark.parametrize(
    "event", [PodStarted(WEB), ContainerStarting(WEB, NGINX), ContainerStopped("c2"), ContainerRemoved("c9"), PodStopped("s9")]
)
def test_a_repeated_report_changes_nothing(event: RuntimeEvent) -> None:
    """Not even what is called changed."""
    registry = _after(PodStarted(WEB), ContainerStarting(WEB, NGINX), ContainerStarting(WEB, LOGS), event)
    before = registry.pods()
    registry.take_changed()
    registry.take(event)
    assert (registry.take_changed(), registry.pods()) == (frozenset(), before)
    assert registry.repeated > 0


def test_a_start_that_is_reported_after_the_end_is_ignored() -> None:
    """The thread that assigned it was late: runtimes start nothing twice."""
    for end in (ContainerStopped("c1"), ContainerRemoved("c1"), PodStopped("s1")):
        registry = _after(ContainerStarting(WEB, NGINX), end, ContainerStarting(WEB, NGINX))
        assert _names(registry) == [], end
    assert _names(_after(ContainerStarting(WEB, NGINX), PodRemoved("s1"), ContainerStarting(WEB, NGINX), PodStarted(WEB))) is None


def test_a_stop_after_the_removal_is_ignored() -> None:
    """The end was known already."""
    registry = _after(
        ContainerStarting(WEB, NGINX), ContainerRemoved("c1"), ContainerStopped("c1"), PodRemoved("s1"), PodStopped("s1")
    )
    assert registry.pods() == {}


def test_a_container_waits_for_its_pod() -> None:
    """A list of containers may be newer than the list of pods."""
    registry = _after(Synchronized((), (NGINX,)))
    assert registry.pods() == {}
    registry.take(PodStarted(WEB))
    assert _names(registry) == ["nginx"]


def test_everything_anew_is_taken_as_a_difference() -> None:
    """Only what is another is called changed; what is missing is gone."""
    registry = _after(Synchronized((WEB, DB), (NGINX, LOGS)))
    assert registry.take_changed() == {"u1", "u3"}
    registry.take(Synchronized((DB, WEB), (LOGS, NGINX)))
    assert registry.take_changed() == frozenset()
    registry.take(Synchronized((WEB,), (NGINX,)))
    assert registry.take_changed() == {"u1", "u3"}
    assert (list(registry.pods()), _names(registry)) == (["u1"], ["nginx"])


def test_ended_containers_are_no_parts() -> None:
    """Init containers that are over stay listed until their pod goes."""
    registry = _after(Synchronized((WEB,), (NGINX, replace(LOGS, state=ContainerState.STOPPED))))
    assert _names(registry) == ["nginx"]
    assert registry.containers_count == 2


def test_a_pod_with_two_sandboxes_goes_with_the_last() -> None:
    """The kubelet makes a new sandbox while the old one still stops; the newest gives the names."""
    registry = _after(PodStarted(WEB), ContainerStarting(WEB, NGINX), PodStarted(AGAIN))
    known = registry.pod("u1")
    assert known is not None
    assert (known.pod, known.sandbox_ids, known.is_running) == (AGAIN, ("s2", "s1"), True)
    registry.take(PodRemoved("s1"))
    assert _names(registry) == []
    registry.take(PodRemoved("s2"))
    assert registry.pod("u1") is None


def test_a_pod_without_uid_is_known_by_its_sandbox() -> None:
    """`crictl` makes such."""
    uid = uid_of("", "s7")
    registry = _after(PodStarted(RuntimePod("s7", uid, name="bare")))
    assert list(registry.pods()) == [uid] == ["sandbox-s7"]


@pytest.mark.parametrize("uid", ["/", "/system.slice/sshd.service", "/kubepods"])
def test_a_uid_that_is_a_path_is_none(uid: str) -> None:
    """Units without a pod are known by their paths: the pod would take the threads of one."""
    assert uid_of(uid, "s7") == "sandbox-s7"


def test_a_sandbox_that_is_only_listed_is_not_known_to_run() -> None:
    """Runtimes list those that ended like all others; a start or a container proves more."""
    for events, is_running in (
        ((Synchronized((WEB,), ()),), False),
        ((Synchronized((WEB,), (NGINX,)),), True),
        ((PodStarted(WEB),), True),
        ((PodStarted(WEB), PodStopped("s1")), False),
        ((PodStarted(WEB), Synchronized((WEB,), ())), False),
    ):
        known = _after(*events).pod("u1")
        assert known is not None
        assert known.is_running is is_running, events


def test_a_sandbox_that_changes_its_pod_leaves_nothing_behind() -> None:
    """No runtime does this; the registry stays whole."""
    registry = _after(PodStarted(WEB), ContainerStarting(WEB, NGINX))
    registry.take_changed()
    registry.take(PodStarted(replace(WEB, uid="other")))
    registry.take(ContainerStarting(DB, NGINX))
    assert registry.take_changed() == {"u1", "other", "u3"}
    assert (_names(registry, "other"), _names(registry, "u3")) == ([], ["nginx"])


def test_beyond_the_bounds_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods, containers and labels that do not fit; the next whole report begins the count of what is missing."""
    monkeypatch.setattr(module, "SANDBOXES_MAX", 2)
    monkeypatch.setattr(module, "CONTAINERS_MAX", 1)
    pods = tuple(RuntimePod(f"s{number}", f"u{number}") for number in range(5))
    containers = tuple(RuntimeContainer(f"c{number}", "s0") for number in range(3))
    registry = _after(Synchronized(pods, containers), ContainerStarting(pods[4], NGINX))
    assert (len(registry.pods()), registry.containers_count) == (2, 1)
    assert registry.left_out == {"pods": 4, "containers": 2}
    registry.take(Synchronized(pods[:1], ()))
    assert (registry.left_out, registry.dropped) == ({}, {"pods": 4, "containers": 2})


def test_labels_have_room_for_each_pod_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as fit in the order of their keys; room that a pod gives back is there for others."""
    monkeypatch.setattr(module, "POD_LABEL_BYTES_MAX", 8)
    monkeypatch.setattr(module, "LABEL_BYTES_MAX", 12)
    labels = {"c": "ccc", "a": "aaa", "b": "bbb"}
    registry = _after(PodStarted(replace(WEB, labels=labels)), PodStarted(replace(DB, labels=labels)))
    assert [known.pod.labels for known in registry.pods().values()] == [{"a": "aaa", "b": "bbb"}, {"a": "aaa"}]
    assert registry.left_out == {"labels": 2}
    registry.take(PodRemoved("s1"))
    registry.take(PodStarted(replace(DB, labels=labels)))
    assert [known.pod.labels for known in registry.pods().values()] == [{"a": "aaa", "b": "bbb"}]


def test_what_ended_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that runs for years ends millions of containers."""
    monkeypatch.setattr(module, "GONE_MAX", 2)
    registry = _after(ContainerRemoved("c1"), ContainerRemoved("c8"), ContainerRemoved("c9"), ContainerStarting(WEB, NGINX))
    assert _names(registry) == ["nginx"]


class _Model:
    """The same by the plainest means: lists of what is there and what has ended."""

    def __init__(self) -> None:
        self.pods: list[RuntimePod] = []
        self.containers: dict[str, RuntimeContainer] = {}
        self.stopped_pods: set[str] = set()
        self.ended: set[str] = set()

    def take(self, event: RuntimeEvent) -> None:
        match event:
            case Synchronized():
                self._synchronize(event)
            case PodStarted(pod=pod):
                if pod.sandbox_id not in self.ended:
                    self._put(pod)
            case PodStopped(sandbox_id=sandbox_id):
                if any(pod.sandbox_id == sandbox_id for pod in self.pods):
                    self.stopped_pods.add(sandbox_id)
                    self._end(sandbox_id)
            case PodRemoved(sandbox_id=sandbox_id):
                self.ended |= {sandbox_id} | {each.id for each in self.containers.values() if each.sandbox_id == sandbox_id}
                self.pods = [pod for pod in self.pods if pod.sandbox_id != sandbox_id]
                self.containers = {key: each for key, each in self.containers.items() if each.sandbox_id != sandbox_id}
                self.stopped_pods.discard(sandbox_id)
            case ContainerStarting(pod=pod, container=container):
                self.take(PodStarted(pod))
                old = self.containers.get(container.id)
                is_over = {pod.sandbox_id, container.id} & self.ended or pod.sandbox_id in self.stopped_pods
                if not is_over and (old is None or old.state is not ContainerState.STOPPED):
                    self.containers[container.id] = replace(container, sandbox_id=pod.sandbox_id, state=ContainerState.RUNNING)
            case ContainerStopped(container_id=container_id):
                if container_id in self.containers:
                    self.containers[container_id] = replace(self.containers[container_id], state=ContainerState.STOPPED)
            case ContainerRemoved(container_id=container_id):
                self.ended.add(container_id)
                self.containers.pop(container_id, None)

    def _synchronize(self, event: Synchronized) -> None:
        self.ended |= {pod.sandbox_id for pod in self.pods} | set(self.containers)
        self.ended -= {pod.sandbox_id for pod in event.pods} | {container.id for container in event.containers}
        self.stopped_pods &= {pod.sandbox_id for pod in event.pods}
        self.pods = [pod for pod in self.pods if pod.sandbox_id not in self.ended]
        for pod in event.pods:
            self._put(pod)
        self.containers = {container.id: container for container in event.containers}

    def _put(self, pod: RuntimePod) -> None:
        places = [place for place, each in enumerate(self.pods) if each.sandbox_id == pod.sandbox_id]
        if places:
            self.pods[places[0]] = pod
        else:
            self.pods.append(pod)

    def _end(self, sandbox_id: str) -> None:
        for container in list(self.containers.values()):
            if container.sandbox_id == sandbox_id:
                self.take(ContainerStopped(container.id))

    def view(self) -> dict[str, tuple[RuntimePod, tuple[RuntimeContainer, ...]]]:
        found = {}
        for newest in self.pods:
            own = {pod.sandbox_id for pod in self.pods if pod.uid == newest.uid}
            living = [each for each in self.containers.values() if each.sandbox_id in own and each.state != ContainerState.STOPPED]
            found[newest.uid] = (newest, tuple(sorted(living, key=lambda each: each.id)))
        return found


_SANDBOX_IDS = st.sampled_from(["s1", "s2", "s3", "s4"])
_CONTAINER_IDS = st.sampled_from(["c1", "c2", "c3", "c4", "c5"])
_PODS = st.builds(
    lambda sandbox_id, name: RuntimePod(sandbox_id, {"s1": "u1", "s2": "u1"}.get(sandbox_id, f"u-{sandbox_id}"), name=name),
    _SANDBOX_IDS,
    st.sampled_from(["a", "b"]),
)
_CONTAINERS = st.builds(RuntimeContainer, _CONTAINER_IDS, _SANDBOX_IDS, st.just(""), st.sampled_from(ContainerState))
_EVENTS: st.SearchStrategy[RuntimeEvent] = st.one_of(
    st.builds(
        Synchronized,
        st.lists(_PODS, max_size=4, unique_by=lambda pod: pod.sandbox_id).map(tuple),
        st.lists(_CONTAINERS, max_size=5, unique_by=lambda container: container.id).map(tuple),
    ),
    st.builds(PodStarted, _PODS),
    st.builds(PodStopped, _SANDBOX_IDS),
    st.builds(PodRemoved, _SANDBOX_IDS),
    st.builds(ContainerStarting, _PODS, _CONTAINERS),
    st.builds(ContainerStopped, _CONTAINER_IDS),
    st.builds(ContainerRemoved, _CONTAINER_IDS),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_EVENTS, max_size=25))
def test_after_any_reports_it_holds_what_the_plainest_model_holds(events: list[RuntimeEvent]) -> None:
    """And a report that is taken twice changes nothing; what changed is called so."""
    registry, model = RuntimeRegistry(), _Model()
    for event in events:
        before = registry.pods()
        registry.take(event)
        model.take(event)
        after = registry.pods()
        assert {uid: (known.pod, known.containers) for uid, known in after.items()} == model.view()
        changed = registry.take_changed()
        assert {uid for uid in before.keys() | after.keys() if before.get(uid) != after.get(uid)} <= changed
        registry.take(event)
        assert (registry.pods(), registry.take_changed()) == (after, frozenset())


def test_a_removed_container_is_not_shown_and_what_is_new_is_known_before_it_is_taken() -> None:
    """A runtime may leave out that it stopped before."""
    registry = _after(PodStarted(WEB), ContainerStarting(WEB, NGINX), ContainerStarting(WEB, LOGS))
    changes = [registry.has_changed]
    registry.take_changed()
    changes.append(registry.has_changed)
    registry.take(ContainerRemoved("c1"))
    assert ([*changes, registry.has_changed], _names(registry)) == ([True, False, True], ["logs"])
