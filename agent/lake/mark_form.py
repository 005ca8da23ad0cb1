"""How a mark stands in the cache: text that is greater where the mark is newer. PURE.

    key      evergauge:marks:<lake>:<table>       a hash, one for each table
    field    <host>
    value    <20 digits: commit>|<20 digits: microseconds of unix time>

The commit comes first, so that of two marks the one of the later commit is the greater text, also where a host's clock was set
back. Numbers of Redis are doubles, which lose 256 ns of a time of today; texts of equal length lose nothing.
"""

import re
from hashlib import sha256

from msgspec import Struct

from agent.model.timebase import US

_DIGITS = 20
VALUE_LENGTH = 2 * _DIGITS + 1
_VALUE = re.compile(rf"([0-9]{{{_DIGITS}}})\|([0-9]{{{_DIGITS}}})")
_LAKE_ID_LENGTH = 16


class CachedMark(Struct, frozen=True, order=True):
    """Up to where the store had the rows of one host and table, at least, behind its commit of this number.

    *Units:* `low_ns`: unix time. *Range:* 0 for times before 1970; whole microseconds, rounded down.
    """

    commit: int
    low_ns: int


def lake_id(url: str) -> str:
    """What tells lakes apart that share a cache: everybody who names a lake by the same URL gets the same."""
    return sha256(url.rstrip("/").encode()).hexdigest()[:_LAKE_ID_LENGTH]


def mark_key(lake: str, table: str) -> str:
    """Where the marks of a table are."""
    return f"evergauge:marks:{lake}:{table}"


def mark_value(mark: CachedMark) -> str:
    """The text of a mark."""
    assert mark.commit >= 0
    return f"{mark.commit:0{_DIGITS}d}|{max(0, mark.low_ns) // US:0{_DIGITS}d}"


def parse_mark(value: object) -> CachedMark | None:
    """The mark that a text is. *Absent:* None: nobody of ours has written it."""
    if not isinstance(value, bytes) or len(value) != VALUE_LENGTH:
        return None
    found = _VALUE.fullmatch(value.decode("latin-1"))
    return None if found is None else CachedMark(int(found[1]), int(found[2]) * US)
