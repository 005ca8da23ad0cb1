"""What the handlers of FUSE requests share: their signature, and the instant at which a request happens."""

from collections.abc import Callable

from workers.resctrl.emulator.ports import Caller

# A request's unique number, its node, its caller and the bytes after the header; None: the request has no answer.
Handler = Callable[[int, int, Caller, bytes], bytes | None]


class RequestTime:
    """The instant of the request that is being served. *Units:* nanoseconds of CLOCK_MONOTONIC."""

    __slots__ = ("_settle", "clock_ns", "now_ns")

    def __init__(self, clock_ns: Callable[[], int], settle: Callable[[], None]) -> None:
        self.clock_ns = clock_ns
        self._settle = settle
        self.now_ns = clock_ns()

    def bring_up_to_date(self) -> None:
        """Takes in all forks and exits until now; the request then happens after them."""
        self._settle()
        self.now_ns = self.clock_ns()
