"""A sealed file whose bytes changed: agentctl verify-data finds every one, and says what it cannot tell."""

import json
import os
import random
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.number import number_of
from fakes.stored_data import HOST, PROCESS, batch_of, head_of, marks_of, process_row, write_parquet, write_segment
from pyarrow import parquet

from agent.cli.memory_limit import held_to
from agent.cli.sealed_check import FileState, check_file
from agent.model.table import Row
from agent.model.timebase import DAY
from agent.store.digest import BLOCK_BYTES, MAGIC
from agent.store.record import form_of
from agent.store.sealed import wanted_of
from workers.registry import tables
from workers.writer.sealer import seal

TABLE = next(table for table in tables() if table.name == "process")
WANTED = wanted_of(TABLE)
OWNERS = frozenset({os.geteuid()})
AT = 19_000 * DAY


def row(number: int) -> Row:
    values = dict(zip(PROCESS.names, process_row(AT + number, number % 20, rss=number * 7919 % 10**9), strict=True))
    return tuple(values.get(name) for name in TABLE.column_names)


def seal_rows(state: Path, segment: str = "a", *, stamp: int = AT) -> Path:
    """A file as the sealer makes it."""
    data = head_of(segment, {"process": form_of(TABLE)}) + batch_of("process", list(map(row, range(500))), stamp_wall_ns=stamp)
    path = write_segment(state, segment, data)
    report = seal(str(path), str(state))
    path.unlink()
    return Path(report.files[0].path)


def ask(state: Path, command: str, *words: str) -> tuple[int, str, str]:
    return agentctl_here(state, command, *words)


def flip(path: Path, whole: bytes, bit: int) -> None:
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_flipped_bit_is_found(seed: int, tmp_path: Path) -> None:
    """Anywhere in the file: in a page, in the head of one, in the footer, in the digest itself."""
    path = seal_rows(tmp_path)
    whole = path.read_bytes()
    assert check_file(str(path), WANTED, OWNERS).state is FileState.PROVED
    drawn = random.Random(seed)
    footer_at = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    block = range((footer_at - BLOCK_BYTES) * 8, footer_at * 8, 23)
    for bit in [*(drawn.randrange(len(whole) * 8) for _ in range(150)), *block]:
        flip(path, whole, bit)
        assert check_file(str(path), WANTED, OWNERS).state is FileState.DAMAGED, f"bit {bit} of seed {seed}"


def test_a_file_that_there_is_no_memory_to_read_is_not_called_damaged(tmp_path: Path) -> None:
    """What was not read was not judged; the sentence says how to give it more."""
    path = seal_rows(tmp_path)
    with held_to(2 << 20):
        checked = check_file(str(path), WANTED, OWNERS)
    assert (checked.state, checked.why) == (
        FileState.UNREADABLE,
        "it needs more memory than there is; set AGENTCTL_MEMORY_LIMIT to more",
    )


