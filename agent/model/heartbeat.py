"""The layout of a worker's heartbeat page: 128 bytes shared between one worker and the supervisor. PURE.

The worker's main loop writes it at every turn; the supervisor looks at all pages on one timer of its own.
A message per beat would wake the supervisor for each worker; a page wakes nobody.

The page is a sequence lock: `version` is odd while the worker writes, and a reader that sees two different
versions around its copy, or an odd one, read a torn page and keeps its last good one.
"""

from struct import Struct as Layout

from msgspec import Struct

PAGE_BYTES = 128
VERSION = Layout("<Q")
_BODY = Layout("<QQQ32s")
BODY_OFFSET = VERSION.size
BODY_BYTES = _BODY.size


class Beat(Struct, frozen=True):
    """What a worker last wrote: turns of its loop, when (monotonic), and the rules it holds."""

    turns: int
    at_ns: int
    revision: int
    digest: bytes


def pack_body(beat: Beat) -> bytes:
    """The body of the page, without the version before it."""
    return _BODY.pack(beat.turns, beat.at_ns, beat.revision, beat.digest)


def parse_page(first_version: bytes, body: bytes, second_version: bytes) -> Beat | None:
    """The beat, or None when the copy is torn or nothing was ever written."""
    version = VERSION.unpack(first_version)[0]
    if version % 2 or version == 0 or first_version != second_version:
        return None
    return Beat(*_BODY.unpack(body))
