"""A host with cgroups, threads and a small resctrl in memory, on which control planes come and go."""

from collections.abc import Callable, Iterable

from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.kernel_tree import MemoryTree
from fakes.memory_resctrl import ROOT, MemoryResctrl
from fakes.outbox import RecordingOutbox
from fakes.thread_table import ThreadTable

from agent.config import Config
from agent.model.message import Condition
from agent.model.rule import Assignment, GroupRule, canonical, decode_assignment, rule_key
from agent.model.rule_state import RuleState
from agent.model.timebase import S
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import (
    ContainerStarting,
    ContainerState,
    LinkState,
    RuntimeContainer,
    RuntimeEvent,
    RuntimePod,
    RuntimeWire,
    StartOutcome,
    Synchronized,
)
from workers.control_plane.container_runtime.link import RuntimeLink
from workers.control_plane.container_runtime.pod_unit import unit_of_pod
from workers.control_plane.group_controller import GroupController
from workers.control_plane.runtime_follower import RuntimeFollower
from workers.control_plane.work import ControlPlaneWork
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.problem import ResctrlError

FIRST, SECOND = "c" * 64, "d" * 64
UIDS = [f"{number:08x}-3e0b-4d6a-9f21-7c5d0e4b6a13" for number in range(20)]
UID = UIDS[0]


def pod_path(uid: str, qos: str = "burstable") -> str:
    # The kubelet puts guaranteed pods above the other two classes.
    return f"kubepods/pod{uid}" if qos == "guaranteed" else f"kubepods/{qos}/pod{uid}"


def thread_lines(ids: Iterable[int]) -> bytes:
    return b"".join(b"%d\n" % thread_id for thread_id in ids)


def sandbox(uid: str = UID, name: str = "web", sandbox_id: str = "", **labels: str) -> RuntimePod:
    """A pod as a runtime reports it, in namespace `shop`."""
    return RuntimePod(sandbox_id or f"s{uid}", uid, "shop", name, labels, f"/{pod_path(uid)}")


def container_of(pod: RuntimePod, first: str = "c", name: str = "main") -> RuntimeContainer:
    """One of its containers, whose id begins with this letter."""
    container_id = f"{first}{pod.uid.replace('-', ''):{first}<63}"
    return RuntimeContainer(container_id, pod.sandbox_id, name, ContainerState.RUNNING, f"{pod.cgroup_parent}/{container_id}")


