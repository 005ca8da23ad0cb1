"""The end of the agent: workers are stopped one after another, in the reverse order of their start. PURE.

The whole stop has one time limit, which the workers share. A worker that is still there after SIGKILL waits inside the kernel
and is left behind.
"""

from agent.model.timebase import MS
from supervisor.core.child import Child, ChildState
from supervisor.core.effect import Announce, Effect, Finished, Log
from supervisor.core.event_delivery import EventDelivery
from supervisor.core.supervisor_state import SupervisorState

# However little time is left, a worker gets this much to end by itself.
GRACE_LEAST_NS = 100 * MS
# The writer stays this long for the last events of all others; it stores them in a millisecond, unless the disk stands still.
EVENTS_GRACE_NS = 250 * MS


class StopSequence:
    """Which workers are still to stop. `Finished` is its last effect."""

    def __init__(self, state: SupervisorState, delivery: EventDelivery, stop_timeout_ns: int) -> None:
        self._state = state
        self.stop_timeout_ns = stop_timeout_ns
        self._until_ns = 0
        # None: nobody has asked the agent to end.
        self._order: list[str] | None = None
        self._killed: set[str] = set()
        self._is_finished = False
        self._try_again = False
        self._delivery = delivery
        # Until when the worker that stores events is not stopped, because it still takes some.
        self._hold_until_ns: int | None = None
        self._was_held = False

    @property
    def has_begun(self) -> bool:
        """Whether the agent was asked to end."""
        return self._order is not None

    def begin(self, reason: str, now_ns: int, *, try_again: bool = False) -> list[Effect]:
        """Stop all workers; asked a second time, stop them without patience.

        `try_again`: the service manager is asked to start the agent again.
        """
        if self._order is not None:
            return [effect for child in self._state.children.values() if child.has_process for effect in self._hurry(child, now_ns)]
        self._try_again = try_again
        self._state.is_stopping = True
        self._until_ns = now_ns + self.stop_timeout_ns
        self._order = list(reversed(self._state.children))
        for child in self._state.children.values():
            child.want_no_more()
        announced = Announce("stopping", is_stopping=True)
        return [Log("stopping", "info", {"reason": reason}), announced, *self.go_on(now_ns)]

    def go_on(self, now_ns: int) -> list[Effect]:
        """Stop the next worker in line; the last one's end is the supervisor's. Nothing before `begin`."""
        if self._order is None or self._is_finished:
            return []
        while self._order:
            child = self._state.children[self._order[0]]
            if child.kind.stores_events and self._holds(now_ns):
                return []
            effects = child.stop("the agent ends", now_ns, wanted=False, grace_ns=self._grace_ns(now_ns))
            if child.has_process:
                return effects
            self._order.pop(0)
        self._is_finished = True
        left = tuple(child.name for child in self._state.children.values() if child.has_process)
        return [Finished(left, self._try_again)]

    def next_deadline_ns(self) -> int | None:
        """When `go_on` has something to do although nothing happened. *Absent:* nothing is waited for."""
        return self._hold_until_ns

    def on_time(self, now_ns: int) -> list[Effect]:
        """The last events may be stored by now, or have taken too long."""
        return [] if self._hold_until_ns is None else self.go_on(now_ns)

    def _holds(self, now_ns: int) -> bool:
        """Whether the writer stays for the last events."""
        if not self._was_held and self._delivery.takes_events:
            # At least until the end of the worker before it is an event too.
            self._was_held, self._hold_until_ns = True, now_ns + EVENTS_GRACE_NS
            return True
        if self._hold_until_ns is not None and self._delivery.is_under_way and now_ns < self._hold_until_ns:
            return True
        self._hold_until_ns = None
        return False

    def on_gone(self, name: str) -> None:
        """A worker's process has ended."""
        self._killed.discard(name)

    def on_child_deadline(self, child: Child, now_ns: int) -> list[Effect]:
        """A worker's deadline has come: what it decides itself, or that it is left behind."""
        if self._order is None or child.state is not ChildState.STOPPING:
            return child.on_deadline(now_ns)
        if child.name not in self._killed:
            self._killed.add(child.name)
            return child.on_deadline(now_ns)
        child.deadline_ns = None
        self._order.remove(child.name)
        return [Log("left_behind", "error", {"worker": child.name, "pid": child.pid}), *self.go_on(now_ns)]

    def _hurry(self, child: Child, now_ns: int) -> list[Effect]:
        if child.name in self._killed:
            # Asked three times: it has been killed, more cannot be done.
            return []
        effects = child.stop("asked twice", now_ns, wanted=False)
        child.deadline_ns = now_ns
        return effects

    def _grace_ns(self, now_ns: int) -> int:
        """The next worker's share of the time that the whole stop may take: the rest, divided among those still to stop."""
        assert self._order
        rest_ns = self._until_ns - now_ns
        return max(GRACE_LEAST_NS, rest_ns // len(self._order))
