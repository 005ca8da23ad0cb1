"""The footer of a Parquet file: whether the file is whole from end to end, which columns it has, and whose it is.

One file that is not whole, or whose columns are of other types, would end or bend a query over all of them.
"""

import os

from msgspec import Struct

from agent.store.digest import DigestVerdict, check_digest
from agent.store.foreign_file import open_regular
from agent.store.left_out import LeftOut
from agent.store.memory_room import ARROW_CALL_BYTES, import_uncounted, need_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pyarrow

MAGIC = b"PAR1"
# The length of the footer, little-endian, and the magic behind it.
TRAILER_BYTES = 8
# A footer of the agent has some 10 KiB; one read finds it, and with 20,000 row groups it would still be below this.
TAIL_BYTES = 32 << 10
FOOTER_BYTES_MAX = 16 << 20


class Footer(Struct, frozen=True):
    """What the end of a file says: type by column name, the marks of who wrote it, how many rows."""

    columns: dict[str, str]
    marks: dict[str, str]
    rows: int


def read_footer(path: str, owners: frozenset[int] | None = None, *, verify: bool = False) -> Footer | LeftOut:
    """The footer of a file, or why it is left out. `verify`: all its bytes are read, and compared with its digest.

    *Raises:* FileNotFoundError when it is gone.
    *Source:* the Parquet file format, "File format".
    """
    descriptor = open_regular(path, owners)
    if isinstance(descriptor, LeftOut):
        return descriptor
    try:
        return checked_footer(descriptor, path, verify=verify)
    finally:
        os.close(descriptor)


def checked_footer(descriptor: int, path: str, *, verify: bool) -> Footer | LeftOut:
    """As `read_footer`, of an open file."""
    try:
        verdict = check_digest(descriptor) if verify else DigestVerdict.GOOD
        footer = footer_of(descriptor, path)
    except OSError as cause:
        return LeftOut(path, f"it cannot be read: {cause.strerror}")
    if verdict is DigestVerdict.DAMAGED or (
        verdict is DigestVerdict.NONE and isinstance(footer, Footer) and "digest" in footer.marks
    ):
        return LeftOut(path, "its bytes are not those that were sealed", damaged=True)
    return footer


def footer_of(descriptor: int, path: str) -> Footer | LeftOut:
    """What the end of an open file says, or why it is left out."""
    try:
        ends = _read_ends(descriptor)
    except OSError as cause:
        return LeftOut(path, f"it cannot be read: {cause.strerror}")
    return LeftOut(path, ends, damaged=True) if isinstance(ends, str) else _parse(path, ends)


def _read_ends(descriptor: int) -> bytes | str:
    """The footer with its trailer; a sentence where the file is not whole. *Raises:* OSError."""
    size = os.fstat(descriptor).st_size
    if size < len(MAGIC) + TRAILER_BYTES or os.pread(descriptor, len(MAGIC), 0) != MAGIC:
        return "it does not begin as a Parquet file"
    tail = os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
    if tail[-len(MAGIC) :] != MAGIC:
        return "it does not end as a Parquet file"
    footer_bytes = int.from_bytes(tail[-TRAILER_BYTES:-4], "little")
    if not 0 < footer_bytes <= size - len(MAGIC) - TRAILER_BYTES:
        return "its footer does not fit into it"
    if footer_bytes > FOOTER_BYTES_MAX:
        return f"its footer is larger than {FOOTER_BYTES_MAX} bytes"
    wanted = footer_bytes + TRAILER_BYTES
    return tail[-wanted:] if wanted <= len(tail) else os.pread(descriptor, wanted, size - wanted)


def _parse(path: str, ends: bytes) -> Footer | LeftOut:
    # pyarrow costs 60 ms; who has no sealed file of the wanted tables does not need it.
    import_uncounted("pyarrow.parquet")
    need_room(ARROW_CALL_BYTES + len(ends))
    import pyarrow
    from pyarrow import parquet

    try:
        # A footer stands alone: what lies between the two magic words is not looked at.
        metadata = parquet.read_metadata(pyarrow.BufferReader(MAGIC + ends))
        schema = metadata.schema.to_arrow_schema()
        marks = {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items() if key != b"ARROW:schema"}
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError):
        return LeftOut(path, "its footer is damaged", damaged=True)
    columns = {field.name: _word_of(field.type) for field in schema}
    return Footer(columns, marks, metadata.num_rows)


def _word_of(arrow_type: "pyarrow.DataType") -> str:
    """The word of `ColumnType.arrow`: of a dictionary that of its values, of a list without the name of its items."""
    import pyarrow

    if pyarrow.types.is_dictionary(arrow_type):
        return str(arrow_type.value_type)
    if pyarrow.types.is_list(arrow_type):
        return f"list<{arrow_type.value_type}>"
    return str(arrow_type)
