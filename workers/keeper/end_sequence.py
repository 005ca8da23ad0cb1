"""In which order a workload ends: asked, given its grace, killed, read for the last time, removed. PURE.

A workload ends with its first process. What that leaves behind in the cgroup is ended the same way, and never lives on without
a name: a program that puts itself into the background is to be started so that it does not.
"""

from enum import StrEnum

# A process that is ended while it waits in the kernel (state D) takes its time.
KILL_AGAIN_NS = 100_000_000
KILL_AGAIN_NS_MAX = 10_000_000_000
REMOVE_AGAIN_NS = 5_000_000
REMOVE_AGAIN_NS_MAX = 1_000_000_000
# Some 30 s together. Then the cgroup stays, and that is told.
REMOVALS_MAX = 38


class EndPhase(StrEnum):
    """Where it is on its way."""

    RUNNING = "running"
    TERMINATING = "terminating"
    KILLING = "killing"
    REMOVING = "removing"
    ENDED = "ended"


class EndAction(StrEnum):
    """What is to be done now."""

    NOTHING = "nothing"
    TERMINATE = "terminate"
    KILL = "kill"
    FINISH = "finish"
    REMOVE = "remove"


class EndSequence:
    """One workload's end. `grace_ns` is how long it has between being asked and being killed."""

    def __init__(self, grace_ns: int) -> None:
        self.phase = EndPhase.RUNNING
        self.was_asked = False
        # When `step` wants to be called even if nothing happens. None: never.
        self.deadline_ns: int | None = None
        self._grace_ns = grace_ns
        self._pause_ns = 0
        self._removals = 0

    @property
    def is_under_way(self) -> bool:
        """Whether it waits for processes to end."""
        return self.phase in (EndPhase.TERMINATING, EndPhase.KILLING)

    def ask(self, now_ns: int, grace_ns: int | None = None) -> None:
        """It shall end. Asked again it may end sooner, never later."""
        self.was_asked = True
        if grace_ns is not None:
            self._grace_ns = grace_ns
            if self.phase is EndPhase.TERMINATING and self.deadline_ns is not None:
                self.deadline_ns = min(self.deadline_ns, now_ns + grace_ns)

    def step(self, now_ns: int, *, has_ended: bool, is_empty: bool) -> EndAction:
        """What is to be done. `has_ended`: its first process; `is_empty`: nobody is in its cgroup."""
        is_due = self.deadline_ns is not None and now_ns >= self.deadline_ns
        if self.phase is EndPhase.REMOVING:
            return EndAction.REMOVE if is_due else EndAction.NOTHING
        if self.phase is EndPhase.ENDED or (self.phase is EndPhase.RUNNING and not has_ended and not self.was_asked):
            return EndAction.NOTHING
        if has_ended and is_empty:
            self.phase, self.deadline_ns, self._pause_ns = EndPhase.REMOVING, now_ns, REMOVE_AGAIN_NS
            return EndAction.FINISH
        if self.phase is EndPhase.RUNNING and self._grace_ns > 0:
            self.phase, self.deadline_ns = EndPhase.TERMINATING, now_ns + self._grace_ns
            return EndAction.TERMINATE
        if self.phase is EndPhase.KILLING and not is_due:
            return EndAction.NOTHING
        if self.phase is EndPhase.TERMINATING and not is_due:
            return EndAction.NOTHING
        self._pause_ns = KILL_AGAIN_NS if self.phase is not EndPhase.KILLING else min(2 * self._pause_ns, KILL_AGAIN_NS_MAX)
        self.phase, self.deadline_ns = EndPhase.KILLING, now_ns + self._pause_ns
        return EndAction.KILL

    def note_removal(self, now_ns: int, *, is_gone: bool) -> bool:
        """The cgroup was removed, or could not be. Whether the end is reached: gone, or given up."""
        assert self.phase is EndPhase.REMOVING
        self._removals += 1
        if is_gone or self._removals >= REMOVALS_MAX:
            self.phase, self.deadline_ns = EndPhase.ENDED, None
            return True
        self.deadline_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, REMOVE_AGAIN_NS_MAX)
        return False
