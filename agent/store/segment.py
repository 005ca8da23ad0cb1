"""Names of segments, and which of two is the later one. PURE.

Every segment has a generation, a number that only grows: it begins the segment's id, so it stands in the segment's head,
in its file name and in the names of the Parquet files made of it. A clock can jump; so no time decides which of two
segments is the later one, whose marks hold and which data is the oldest.
"""

import re
from collections.abc import Iterable

from agent.model.timebase import S, compact_utc
from agent.store.record import SegmentHead

SUFFIX = ".spool"
# The largest `writer.seal_bytes` (512 MiB) and one full drain above it; beyond that only a spool that cannot be rotated grows.
# The writer appends to no larger one, and readers refuse to read one.
SEGMENT_BYTES_MAX = 640 << 20
# Eight hexadecimal digits: at one segment a second they last for 136 years.
GENERATION_MAX = 0xFFFF_FFFF
_GENERATION_DIGITS = 8
ID = "[0-9a-f]{16}"
_ID = re.compile(ID)
_SEALED = re.compile(rf"-({ID})\.parquet\Z")
_NAME = re.compile(rf"([0-9]{{8}}T[0-9]{{6}}Z)-({ID})\.spool")
# A second damaged file of one name is set aside as `.1`.
_NAME_SET_ASIDE = re.compile(rf"{_NAME.pattern}(?:\.[0-9]{{1,4}})?")


def segment_id(generation: int, chance: str) -> str:
    """The id of a segment; `chance`, eight hexadecimal digits, keeps two hosts' segments of one generation apart."""
    assert 0 < generation <= GENERATION_MAX
    return f"{generation:0{_GENERATION_DIGITS}x}{chance}"


def segment_name(head: SegmentHead) -> str:
    """The file name of a segment."""
    return f"{compact_utc(head.created_wall_ns)}-{head.segment}{SUFFIX}"


def is_segment_name(name: str) -> bool:
    """Whether a file of this name in the spool is a segment of the writer's own."""
    return _NAME.fullmatch(name) is not None


def is_set_aside_name(name: str) -> bool:
    """Whether a file of this name was set aside by the writer."""
    return _NAME_SET_ASIDE.fullmatch(name) is not None


def id_in(name: str) -> str:
    """The id of the segment in a segment's file name."""
    return name.partition(".")[0].partition("-")[2]


def created_wall_ns(name: str) -> int | None:
    """The time in a segment's file name; None where it is none."""
    from datetime import UTC, datetime

    try:
        return int(datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()) * S
    except ValueError:
        return None


def generation_of(segment: str) -> int:
    """The generation in a segment's id; 0, older than all others, for what is no id."""
    if _ID.fullmatch(segment) is None:
        return 0
    return int(segment[:_GENERATION_DIGITS], 16)


def generation_in_sealed(name: str) -> int:
    """The generation of the segment that a sealed file was made of; 0 where its name says none."""
    found = _SEALED.search(name)
    return 0 if found is None else generation_of(found[1])


def in_order(names: Iterable[str]) -> list[str]:
    """Names of segments in the order in which they were opened; among those of one generation, by the time in the name."""
    return sorted(names, key=lambda name: (generation_of(id_in(name)), name))
