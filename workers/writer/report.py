"""What a sealer says when it is done: one line of JSON. PURE."""

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError


class SealedFile(Struct, frozen=True):
    """One Parquet file under its final name."""

    table: str
    path: str
    rows: int


class RefusedRows(Struct, frozen=True):
    """Rows that did not fit their table, and were not stored: how many, with which problem of which column (empty: of the row)."""

    table: str
    column: str
    problem: str
    rows: int


class SealReport(Struct, frozen=True):
    """What became of one segment. The stamps are those of the good records around all damage, None where there is none;
    `unshared` says what could not be opened to the reader group, `refused` which rows did not fit their tables."""

    segment: str
    files: tuple[SealedFile, ...]
    rows: int
    damaged_records: int
    torn: bool
    from_wall_ns: int | None = None
    until_wall_ns: int | None = None
    unshared: str = ""
    refused: tuple[RefusedRows, ...] = ()


def encode_report(report: SealReport) -> bytes:
    """The line, without its end."""
    return msgspec.json.encode(report)


def decode_report(line: bytes) -> SealReport:
    """*Raises:* FormatError."""
    try:
        return msgspec.json.decode(line, type=SealReport)
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise FormatError("sealer's report", str(cause)) from cause
