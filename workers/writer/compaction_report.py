"""What a compactor says when it is done: one line of JSON. PURE."""

from enum import StrEnum

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError


class Outcome(StrEnum):
    """What became of a day."""

    COMPACTED = "compacted"
    # A file keeps it from being compacted: one that the agent did not write, or did in another installation.
    LEFT_ALONE = "left_alone"
    # A file keeps it from being compacted that is the agent's own and not what was sealed.
    DAMAGED = "damaged"
    # The folder is not what it was when the day was chosen.
    CHANGED = "changed"
    # The kernel or the file system cannot exchange two folders.
    IMPOSSIBLE = "impossible"
    # No day was asked for: what a killed compactor had left is finished or undone.
    CLEANED = "cleaned"


class CompactReport(Struct, frozen=True):
    """The outcome for one date of a table: files and bytes before, rows, bytes after.

    `problem`: why it was not compacted, or what could not be removed afterwards; `name`: the file that is the cause;
    `unshared`: what could not be opened to the reader group.
    """

    outcome: Outcome
    files: int = 0
    rows: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    path: str = ""
    name: str = ""
    problem: str = ""
    unshared: str = ""


def encode_compact_report(report: CompactReport) -> bytes:
    """The line, without its end."""
    return msgspec.json.encode(report)


def decode_compact_report(line: bytes) -> CompactReport:
    """*Raises:* FormatError."""
    try:
        return msgspec.json.decode(line, type=CompactReport)
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise FormatError("compactor's report", str(cause)) from cause
