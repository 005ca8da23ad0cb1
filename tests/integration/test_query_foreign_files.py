"""agentctl query in folders in which others have put things: only the agent's own files are read, and the rest is named."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from fakes.agentctl_here import agentctl_here
from fakes.stored_data import FORMS, PROCESS, batch_of, head_of, marks_of, process_row, write_parquet, write_segment
from pyarrow import parquet

Put = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a date with one sealed file of one row."""
    return write_parquet(tmp_path, "process", "a", [process_row(1, 1)]).parent


def ask(state: Path, statement: str = "SELECT pid, typeof(pid) AS type FROM process ORDER BY pid") -> tuple[int, str, str]:
    return agentctl_here(state, "query", statement, "--json")


def write_file(path: Path, columns: dict[str, list[object]], marks: dict[str, str] | None = None) -> None:
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(marks), path)


def text_pids(path: Path) -> None:
    """The agent's own columns and marks, but one is text."""
    columns: dict[str, list[object]] = {name: [None] for name in PROCESS.names}
    write_file(path, {**columns, "timestamp": [2], "pid": ["seven"]}, marks_of("process", path.stem[-16:], PROCESS).metadata())


def bind(path: Path) -> None:
    # A socket's path has 107 bytes at most.
    here = os.open(path.parent, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


COPY = "process-node-1-20240101T000000Z-20240101T000000Z-00000000000000ff.parquet"
FOREIGN: dict[str, tuple[str, Put, str]] = {
    "of another type": ("process-host-20240101T000000Z-20240101T000000Z-00000000000000ff.parquet", text_pids, "column"),
    "somebody's own": ("process-mine-z.parquet", lambda path: write_file(path, {"pid": [9]}), "did not write it"),
    "a folder": ("process-x.parquet", Path.mkdir, "a folder"),
    "a pipe": ("process-x.parquet", os.mkfifo, "a named pipe"),
    "a socket": ("process-x.parquet", bind, "a socket"),
    "a link": ("process-x.parquet", lambda path: path.symlink_to("nowhere"), "a symbolic link"),
    "a loop": ("process-x.parquet", lambda path: path.symlink_to(path), "a symbolic link"),
    "a device": ("process-x.parquet", lambda path: os.mknod(path, 0o20600, os.makedev(1, 3)), "a device"),
    "a pattern": ("process-*.parquet", lambda path: shutil.copy(next(path.parent.iterdir()), path), "a pattern"),
    "a copy": (COPY, lambda path: shutil.copy(next(path.parent.iterdir()), path), "of its segment"),
    "a copy by hand": ("process-a (1).parquet", lambda path: shutil.copy(next(path.parent.iterdir()), path), "from when to when"),
    "no text": (os.fsdecode(b"process-\xff.parquet"), Path.touch, "not printable"),
    "another prefix": ("mine.parquet", lambda path: shutil.copy(next(path.parent.iterdir()), path), "does not begin with"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.runbook("Queries")
def test_what_is_not_the_agents_is_left_out_and_said(name: str, tmp_path: Path, folder: Path) -> None:
    """The agent's own rows keep their types, nothing waits, and one line names the entry and its kind."""
    file_name, put, told = FOREIGN[name]
    put(folder / file_name)
    code, text, said = ask(tmp_path)
    assert (code, json.loads(text), said.count("\n")) == (0, [{"pid": 1, "type": "BIGINT"}], 1)
    assert said.startswith("agentctl: query: 1 entry left out")
    assert told in said
    assert said.isascii()


def test_many_foreign_entries_are_one_line(tmp_path: Path, folder: Path) -> None:
    """The first three are named, all are counted."""
    for number in range(5):
        (folder / f"process-{number}.parquet").mkdir()
    said = ask(tmp_path)[2]
    assert (said.count("\n"), said.count("(a folder)")) == (1, 3)
    assert "5 entries left out" in said
    assert "and 2 more" in said


def test_a_file_of_another_user_is_left_out(tmp_path: Path, folder: Path) -> None:
    """A data folder that others may write to does not bring their rows in."""
    os.chown(write_parquet(tmp_path, "process", "b", [process_row(2, 2)]), 4242, 4242)
    code, text, said = ask(tmp_path)
    assert (code, len(json.loads(text))) == (0, 1)
    assert "it belongs to user 4242" in said


def test_a_footer_of_another_size_than_it_says_is_damage(tmp_path: Path, folder: Path) -> None:
    """One that claims 2 GiB is not read into memory."""
    path = folder / "process-node-1-b.parquet"
    with path.open("wb") as file:
        file.write(b"PAR1")
        file.truncate(3 << 30)
        file.seek(0, os.SEEK_END)
        file.write((2 << 30).to_bytes(4, "little") + b"PAR1")
    code, text, said = ask(tmp_path)
    assert (code, len(json.loads(text))) == (0, 1)
    assert "1 damaged Parquet file left out" in said


@pytest.mark.parametrize("change", ["missing", "surplus"])
def test_a_file_of_this_version_has_all_columns_and_no_more(change: str, tmp_path: Path, folder: Path) -> None:
    """Older versions lack columns and newer ones have more; in the same version that is a damaged or made-up footer."""
    columns: dict[str, list[object]] = {name: [None] for name in (*PROCESS.names, "host")}
    columns |= {name: [2] for name, dtype in zip(PROCESS.names, PROCESS.dtypes, strict=True) if dtype == "int64"}
    if change == "missing":
        del columns["comm"]
    else:
        columns["cosm"] = [None]
    for version, rows in ((PROCESS.version, 1), (0 if change == "missing" else 99, 2)):
        marks = {**marks_of("process", f"{version:016x}", PROCESS).metadata(), "schema_version": str(version)}
        types = dict(zip(PROCESS.names, PROCESS.dtypes, strict=True))
        arrow = {"float64": pyarrow.float64(), "int64": pyarrow.int64()}
        fields = [pyarrow.field(name, arrow.get(types.get(name, "utf8"), pyarrow.utf8())) for name in columns]
        table = pyarrow.table(columns, schema=pyarrow.schema(fields, metadata=marks))
        parquet.write_table(table, folder / f"process-x-20240101T000000Z-20240101T000000Z-{version:016x}.parquet")
        code, text, _ = ask(tmp_path)
        assert (code, len(json.loads(text))) == (0, rows)


def test_files_of_a_table_of_the_users_own_agree_with_its_first(tmp_path: Path, folder: Path) -> None:
    """A column does not become text because one later file has text in it."""
    own = tmp_path / "data/mine/date=2024-01-01"
    own.mkdir(parents=True)
    write_file(own / "1.parquet", {"value": [1]})
    write_file(own / "2.parquet", {"value": ["two"]})
    code, text, said = ask(tmp_path, "SELECT value, typeof(value) AS type FROM mine")
    assert (code, json.loads(text)) == (0, [{"value": 1, "type": "BIGINT"}])
    assert "2.parquet (its column value is string, not int64)" in said


def test_a_folder_without_a_text_for_a_name_is_no_table(tmp_path: Path, folder: Path) -> None:
    """Listing the tables does not fail on it."""
    os.mkdir(os.fsencode(tmp_path / "data") + b"/\xff")
    assert ask(tmp_path, "SHOW TABLES")[::2] == (0, "")


@pytest.mark.parametrize(("put", "told"), [(Path.mkdir, "a folder"), (os.mkfifo, "a named pipe"), (bind, "a socket")])
def test_what_is_no_segment_is_left_out_of_the_spool(put: Put, told: str, tmp_path: Path) -> None:
    """Under a segment's name too only a regular file is read."""
    write_segment(tmp_path, "a", head_of("a", FORMS) + batch_of("process", [process_row(1, 1)]))
    put(tmp_path / "spool/20990101T000000Z-x.spool")
    (tmp_path / "spool/20980101T000000Z-empty.spool").touch()
    code, text, said = ask(tmp_path)
    assert (code, len(json.loads(text)), said.count("\n")) == (0, 1, 1)
    assert f"20990101T000000Z-x.spool ({told})" in said


def test_a_segment_is_read_before_its_size_is_believed(tmp_path: Path) -> None:
    """A sparse file of a terabyte under a segment's name ends in a sentence at once, not in a full memory."""
    path = write_segment(tmp_path, "a", head_of("a"))
    os.truncate(path, 1 << 40)
    code, _, said = ask(tmp_path)
    assert (code, "larger than" in said) == (74, True)


def test_what_another_installation_wrote_is_left_out_and_said(tmp_path: Path, folder: Path) -> None:
    """A restored backup of another host must not look as if its rows were measured here: neither sealed nor in the spool."""
    (tmp_path / "install-id").write_text("0123456789abcdef\n")
    write_segment(tmp_path, "b", head_of("b") + batch_of("process", [process_row(2, 2)]))
    code, text, said = ask(tmp_path)
    assert (code, json.loads(text)) == (0, [])
    assert "2 entries left out" in said
    assert said.count("another installation of the agent wrote it") == 2


def test_a_segment_of_an_older_format_is_left_out_in_one_sentence(tmp_path: Path, folder: Path) -> None:
    """The rest answers."""
    write_segment(tmp_path, "b", b"EGR1" + bytes(100))
    code, text, said = ask(tmp_path)
    assert (code, len(json.loads(text)), said.count("\n")) == (0, 1, 1)
    assert "format 1 is not known to this version, which reads 2" in said
