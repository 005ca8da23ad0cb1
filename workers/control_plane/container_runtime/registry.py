"""Every pod and container that the runtime has reported. PURE.

The state follows from the reports whatever their order: a repeated one changes nothing, and one that comes after the end of
what it is about is ignored. What a runtime reports has no other bound than those of this module; what is beyond is counted.
"""

from collections import Counter
from collections.abc import Iterable
from sys import intern
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

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
)

# The kubelet's own limit is 250 pods on a node; 1,000 pods with 3,000 containers is the measured case.
SANDBOXES_MAX = 5_000
CONTAINERS_MAX = 15_000
# All labels travel in one snapshot with the paths of all units (`agent.model.message.FRAME_BYTES_MAX`).
LABEL_BYTES_MAX = 2 << 20
POD_LABEL_BYTES_MAX = 8 << 10
# A report can be late by the deadline of one start only, in which far fewer things end.
GONE_MAX = 4_096


class KnownPod(Struct, frozen=True):
    """A pod as its runtime has it now: `containers` that have not ended, by id; all of its sandboxes, the newest first.

    `is_running`: it has a container, or its start was seen and no end of it. Otherwise only its cgroup shows whether it still
    runs: a runtime keeps sandboxes that ended, and lists them like all others.
    """

    pod: RuntimePod
    containers: tuple[RuntimeContainer, ...]
    sandbox_ids: tuple[str, ...]
    is_running: bool


class _Sandbox(Struct):
    pod: RuntimePod
    number: int
    label_bytes: int
    is_started: bool = False
    is_stopped: bool = False


