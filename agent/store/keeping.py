"""What the writer says of segments that it keeps for sinks: from when on it has kept all for each, and what it had to remove. PURE.

So a sink knows exactly what it can never get: nothing that is missing has to be guessed at. The file: `agent.store.keeping_file`.
"""

from collections.abc import Mapping

from msgspec import Struct

# Beyond so many the oldest two become one: a sink that is away for years is told how much it lost, not in which pieces.
PRUNED_MAX = 1024


class PrunedSegment(Struct, frozen=True):
    """A segment that was removed before every sink had read it (the last of several, where they were put together).

    `rows` counts by table what was in it, rows of other hosts under `agent.store.record.foreign_name`.
    None: not known, since it was not there any more. `reason`: `sink_quota`, `storage_quota`
    or `removed` (by somebody else). Times are those of its first and last batch; None: unknown.
    """

    segment: str
    rows: Mapping[str, int] | None
    bytes: int
    first_wall_ns: int | None
    last_wall_ns: int | None
    reason: str


class Keeping(Struct, frozen=True):
    """`since`: the generation from which on every segment was kept for a sink until it had read it, by the sink's name."""

    since: Mapping[str, int] = {}
    pruned: tuple[PrunedSegment, ...] = ()

    def with_pruned(self, segment: PrunedSegment) -> "Keeping":
        """One more segment was removed."""
        pruned = (*self.pruned, segment)
        if len(pruned) > PRUNED_MAX:
            pruned = (_together(pruned[0], pruned[1]), *pruned[2:])
        return Keeping(self.since, pruned)


def _together(first: PrunedSegment, second: PrunedSegment) -> PrunedSegment:
    rows = None
    if first.rows is not None and second.rows is not None:
        rows = {table: first.rows.get(table, 0) + second.rows.get(table, 0) for table in {**first.rows, **second.rows}}
    begin = second.first_wall_ns if first.first_wall_ns is None else first.first_wall_ns
    return PrunedSegment(second.segment, rows, first.bytes + second.bytes, begin, second.last_wall_ns, second.reason)
