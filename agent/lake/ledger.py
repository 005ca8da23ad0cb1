"""Which landing files of one day of a table were consumed and deleted: a set of digests of their paths. PURE.

An exporter whose answer was lost may put such a file once more, days later. Its rows are in a merged file already: a reader passes
it over, because the day's ledger knows its name. So names are remembered for as long as the day's data, at 16 bytes each.
*Source:* the file is a magic word, the digests in order, and a digest of all that.
"""

from collections.abc import Iterable

from agent.model.checksum import blake2b
from agent.model.errors import FormatError

MAGIC = b"evgconsumed1"
DIGEST_BYTES = 16
# 1,000,000 files a day: 1,000 nodes that seal each 90 seconds.
LEDGER_BYTES_MAX = 64 << 20


class DayLedger:
    """The paths that one file lists."""

    def __init__(self, digests: Iterable[bytes] = ()) -> None:
        self._digests = frozenset(digests)

    def __contains__(self, path: str) -> bool:
        return digest_of(path) in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    def with_paths(self, paths: Iterable[str]) -> "DayLedger":
        """The same with more paths."""
        return DayLedger({*self._digests, *map(digest_of, paths)})

    def encoded(self) -> bytes:
        """As the file holds it: the same paths give the same bytes."""
        content = MAGIC + b"".join(sorted(self._digests))
        return content + blake2b(content, digest_size=DIGEST_BYTES).digest()


def digest_of(path: str) -> bytes:
    """What a ledger keeps of a path."""
    return blake2b(path.encode(), digest_size=DIGEST_BYTES).digest()


def decode_ledger(data: bytes, where: str) -> DayLedger:
    """*Raises:* FormatError."""
    content, seal = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    is_whole = data.startswith(MAGIC) and (len(content) - len(MAGIC)) % DIGEST_BYTES == 0 and len(content) >= len(MAGIC)
    if not is_whole or blake2b(content, digest_size=DIGEST_BYTES).digest() != seal:
        raise FormatError(where, "it is no whole ledger of consumed files", "restore it from a backup of the lake")
    return DayLedger(content[at : at + DIGEST_BYTES] for at in range(len(MAGIC), len(content), DIGEST_BYTES))