class Host:
    """A host with cgroups, threads and a small resctrl; control planes come and go on it."""

    def __init__(self, profile: str = "tiny", *, is_mounted: bool = True, has_runtime: bool = False, gather_ns: int = 0) -> None:
        self.gather_ns = gather_ns
        self.clock = FakeClock()
        self.table = ThreadTable([1])
        self.tree = MemoryTree({"cgroup.controllers": b""})
        self.resctrl = MemoryResctrl(self.table, self.clock, profile)
        if not is_mounted:
            self.resctrl.host.unmount()
        self.bus = RecordingBus()
        # What others do while the worker waits for the lock.
        self.on_wait: Callable[[], object] = lambda: None
        self.rules: list[GroupRule] = []
        self.config = Config({})
        self.has_runtime = has_runtime
        self.link = RuntimeLink(Binder([]))
        self.work = self._start(RuleState())

    def _start(self, rules: RuleState) -> ControlPlaneWork:
        groups = MonitoringGroups(self.resctrl.view(), now_ns=self.clock.now_ns, sleep_seconds=self._wait)
        self.link.close()
        self.link = RuntimeLink(Binder([]))
        self.outbox = RecordingOutbox()
        runtime = RuntimeFollower(self.link, self.bus, {}, gather_ns=self.gather_ns) if self.has_runtime else None
        work = ControlPlaneWork(self.clock, self.tree, self.outbox, self.bus, self.config, run="r", groups=groups, runtime=runtime)
        work.on_rules(rules)
        work.on_start(self.clock.now_ns())
        return work

    def _wait(self, seconds: float) -> None:
        self.clock.advance(int(seconds * S))
        self.on_wait()

    # ---- what happens on the host ------------------------------------------------------------------

    def run(self, uid: str, *ids: int, container: str = FIRST, qos: str = "burstable") -> None:
        """These are the threads of a pod's container now."""
        for thread_id in ids:
            if not self.table.exists(thread_id):
                self.table.start(thread_id)
        self.tree.put(f"{pod_path(uid, qos)}/{container}/cgroup.threads", thread_lines(ids))

    def end(self, uid: str) -> None:
        """The pod's cgroup goes."""
        self.tree.remove(pod_path(uid))

    def set_rules(self, *rules: GroupRule) -> None:
        """The operator's rules are these, and the worker hears of everything that the supervisor holds."""
        self.rules = list(rules)
        self.echo()

    def echo(self) -> RuleState:
        """What the supervisor holds, handed to the worker."""
        state = RuleState(self.bus.entries().items())
        for rule in self.rules:
            state.put(rule_key(rule.name), canonical(rule))
        self.work.on_rules(state)
        return state

    def restart(self) -> None:
        """The control plane is killed, and its successor gets the snapshot."""
        state = RuleState(self.bus.entries().items())
        for rule in self.rules:
            state.put(rule_key(rule.name), canonical(rule))
        self.work = self._start(state)

    def pass_time(self, span_ns: int) -> "Host":
        """Every deadline of the worker in this span comes; ids leave limbo meanwhile."""
        end_ns = self.clock.now_ns() + span_ns
        while (deadline_ns := self.work.next_deadline_ns()) is not None and max(deadline_ns, self.clock.now_ns()) <= end_ns:
            self.clock.advance(max(0, deadline_ns - self.clock.now_ns()))
            self._pass_limbo()
            self.work.on_timer(self.clock.now_ns())
        # The worker itself may have waited, for a lock.
        self.clock.advance(max(0, end_ns - self.clock.now_ns()))
        self._pass_limbo()
        return self

    def _pass_limbo(self) -> None:
        emulation = self.resctrl.host.emulation
        while emulation is not None and (due_ns := emulation.next_deadline_ns()) is not None and due_ns <= self.clock.now_ns():
            emulation.on_timer(self.clock.now_ns())

    # ---- what a container runtime reports ----------------------------------------------------------

    def connect(self, *pods: RuntimePod, containers: Iterable[RuntimeContainer] = ()) -> "Host":
        """The runtime is there and reports everything that it has."""
        self.link.tell_state(LinkState(RuntimeWire.NRI, is_connected=True, runtime="containerd 1.7.24"))
        return self.hear(Synchronized(pods, tuple(containers)))

    def lose_runtime(self) -> "Host":
        """Its connection is gone."""
        self.link.tell_state(LinkState(RuntimeWire.NRI, is_connected=False, problem="gone", runtime="containerd 1.7.24"))
        return self.wake()

    def hear(self, *events: RuntimeEvent) -> "Host":
        """The runtime reports these at once."""
        for event in events:
            self.link.tell(RuntimeWire.NRI, event)
        return self.wake()

    def wake(self) -> "Host":
        """The loop takes in what was told."""
        self.work.on_readable(self.link.descriptor, self.clock.now_ns())
        return self

    def start_container(self, pod: RuntimePod, container: RuntimeContainer, *ids: int) -> StartOutcome:
        """A container is about to start with these threads; they are moved into its group as the thread `start` does it."""
        self.run(pod.uid, *ids, container=container.id)
        snapshot = self.link.snapshot
        group, _rule = snapshot.binder.bind(unit_of_pod(pod, [container]))
        outcome = StartOutcome(group)
        if group is not None and snapshot.is_measured:
            groups = MonitoringGroups(self.resctrl.view(), now_ns=self.clock.now_ns, sleep_seconds=self._wait)
            try:
                path = snapshot.paths.get(group) or groups.create_group(group)
                groups.assign(path, ids)
                outcome = StartOutcome(group, path, is_new=group not in snapshot.paths, is_whole=True, threads=len(ids))
            except ResctrlError as problem:
                outcome = StartOutcome(group, problem=problem.kind, detail=problem.sentence)
        self.hear(ContainerStarting(pod, container, outcome))
        return outcome

    # ---- what an operator may ask for --------------------------------------------------------------

    @property
    def controller(self) -> GroupController:
        """What carries the plan of groups out; what it changes is published with `follow`."""
        controller = self.work._controller
        assert controller is not None
        return controller

    def follow(self) -> "Host":
        """Publish how the groups stand, and do nothing else."""
        self.work._follow_groups()
        return self

    def creates(self) -> int:
        """How often a group's directory was tried to be made."""
        return int(self.controller.stats()["steps"].get("create", 0))

    # ---- what can be seen --------------------------------------------------------------------------

    def assigned(self, uid: str = UID) -> Assignment:
        """What the supervisor holds of a pod."""
        return decode_assignment(self.bus.entries()[f"pod/{uid}"])

    def paths(self, uid: str = UID) -> tuple[str, ...]:
        """The directories of a pod's group, as published."""
        monitoring = self.assigned(uid).monitoring
        assert monitoring is not None
        return monitoring.paths

    def problem(self, uid: str = UID) -> str:
        """The kind of reason why a pod has no group, as published."""
        monitoring = self.assigned(uid).monitoring
        assert monitoring is not None
        return monitoring.problem

    def whole(self, uid: str = UID) -> tuple[int, int]:
        """How many containers of a pod are whole in its group, of how many."""
        monitoring = self.assigned(uid).monitoring
        assert monitoring is not None
        return monitoring.reconciled_containers, monitoring.total_containers

    def tasks(self, path: str) -> set[int]:
        """The threads in a group."""
        return set(map(int, self.resctrl.read(f"{path.removeprefix(ROOT + '/')}/tasks").split()))

    def groups(self) -> set[str]:
        """All monitoring groups there are."""
        return set(self.resctrl.list_directories("mon_groups"))

    def events(self, uid: str = UID) -> int:
        """How often something was published about a pod."""
        return sum(key == f"pod/{uid}" for published in self.bus.published for key, _content in published.changes)

    def condition(self, kind: str = "resctrl") -> Condition | None:
        """A condition as last announced, None when it is over."""
        told = [condition for condition in self.bus.conditions if condition.kind == kind]
        return told[-1] if told and told[-1].active else None