def test_a_file_that_was_cut_or_swapped_is_found(tmp_path: Path) -> None:
    """Every kind of loss at its end, and bytes that are another file's."""
    path = seal_rows(tmp_path)
    whole = path.read_bytes()
    for changed in (
        b"",
        whole[:-1],
        whole[: len(whole) // 2],
        whole + b"x",
        whole[:100] + whole[101:],
        whole.replace(MAGIC, b"evgblk2c"),
    ):
        path.write_bytes(changed)
        assert check_file(str(path), WANTED, OWNERS).state is FileState.DAMAGED


def test_other_readers_take_the_file_as_any_other(tmp_path: Path) -> None:
    """The digest lies where no reader looks; page checksums are there for those who check them."""
    path = seal_rows(tmp_path)
    assert MAGIC in path.read_bytes()
    assert parquet.read_table(path, partitioning=None, page_checksum_verification=True).num_rows == 500
    code, text, told = ask(tmp_path, "query", "SELECT count(*) AS n, max(rss_bytes) AS most FROM process", "--json")
    assert (code, json.loads(text), told) == (
        0,
        [{"n": 500, "most": max(number_of(row(number)[TABLE.column_names.index("rss_bytes")]) for number in range(500))}],
        "",
    )


@pytest.mark.runbook("Queries")
def test_the_report_names_what_is_damaged_and_ends_with_65(tmp_path: Path) -> None:
    """Good files are counted, the others are listed with the reason."""
    good, bad = seal_rows(tmp_path, "a"), seal_rows(tmp_path, "b")
    assert ask(tmp_path, "verify-data")[0] == 0
    flip(bad, bad.read_bytes(), 4_000)
    (good.parent / "process-x.parquet").mkdir()
    code, text, told = ask(tmp_path, "verify-data")
    assert (code, told) == (65, "")
    assert f"{bad}: its bytes are not those that were sealed" in " ".join(text.split())
    assert "3 files, 500 rows read: 1 proved, 1 damaged, 1 foreign" in text
    document = json.loads(ask(tmp_path, "verify-data", "--json")[1])
    assert document["files"] == {"proved": 1, "plausible": 0, "damaged": 1, "unreadable": 0, "foreign": 1, "gone": 0}
    assert [(Path(entry["file"]).name, entry["state"]) for entry in document["not_good"]] == [
        (bad.name, "damaged"),
        ("process-x.parquet", "foreign"),
    ]


def test_a_table_and_a_day_can_be_chosen(tmp_path: Path) -> None:
    """What is not asked for is not read."""
    seal_rows(tmp_path, "a")
    seal_rows(tmp_path, "b", stamp=AT + DAY)
    counts = {
        words: ask(tmp_path, "verify-data", *words)[1].split()[0] for words in ((), ("--since", "2022-01-09"), ("--table", "gap"))
    }
    assert counts == {(): "2", ("--since", "2022-01-09"): "1", ("--table", "gap"): "0"}
    assert ask(tmp_path, "verify-data", "--since", "yesterday")[0] == 64
    assert "did you mean process" in ask(tmp_path, "verify-data", "--table", "proces")[2]


def test_a_file_from_before_digests_is_plausible_and_no_more(tmp_path: Path) -> None:
    """Its pages and counts are checked, and the report says what may go unseen."""
    path = write_parquet(tmp_path, "process", "a", [process_row(1, 1)], form=PROCESS)
    whole = parquet.read_table(path)
    marks = {key: value for key, value in whole.schema.metadata.items() if key != b"digest"}
    parquet.write_table(whole.replace_schema_metadata(marks), path, write_page_checksum=True)
    code, text, _ = ask(tmp_path, "verify-data")
    assert (code, "1 plausible" in text, "may go unseen" in text) == (0, True, True)


def test_a_query_can_verify_what_it_reads(tmp_path: Path) -> None:
    """DuckDB checks no page: with --verify a changed file is left out and named."""
    good, bad = seal_rows(tmp_path, "a"), seal_rows(tmp_path, "b")
    whole = bad.read_bytes()
    flip(bad, whole, whole.index(MAGIC) * 8 - 999)
    code, text, told = ask(tmp_path, "query", "SELECT count(*) AS n FROM process", "--json", "--verify")
    assert (code, json.loads(text)) == (0, [{"n": 500}])
    assert f"1 damaged Parquet file left out, it is {bad};" in told
    assert good.exists()


def test_one_that_cannot_be_read_is_no_good_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code says that not all was checked."""
    path = seal_rows(tmp_path)
    real = os.open

    def refuse(name: str, *arguments: object, **named: object) -> int:
        if name == str(path):
            raise PermissionError(13, "Permission denied", name)
        return real(name, *arguments, **named)  # type: ignore[arg-type]  # whatever it was called with

    monkeypatch.setattr(os, "open", refuse)
    code, text, _ = ask(tmp_path, "verify-data")
    assert (code, "1 unreadable" in text) == (74, True)


def test_a_sealed_file_bears_the_marks_that_readers_ask_for(tmp_path: Path) -> None:
    """The fake of the other tests has the same."""
    metadata = parquet.read_schema(seal_rows(tmp_path)).metadata
    marks = {key.decode(): value.decode() for key, value in metadata.items()}
    assert marks.keys() == marks_of("process", "a", form_of(TABLE)).metadata().keys()
    assert (marks["host"], marks["digest"]) == (HOST, MAGIC.decode())
