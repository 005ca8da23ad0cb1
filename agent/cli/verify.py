"""The command verify-data: whether the sealed files still hold what was sealed."""

import re
from collections.abc import Iterator

from agent.cli.call import Call
from agent.cli.option import Command, Option, near
from agent.cli.render import TextColumn, counted, text_of
from agent.model.errors import BusyError, ExitCode, MisuseError
from agent.store.layout import DATA_FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.sealed_check import CheckedFile
    from agent.store.sealed import WantedFiles

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# A terabyte of an old disk; --timeout gives less.
VERIFY_SECONDS = 86_400.0
_UNPROVED = "proved: every byte is as it was sealed. This says nothing about rows that were never sealed (see table gap)\n\
or about files that were removed."
_PLAUSIBLE = (
    "plausible: sealed before files had digests. Pages, columns and counts agree, but a changed bit of a page's head or of the\n\
footer may go unseen."
)


def verify_data(call: Call) -> int:
    """`agentctl verify-data`. *Raises:* EvergaugeError."""
    since = call.text("--since")
    if since is not None and _DATE.fullmatch(since) is None:
        raise MisuseError("--since", f"{since!a} is not accepted", "write a date such as 2024-01-31, in UTC")
    state_dir = call.state_dir()
    from agent.cli.memory_limit import VARIABLE, held_to, limit_bytes
    from agent.cli.state_dir import check_state_dir

    check_state_dir(state_dir)
    files = list(_files(call, state_dir, f"date={since}" if since else ""))
    # A damaged count in a footer asks for any memory.
    with held_to(limit_bytes(None, call.environment.get(VARIABLE))):
        checked = _check_all(call, state_dir, files)
    _show(call, checked)
    states = {str(found.state) for found in checked}
    if "damaged" in states:
        return ExitCode.BAD_DATA
    return ExitCode.IO if "unreadable" in states else ExitCode.DONE


def _files(call: Call, state_dir: str, since: str) -> "Iterator[tuple[str, WantedFiles]]":
    """Each file with what it must be. *Raises:* MisuseError, PermissionRefused, StorageError."""
    import os

    from agent.store.install import read_install
    from agent.store.sealed import WantedFiles, wanted_of
    from agent.store.spool_reader import sealed_files, sealed_tables
    from workers.registry import tables

    install = read_install(state_dir) or ""
    known = {table.name: table for table in tables()}
    names = sorted({*known, *sealed_tables(state_dir)})
    chosen = call.text("--table")
    if chosen is not None and chosen not in names:
        raise MisuseError("--table", f"there is no table {chosen}", near(chosen, names) or f"the tables are {', '.join(names)}")
    for name in names if chosen is None else [chosen]:
        wanted = wanted_of(known[name], install) if name in known else WantedFiles(name, "", 0, {})
        for path in sealed_files(state_dir, name):
            # Dates of four digits are in order as text.
            if os.path.basename(os.path.dirname(path)) >= since:
                yield path, wanted


def _check_all(call: Call, state_dir: str, files: "list[tuple[str, WantedFiles]]") -> "list[CheckedFile]":
    import os

    from agent.cli.progress import progress_for
    from agent.cli.sealed_check import check_file
    from agent.store.sealed import owners_of

    owners = owners_of(os.path.join(state_dir, DATA_FOLDER))
    progress = progress_for(call.warnings, None, call.environment.get("TERM"), "files", total=len(files))
    checked: list[CheckedFile] = []
    try:
        for path, wanted in files:
            if not call.seconds_left():
                problem = f"{len(checked)} of {len(files)} files were checked in {call.timeout_seconds:g} s"
                raise BusyError("verify-data", problem, "give a longer --timeout, a --table or --since")
            checked.append(check_file(path, wanted, owners))
            progress.add(1)
    finally:
        progress.end()
    return checked


def _show(call: Call, checked: "list[CheckedFile]") -> None:
    from agent.cli.sealed_check import FileState

    counts = {state: sum(found.state is state for found in checked) for state in FileState}
    rows = sum(found.rows for found in checked)
    told = [found for found in checked if found.why]
    if call.wants_json:
        from agent.model.foreign import readable

        files = [{"file": readable(found.path), "state": str(found.state), "why": found.why} for found in told]
        call.show_json({"files": {str(state): count for state, count in counts.items()}, "rows": rows, "not_good": files})
        return
    if told:
        call.show_wrapped_table(
            (TextColumn("STATE"), TextColumn("FILE, AND WHY")),
            [(str(found.state), text_of(f"{found.path}: {found.why}")) for found in told],
        )
        call.show([""])
    parts = [f"{count} {state}" for state, count in counts.items() if count]
    call.show([f"{counted(len(checked), 'file')}, {counted(rows, 'row')} read: {', '.join(parts) or 'none'}"])
    if counts[FileState.PROVED]:
        call.show([_UNPROVED])
    if counts[FileState.PLAUSIBLE]:
        call.show([_PLAUSIBLE])


COMMANDS = (
    Command(
        "verify-data",
        verify_data,
        about="read every sealed file from end to end and check that it is unchanged",
        details="""\
A sealed file holds a digest of all its bytes, a checksum of each page, and who sealed what into it. A file with the
right digest is `proved`; a file without a digest can only be `plausible`. Damaged files are named, and `agentctl query` may
return wrong values from them: move them out of the data folder, or restore them from a backup.
The check cannot find rows that were never sealed (see table gap), removed files, damage in the open spool, or a file whose
digest was changed with it. Exit codes: 65 when a file is damaged, 74 when one could not be read.""",
        options=(
            Option("--table", "TABLE", "only the files of this table"),
            Option("--since", "DATE", "only the files of this day (UTC) and later, such as 2024-01-31"),
        ),
        examples=("agentctl verify-data", "agentctl verify-data --table process --since 2024-01-31 --json | jq .not_good"),
        timeout_seconds=VERIFY_SECONDS,
    ),
)