class RuntimeRegistry:
    """The state that follows from the reports; a repeated report changes nothing."""

    def __init__(self) -> None:
        self._sandboxes: dict[str, _Sandbox] = {}
        self._containers: dict[str, RuntimeContainer] = {}
        self._sandboxes_of: dict[str, set[str]] = {}
        # Also of sandboxes that were not reported yet.
        self._containers_of: dict[str, set[str]] = {}
        # Ids of what ended, the latest last: runtimes never use one again.
        self._gone: dict[str, None] = {}
        self._changed: set[str] = set()
        self._numbers = 0
        self._label_bytes = 0
        self.events: Counter[str] = Counter()
        """Reports by kind."""
        self.repeated = 0
        """Reports that changed nothing."""
        self.dropped: Counter[str] = Counter()
        """What did not fit in all: `pods`, `containers`, `labels`."""
        self.left_out: Counter[str] = Counter()
        """The same since the runtime last reported everything: what is missing now, as far as it is known."""
        self.synchronizations = 0
        """How often the runtime has reported everything."""

    # ---- reports -----------------------------------------------------------------------------------

    def take(self, event: RuntimeEvent) -> None:
        """Follow one event."""
        self.events[type(event).__name__] += 1
        before = {uid: self.pod(uid) for uid in self._touched(event)}
        self._apply(event)
        if isinstance(event, Synchronized):
            before.update((uid, None) for uid in self._sandboxes_of if uid not in before)
        changed = {uid for uid, was in before.items() if self.pod(uid) != was}
        self.repeated += not changed
        self._changed |= changed

    def _touched(self, event: RuntimeEvent) -> set[str]:
        """The uids of the pods that an event may change."""
        match event:
            case Synchronized():
                return set(self._sandboxes_of)
            case PodStarted(pod=pod):
                return {pod.uid, *self._uids(pod.sandbox_id)}
            case PodStopped(sandbox_id=sandbox_id) | PodRemoved(sandbox_id=sandbox_id):
                return self._uids(sandbox_id)
            case ContainerStarting(pod=pod, container=container):
                return {pod.uid, *self._uids(pod.sandbox_id), *self._uids_of_container(container.id)}
            case ContainerStopped(container_id=container_id) | ContainerRemoved(container_id=container_id):
                return self._uids_of_container(container_id)
            case _:
                assert_never(event)

    def _uids(self, sandbox_id: str) -> set[str]:
        sandbox = self._sandboxes.get(sandbox_id)
        return set() if sandbox is None else {sandbox.pod.uid}

    def _uids_of_container(self, container_id: str) -> set[str]:
        container = self._containers.get(container_id)
        return set() if container is None else self._uids(container.sandbox_id)

    def _apply(self, event: RuntimeEvent) -> None:
        match event:
            case Synchronized():
                self._synchronize(event)
            case PodStarted(pod=pod):
                self._start_pod(pod)
            case PodStopped(sandbox_id=sandbox_id):
                self._stop_sandbox(sandbox_id)
            case PodRemoved(sandbox_id=sandbox_id):
                self._remove_sandbox(sandbox_id)
            case ContainerStarting(pod=pod, container=container):
                self._start_container(pod, container)
            case ContainerStopped(container_id=container_id):
                self._stop_container(container_id)
            case ContainerRemoved(container_id=container_id):
                self._remove_container(container_id)
            case _:
                assert_never(event)

    def _synchronize(self, event: Synchronized) -> None:
        """What is missing is gone. Whether a sandbox has ended is not said, so only an end that was seen is known."""
        self.synchronizations += 1
        self.left_out.clear()
        for sandbox_id in self._sandboxes.keys() - {pod.sandbox_id for pod in event.pods}:
            self._remove_sandbox(sandbox_id)
        for container_id in self._containers.keys() - {container.id for container in event.containers}:
            self._remove_container(container_id)
        for pod in event.pods:
            self._gone.pop(pod.sandbox_id, None)
            if (sandbox := self._put_sandbox(pod)) is not None:
                sandbox.is_started = False
        for container in event.containers:
            self._gone.pop(container.id, None)
            self._put_container(container)

    def _start_pod(self, pod: RuntimePod) -> None:
        if pod.sandbox_id not in self._gone and (sandbox := self._put_sandbox(pod)) is not None:
            sandbox.is_started = True

    def _start_container(self, pod: RuntimePod, container: RuntimeContainer) -> None:
        self._start_pod(pod)
        sandbox, known = self._sandboxes.get(pod.sandbox_id), self._containers.get(container.id)
        # The start was reported late: what it is about has ended.
        has_ended = container.id in self._gone or (known is not None and known.state is ContainerState.STOPPED)
        if sandbox is not None and not sandbox.is_stopped and not has_ended:
            self._put_container(replace(container, sandbox_id=pod.sandbox_id, state=ContainerState.RUNNING))

    def _stop_sandbox(self, sandbox_id: str) -> None:
        if (sandbox := self._sandboxes.get(sandbox_id)) is not None:
            sandbox.is_stopped = True
            for container_id in self._containers_of.get(sandbox_id, ()):
                self._stop_container(container_id)

    def _stop_container(self, container_id: str) -> None:
        if (container := self._containers.get(container_id)) is not None:
            self._containers[container_id] = replace(container, state=ContainerState.STOPPED)

    def _remove_sandbox(self, sandbox_id: str) -> None:
        self._bury(sandbox_id)
        for container_id in tuple(self._containers_of.get(sandbox_id, ())):
            self._remove_container(container_id)
        if (sandbox := self._sandboxes.pop(sandbox_id, None)) is not None:
            self._label_bytes -= sandbox.label_bytes
            _take_out(self._sandboxes_of, sandbox.pod.uid, sandbox_id)

    def _remove_container(self, container_id: str) -> None:
        self._bury(container_id)
        if (container := self._containers.pop(container_id, None)) is not None:
            _take_out(self._containers_of, container.sandbox_id, container_id)

    def _bury(self, gone_id: str) -> None:
        self._gone.pop(gone_id, None)
        self._gone[gone_id] = None
        if len(self._gone) > GONE_MAX:
            del self._gone[next(iter(self._gone))]

    # ---- what is kept ------------------------------------------------------------------------------

    def _put_sandbox(self, pod: RuntimePod) -> _Sandbox | None:
        known = self._sandboxes.get(pod.sandbox_id)
        if known is None and len(self._sandboxes) >= SANDBOXES_MAX:
            self._drop("pods")
            return None
        if known is not None and known.pod == pod:
            return known
        if known is None:
            self._numbers += 1
            known = self._sandboxes[pod.sandbox_id] = _Sandbox(pod, self._numbers, 0)
        else:
            self._label_bytes -= known.label_bytes
            _take_out(self._sandboxes_of, known.pod.uid, pod.sandbox_id)
        self._sandboxes_of.setdefault(pod.uid, set()).add(pod.sandbox_id)
        labels, known.label_bytes = self._labels_that_fit(pod.labels)
        self._label_bytes += known.label_bytes
        known.pod = replace(pod, labels=labels, namespace=intern(pod.namespace))
        return known

    def _labels_that_fit(self, labels: dict[str, str]) -> tuple[dict[str, str], int]:
        """As many labels, in the order of their keys, as there is room for; and their bytes."""
        room = min(POD_LABEL_BYTES_MAX, LABEL_BYTES_MAX - self._label_bytes)
        kept: dict[str, str] = {}
        used = 0
        for key in sorted(labels):
            size = len(key.encode()) + len(labels[key].encode())
            if used + size > room:
                self._drop("labels")
                break
            # Thousands of pods have the same few texts.
            kept[intern(key)] = intern(labels[key])
            used += size
        return kept, used

    def _put_container(self, container: RuntimeContainer) -> None:
        known = self._containers.get(container.id)
        if known is None and len(self._containers) >= CONTAINERS_MAX:
            self._drop("containers")
            return
        if known == container:
            # The older one stays: what a whole list brought again is given back at once, and memory does not scatter.
            return
        if known is not None and known.sandbox_id != container.sandbox_id:
            _take_out(self._containers_of, known.sandbox_id, container.id)
        sandbox = self._sandboxes.get(container.sandbox_id)
        sandbox_id = container.sandbox_id if sandbox is None else sandbox.pod.sandbox_id
        self._containers[container.id] = replace(container, sandbox_id=sandbox_id, name=intern(container.name))
        self._containers_of.setdefault(container.sandbox_id, set()).add(container.id)

    def _drop(self, what: str) -> None:
        self.dropped[what] += 1
        self.left_out[what] += 1

    # ---- what is known -----------------------------------------------------------------------------

    def take_changed(self) -> frozenset[str]:
        """The uids of which something is another since this was asked last."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def pods(self) -> dict[str, KnownPod]:
        """Every pod, by uid."""
        found = ((uid, self.pod(uid)) for uid in self._sandboxes_of)
        return {uid: known for uid, known in found if known is not None}

    def pod(self, uid: str) -> KnownPod | None:
        """One pod with all that is known of it; None: there is none of this uid."""
        if (sandbox_ids := self._sandboxes_of.get(uid)) is None:
            return None
        in_order = sorted((self._sandboxes[each] for each in sandbox_ids), key=lambda each: -each.number)
        containers = tuple(sorted(self._living(sandbox_ids), key=lambda each: each.id))
        is_running = bool(containers) or any(each.is_started and not each.is_stopped for each in in_order)
        return KnownPod(in_order[0].pod, containers, tuple(each.pod.sandbox_id for each in in_order), is_running)

    @property
    def has_changed(self) -> bool:
        """Whether `take_changed` would give anything."""
        return bool(self._changed)

    @property
    def pods_count(self) -> int:
        """How many pods there are."""
        return len(self._sandboxes_of)

    @property
    def containers_count(self) -> int:
        """How many containers there are, with those that have ended and are not removed."""
        return len(self._containers)

    def _living(self, sandbox_ids: Iterable[str]) -> Iterable[RuntimeContainer]:
        for sandbox_id in sandbox_ids:
            for container_id in self._containers_of.get(sandbox_id, ()):
                if (container := self._containers[container_id]).state is not ContainerState.STOPPED:
                    yield container


def _take_out(index: dict[str, set[str]], key: str, value: str) -> None:
    values = index[key]
    values.discard(value)
    if not values:
        del index[key]
