"""How fast a backlog goes: it takes a share of one core at most, while what is new goes at once. PURE."""

from agent.model.timebase import S

# A delivery that took long is not paid back for ever.
REST_MOST_NS = 10 * S


class Pace:
    """After so much CPU time for a piece of the backlog the next piece waits, so that all of them take `percent` of a core."""

    def __init__(self, percent: int) -> None:
        assert 1 <= percent <= 100
        self._percent = percent
        self._until_ns: int | None = None

    def on_spent(self, cpu_ns: int, now_ns: int) -> None:
        """A piece of the backlog, or a part of one, has cost so much CPU time."""
        begun_ns = now_ns - cpu_ns
        # What is owed for earlier pieces goes on from there; what was not used before is not saved up.
        since_ns = begun_ns if self._until_ns is None else max(begun_ns, self._until_ns)
        self._until_ns = since_ns + min(cpu_ns * 100 // self._percent, cpu_ns + REST_MOST_NS)

    def not_before_ns(self) -> int:
        """When the next piece may begin; 0: at once."""
        return self._until_ns or 0
