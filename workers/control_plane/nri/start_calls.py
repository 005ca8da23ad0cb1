"""Containers that wait for their start: each is answered when its threads are placed or at its deadline, whichever is first."""

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from workers.control_plane.container_runtime.event import ContainerStarting, StartOutcome
from workers.control_plane.container_runtime.start_assignment import ContainerStart
from workers.control_plane.nri.latency import LatencyCount
from workers.control_plane.nri.session import StartCall, StartRequested
from workers.resctrl.problem import ProblemKind

# Of the runtime's own limit, which is 2 s by default: the other half is for what lies between.
_SHARE_OF_LIMIT = 2
_HANGS = "not placed before its start: an earlier change of resctrl has not returned"
_TOO_LATE = "not placed before its start: the deadline came first"


class StartAnswer(Struct, frozen=True):
    """What is to be answered and reported. *Absent:* `call` is None where the start was answered before, at its deadline."""

    call: StartCall | None
    event: ContainerStarting
    begun_ns: int


class StartQueue(Protocol):
    """Where starts are carried out; `StartThread` is the one."""

    def offer(self, task: ContainerStart) -> bool:
        """Have a task carried out. False: too many wait already."""
        ...

    def take_done(self) -> list[ContainerStart]:
        """The tasks that are over."""
        ...

    def late_ns(self) -> int:
        """For how long the current task has been going on after its deadline."""
        ...


class _Waiting(Struct):
    call: StartCall | None
    task: ContainerStart
    begun_ns: int


class StartCalls:
    """The starts of one plugin. `thread` None: nothing is measured here, and every start is answered at once."""

    def __init__(self, thread: StartQueue | None, deadline_ns: int, now_ns: Callable[[], int]) -> None:
        self._thread = thread
        self._deadline_ns = deadline_ns
        self._now_ns = now_ns
        self._limit_ns = 0
        # By the identity of the task, oldest first; as many as the thread takes.
        self._waiting: dict[int, _Waiting] = {}
        self.latency = LatencyCount()
        self.deadline_misses = 0
        self.refused = 0
        """Starts that were answered at once because an earlier one hangs."""

    def on_limit(self, request_timeout_ns: int) -> None:
        """The runtime's own limit of each call; 0: it named none."""
        self._limit_ns = request_timeout_ns

    def request(self, start: StartRequested, begun_ns: int) -> StartAnswer | None:
        """A container is about to start. *Absent:* None: it is answered later, by `take_answers`."""
        if self._thread is None:
            return StartAnswer(start.call, ContainerStarting(start.pod, start.container), begun_ns)
        budget_ns = self._budget_ns(start.call)
        # Until it is known better the group is the pod's own.
        task = ContainerStart(start.pod, start.container, begun_ns + budget_ns, StartOutcome(start.pod.uid))
        if self._thread.late_ns() > budget_ns or not self._thread.offer(task):
            self.refused += 1
            task.outcome = replace(task.outcome, problem=ProblemKind.TIMEOUT, detail=_HANGS)
            return StartAnswer(start.call, self._event(task, begun_ns), begun_ns)
        self._waiting[id(task)] = _Waiting(start.call, task, begun_ns)
        return None

    def next_deadline_ns(self) -> int | None:
        """When the next answer is due whatever has been done. *Absent:* None: no start waits."""
        return min((each.task.deadline_ns for each in self._waiting.values() if each.call is not None), default=None)

    def take_answers(self) -> list[StartAnswer]:
        """Those that are placed, and those whose time is over. One that is placed later is reported once more, without a call."""
        answers = []
        for task in self._thread.take_done() if self._thread is not None else ():
            waiting = self._waiting.pop(id(task))
            if waiting.call is not None or task.outcome.path:
                answers.append(StartAnswer(waiting.call, self._event(task, waiting.begun_ns), waiting.begun_ns))
        now_ns = self._now_ns()
        for waiting in self._waiting.values():
            if waiting.call is not None and now_ns >= waiting.task.deadline_ns:
                self.deadline_misses += 1
                answers.append(self._given_up(waiting))
        return answers

    def take_all(self) -> list[StartAnswer]:
        """The connection is gone: what is known of those that waited."""
        return [self._given_up(waiting) for waiting in self._waiting.values() if waiting.call is not None]

    def on_sent(self, answer: StartAnswer) -> None:
        """An answer has gone out."""
        if answer.call is not None:
            self.latency.add(self._now_ns() - answer.begun_ns)

    def stats(self) -> dict[str, Any]:
        """Counts of answers and how long they took."""
        return {
            "starts": self.latency.count,
            "deadline_misses": self.deadline_misses,
            "refused": self.refused,
            "start_ns_p50": self.latency.percentile_ns(50),
            "start_ns_p99": self.latency.percentile_ns(99),
            "start_ns_max": self.latency.max_ns,
        }

    def _budget_ns(self, call: StartCall) -> int:
        limits_ns = [limit_ns // _SHARE_OF_LIMIT for limit_ns in (self._limit_ns, call.timeout_ns) if limit_ns > 0]
        return min([self._deadline_ns, *limits_ns])

    def _given_up(self, waiting: _Waiting) -> StartAnswer:
        outcome = waiting.task.outcome
        if outcome.problem is None and not outcome.is_whole:
            outcome = replace(outcome, problem=ProblemKind.TIMEOUT, detail=_TOO_LATE)
        call, waiting.call = waiting.call, None
        event = ContainerStarting(waiting.task.pod, waiting.task.container, self._timed(outcome, waiting.begun_ns))
        return StartAnswer(call, event, waiting.begun_ns)

    def _event(self, task: ContainerStart, begun_ns: int) -> ContainerStarting:
        return ContainerStarting(task.pod, task.container, self._timed(task.outcome, begun_ns))

    def _timed(self, outcome: StartOutcome, begun_ns: int) -> StartOutcome:
        return replace(outcome, elapsed_ns=self._now_ns() - begun_ns)
