"""How fast a backlog goes: it takes a share of one core at most, while what is new goes at once. PURE."""

from agent.model.timebase import S

# A delivery that took long is not paid back for ever.
REST_MOST_NS = 10 * S


class Pace:
    """After so much CPU time for a piece of the backlog the next piece waits, so that all of them take `percent` of a core."""

    def __init__(self, percent: int) -> None:
        assert 1 <= percent <= 100
        self._percent = percent
        self._spent_ns = 0
        self._since_ns: int | None = None

    def on_spent(self, cpu_ns: int, now_ns: int) -> None:
        """A piece of the backlog has cost so much CPU time."""
        if self._since_ns is None or now_ns - self._since_ns - self._owed_ns() > REST_MOST_NS:
            # The first piece for a while: what was not used before is not saved up.
            self._since_ns, self._spent_ns = now_ns - cpu_ns, 0
        self._spent_ns += cpu_ns

    def not_before_ns(self) -> int:
        """When the next piece may begin; 0: at once."""
        return 0 if self._since_ns is None else self._since_ns + self._owed_ns()

    def _owed_ns(self) -> int:
        return min(self._spent_ns * 100 // self._percent, self._spent_ns + REST_MOST_NS)
