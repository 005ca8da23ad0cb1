"""The standby pool: a few processes kept ready, replaced when they die or do not come to wait in time."""

from collections import deque
from collections.abc import Callable

from agent.model.timebase import S
from supervisor.shell.standby import StandbyProcess, discard, has_ended

# It takes milliseconds, on a starved machine a second or two.
START_NS_MAX = 5 * S


class StandbyPool:
    """Up to `size` standby processes. `add` is called in the launcher's thread, everything else in the loop.

    `on_discard` is called with the pid of each that the pool kills, before it does.
    """

    def __init__(self, size: int, *, on_discard: Callable[[int], None]) -> None:
        assert size >= 0
        self._size = size
        self._on_discard = on_discard
        self.processes: deque[StandbyProcess] = deque()

    @property
    def is_short(self) -> bool:
        """Whether one more is to be forked."""
        return len(self.processes) < self._size

    def add(self, standby: StandbyProcess) -> None:
        """One more; it need not have come to wait yet."""
        self.processes.append(standby)

    def take(self) -> StandbyProcess | None:
        """One that waits, removed from the pool. *Absent:* none waits."""
        for standby in list(self.processes):
            if has_ended(standby):
                self._remove(standby)
            elif standby.is_waiting:
                self.processes.remove(standby)
                return standby
        return None

    def drop_failed(self, now_ns: int) -> None:
        """Remove those that have died, and those that hang on their way: as a worker such a one would be found, here it is too."""
        for standby in list(self.processes):
            if has_ended(standby) or (not standby.is_waiting and standby.forked_at_ns < now_ns - START_NS_MAX):
                self._remove(standby)

    def close(self) -> None:
        """Remove all."""
        for standby in list(self.processes):
            self._remove(standby)

    def _remove(self, standby: StandbyProcess) -> None:
        self.processes.remove(standby)
        self._on_discard(standby.pid)
        discard(standby)
