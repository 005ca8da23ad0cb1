"""How fast a backlog goes: it takes a share of one core at most, while what is new goes at once; how much goes together. PURE."""

from agent.model.timebase import MS, S

# The stored bytes of one delivery. A kind that makes much of a row would otherwise hold the loop for longer than a heartbeat.
CHUNK_LEAST_BYTES, CHUNK_MOST_BYTES = 16 << 10, 256 << 10
ENCODING_LEAST_NS, ENCODING_MOST_NS = 25 * MS, 80 * MS

# A delivery that took long is not paid back for ever.
REST_MOST_NS = 10 * S


class Pace:
    """After so much CPU time for a piece of the backlog the next piece waits, so that all of them take `percent` of a core."""

    def __init__(self, percent: int) -> None:
        assert 1 <= percent <= 100
        self._percent = percent
        self._until_ns: int | None = None

    def set_percent(self, percent: int) -> None:
        """Another share from the next piece on."""
        assert 1 <= percent <= 100
        self._percent = percent

    def on_spent(self, cpu_ns: int, now_ns: int) -> None:
        """A piece of the backlog, or a part of one, has cost so much CPU time."""
        begun_ns = now_ns - cpu_ns
        # What is owed for earlier pieces goes on from there; what was not used before is not saved up.
        since_ns = begun_ns if self._until_ns is None else max(begun_ns, self._until_ns)
        self._until_ns = since_ns + min(cpu_ns * 100 // self._percent, cpu_ns + REST_MOST_NS)

    def not_before_ns(self) -> int:
        """When the next piece may begin; 0: at once."""
        return self._until_ns or 0


def next_chunk_bytes(now_bytes: int, took_ns: int) -> int:
    """How much the next delivery may hold, by how long the last one took to encode."""
    if took_ns > ENCODING_MOST_NS:
        return max(CHUNK_LEAST_BYTES, now_bytes // 2)
    return min(CHUNK_MOST_BYTES, now_bytes * 2) if took_ns < ENCODING_LEAST_NS else now_bytes
