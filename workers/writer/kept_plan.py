"""Which sealed segments stay for sinks that have not read them, and which go. PURE.

A segment goes when every sink is behind it. It also goes when all that still need it have more waiting than their quota, or when
all kept segments together are more than their part of the storage quota: then the sinks are told exactly what they lose.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.store.place import BEHIND_SEGMENT, Place
from agent.store.segment import generation_of

# Of the storage quota kept segments take no more than this part: what was measured last is worth as much as what is sent late.
QUOTA_PART = 2


class KeptFile(Struct, frozen=True):
    """A segment that is sealed and kept."""

    name: str
    segment: str
    size_bytes: int


class SinkNeed(Struct, frozen=True):
    """From where on a sink needs segments (None: it has read nothing yet), and how much may wait for it."""

    sink: str
    quota_bytes: int
    place: Place | None

    def needs(self, segment: str) -> bool:
        """Whether it may still read there."""
        if self.place is None or _age(self.place.segment) < _age(segment):
            return True
        return self.place.segment == segment and self.place.offset < BEHIND_SEGMENT


class Removal(Struct, frozen=True):
    """A segment that goes. `reason` "": everybody has read it."""

    file: KeptFile
    reason: str


def removals(kept: Sequence[KeptFile], sinks: Sequence[SinkNeed], cap_bytes: int) -> list[Removal]:
    """What goes, the oldest first. `kept` is in the order of age; `cap_bytes` 0: all of them together have no limit."""
    total = sum(file.size_bytes for file in kept)
    waiting = {need.sink: sum(file.size_bytes for file in kept if need.needs(file.segment)) for need in sinks}
    found: list[Removal] = []
    for file in kept:
        needing = [need for need in sinks if need.needs(file.segment)]
        if not needing:
            reason = ""
        elif all(waiting[need.sink] > need.quota_bytes for need in needing):
            reason = "sink_quota"
        elif cap_bytes and total > cap_bytes:
            reason = "storage_quota"
        else:
            # Who needs it needs all that are younger too.
            break
        found.append(Removal(file, reason))
        total -= file.size_bytes
        for need in needing:
            waiting[need.sink] -= file.size_bytes
    return found


def _age(segment: str) -> tuple[int, str]:
    return (generation_of(segment), segment)
