"""The layout of a worker's heartbeat page, shared memory between one worker and the supervisor. PURE.

The worker's main loop writes it in every turn; the supervisor reads all pages on one timer.
A message per beat would wake the supervisor for each worker; a page wakes nobody.

The page is a sequence lock: `version` is odd while the worker writes, and a reader that sees two different
versions around its copy, or an odd one, read a torn page and keeps its last good one.

After the beat comes the worker's own measurement of its memory: another process would need the worker's memory lock for it, and
could wait for that for ever. It is one aligned word, written and read as a whole; 0 means unknown. A second such word has the bytes
of rows that the writer has not acknowledged, which nobody else can see.

Then comes the certificate, which the supervisor writes once. It says which worker the process is, for a later supervisor that
finds it. Its length comes first and is written last.
"""

from struct import Struct as Layout

from msgspec import Struct

PAGE_BYTES = 1024
CERTIFICATE_OFFSET = 128
VERSION = Layout("<Q")
_BODY = Layout("<QQQ32s")
BODY_OFFSET = VERSION.size
BODY_BYTES = _BODY.size
MEMORY = Layout("<Q")
MEMORY_OFFSET = BODY_OFFSET + BODY_BYTES
QUEUE = Layout("<Q")
QUEUE_OFFSET = MEMORY_OFFSET + MEMORY.size
CERTIFICATE_LENGTH = Layout("<I")
# The last byte of the page: 1 once a standby process waits for its order.
WAITING_OFFSET = PAGE_BYTES - 1
CERTIFICATE_BYTES_MAX = WAITING_OFFSET - CERTIFICATE_OFFSET - CERTIFICATE_LENGTH.size


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


def parse_certificate(area: bytes) -> bytes | None:
    """The certificate in the bytes from CERTIFICATE_OFFSET on; None when none was written."""
    length = CERTIFICATE_LENGTH.unpack_from(area)[0]
    if not 0 < length <= CERTIFICATE_BYTES_MAX:
        return None
    return area[CERTIFICATE_LENGTH.size : CERTIFICATE_LENGTH.size + length]
