"""A segment as a sink that gets whole segments sees it: what is in it, without its rows. PURE."""

from collections.abc import Iterable

from msgspec.structs import replace

from agent.model.timebase import civil_date
from agent.store.batch import StoredBatch
from agent.store.place import BEHIND_SEGMENT, Place


def segment_parts(batches: Iterable[StoredBatch], segment: str, until: Place) -> list[StoredBatch] | None:
    """One batch for each table and UTC date of a segment, without its bytes: a segment may hold hundreds of thousands.

    *Shape:* in the order of their last batches; `entry` is that of the last one with the rows of all, and the last part ends behind
    the segment. `batches` are what follows a place in it; those of later segments are not looked at.
    *Absent:* None where some of the segment comes only after `until`.
    """
    parts: dict[tuple[str, str], StoredBatch] = {}
    for batch in batches:
        if batch.place.segment != segment:
            break
        if not batch.place.is_before(until):
            return None
        # Taken out and put in: the last one of the segment comes last.
        key = batch.table, civil_date(batch.entry.stamp_wall_ns)
        before = parts.pop(key, None)
        rows = batch.entry.rows + (0 if before is None else before.entry.rows)
        begin = batch.place if before is None else before.place
        parts[key] = replace(batch, place=begin, entry=replace(batch.entry, rows=rows), rows=b"")
    found = list(parts.values())
    if found:
        found[-1] = replace(found[-1], behind=Place(segment, BEHIND_SEGMENT))
    return found
