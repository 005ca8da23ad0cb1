"""Watches processes end, by the best source that the kernel gives, and settles each tick's deaths."""

from typing import Any

from agent.ports import Bus
from workers.process.exits.deaths import Deaths, ExitSourceName, TickTimes
from workers.process.process_table import ProcessTable, Scan


class ExitWatcher:
    """The deaths of each tick. `settle` comes after `ProcessTable.look` and before `end_interval`."""

    def __init__(self, bus: Bus, *, buffer_bytes: int) -> None:
        self._bus = bus
        self._buffer_bytes = buffer_bytes
        self.source = ExitSourceName.CUTIME.value

    def settle(self, scan: Scan, table: ProcessTable, times: TickTimes) -> Deaths:
        """What ended since the last tick."""
        return Deaths(self.source)

    def wake_at_ns(self) -> int | None:
        """When `catch_up` must be called so that the buffer does not overflow before the next tick; None: need not."""
        return None

    def catch_up(self, until_ns: int) -> None:
        """Take over what waits in the buffer."""

    def stats(self) -> dict[str, Any]:
        """For `status` and /metrics."""
        return {"exit_source": self.source}

    def close(self) -> None:
        """Give everything back."""
