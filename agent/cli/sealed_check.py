"""Whether one sealed file still holds what was sealed: its digest, its marks, its columns, every page, every row."""

import os
from enum import StrEnum

from msgspec import Struct

from agent.cli.memory_limit import VARIABLE
from agent.store.digest import DigestVerdict, check_digest
from agent.store.footer import Footer, footer_of
from agent.store.foreign_file import open_regular
from agent.store.left_out import LeftOut
from agent.store.memory_room import ARROW_CALL_BYTES, need_room
from agent.store.sealed import WantedFiles, why_foreign

BATCH_ROWS = 20_000


class FileState(StrEnum):
    """What became of the check of a file."""

    # Every byte is the one that was written.
    PROVED = "proved"
    # It was sealed before there were digests: pages, columns and counts agree, and more cannot be told.
    PLAUSIBLE = "plausible"
    DAMAGED = "damaged"
    # It could not be read: no permission, an error of the file system, too little memory.
    UNREADABLE = "unreadable"
    # Nothing of the agent's.
    FOREIGN = "foreign"
    # Removed since it was listed, as the storage quota does.
    GONE = "gone"


class CheckedFile(Struct, frozen=True):
    """One file: what was found, in words where it is not good, and its rows where they were counted."""

    path: str
    state: FileState
    why: str = ""
    rows: int = 0


def check_file(path: str, wanted: WantedFiles, owners: frozenset[int]) -> CheckedFile:
    """Read a file from end to end. *Raises:* nothing for anything that a file can be."""
    try:
        found = open_regular(path, owners)
    except FileNotFoundError:
        return CheckedFile(path, FileState.GONE)
    if isinstance(found, LeftOut):
        # Where it cannot be opened, nobody knows what it is.
        return CheckedFile(path, FileState.UNREADABLE if found.refused else FileState.FOREIGN, found.reason)
    try:
        return _check(found, path, wanted)
    except OSError as cause:
        return CheckedFile(path, FileState.UNREADABLE, cause.strerror or str(cause))
    except MemoryError:
        # A damaged count asks for any memory, and so do long texts that are sound: which it is cannot be told.
        return CheckedFile(path, FileState.UNREADABLE, f"it needs more memory than there is; set {VARIABLE} to more")
    finally:
        os.close(found)


def _check(descriptor: int, path: str, wanted: WantedFiles) -> CheckedFile:
    verdict = check_digest(descriptor)
    if verdict is DigestVerdict.DAMAGED:
        return CheckedFile(path, FileState.DAMAGED, "its bytes are not those that were sealed")
    footer = footer_of(descriptor, path)
    bears_the_name = bool(wanted.prefix) and os.path.basename(path).startswith(wanted.prefix)
    if isinstance(footer, LeftOut):
        return CheckedFile(path, FileState.DAMAGED if footer.damaged else FileState.UNREADABLE, footer.reason)
    if not bears_the_name and footer.marks.get("table") != wanted.table:
        return CheckedFile(path, FileState.FOREIGN, "the agent did not write it for this table")
    reason = why_foreign(path, footer, wanted, wanted.columns)
    if reason is not None:
        return CheckedFile(path, FileState.DAMAGED, reason)
    if verdict is DigestVerdict.NONE and "digest" in footer.marks:
        return CheckedFile(path, FileState.DAMAGED, "its digest is missing")
    problem = _problem_of_rows(descriptor, footer)
    if problem is not None:
        return CheckedFile(path, FileState.DAMAGED, problem)
    return CheckedFile(path, FileState.PROVED if verdict is DigestVerdict.GOOD else FileState.PLAUSIBLE, rows=footer.rows)


def _problem_of_rows(descriptor: int, footer: Footer) -> str | None:
    """What is wrong with the pages; None: every one decodes, its checksum is right, and the rows are as many as told."""
    need_room(ARROW_CALL_BYTES)
    import pyarrow
    from pyarrow import parquet

    rows = 0
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            opened = parquet.ParquetFile(file, page_checksum_verification=True)
            for batch in opened.iter_batches(batch_size=BATCH_ROWS):
                need_room(ARROW_CALL_BYTES)
                batch.validate(full=True)
                rows += batch.num_rows
    except MemoryError:
        # Arrow's own is one of its exceptions too, and says nothing of the rows.
        raise
    except (OSError, pyarrow.ArrowException, ValueError, OverflowError) as cause:
        return f"its rows cannot be read: {' '.join(str(cause).split())}"
    return None if rows == footer.rows else f"it holds {rows} rows, and its footer says {footer.rows}"
