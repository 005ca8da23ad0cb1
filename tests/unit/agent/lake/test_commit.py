"""Entries of the log: there and back, and what none may say."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lake import commit as module
from agent.lake.commit import (
    ENTRY_BYTES_MAX,
    AddedFile,
    LakeCommit,
    LakeMark,
    LedgerStep,
    OffsetSpan,
    added_paths,
    check_format,
    decode_commit,
    encode_commit,
    is_date,
    why_malformed,
)
from agent.lake.path import ledger_path, merged_path
from agent.model.errors import FormatError

DATE = "2024-01-31"
DAY = f"process/{DATE}"
LANDED = f"process/date={DATE}/host=a/x.parquet"
FILE = AddedFile(merged_path("process", DATE, "k-1"), "process", DATE, 3, 100, 1, 2, "a", "b")
WHOLE = LakeCommit(
    at_ns=7,
    by="me",
    token="t",
    adds=(FILE,),
    removes=(merged_path("process", DATE, "k-0"),),
    consumed=(LANDED,),
    condemned=(merged_path("process", DATE, "k-9"), ledger_path("process", DATE, "aa")),
    forgotten=(ledger_path("process", DATE, "bb"),),
    ledgers={DAY: LedgerStep("", ledger_path("process", DATE, "cc"))},
    offsets={"proc.raw.v1/3": OffsetSpan(0, 9)},
    marks={"process": {"a": LakeMark(5, 6, "sampler/process", 7)}},
)


def test_an_entry_comes_back_as_it_was_written() -> None:
    """Every field of it."""
    assert decode_commit(encode_commit(WHOLE), "x") == WHOLE
    assert added_paths(WHOLE) == [FILE.path]


def test_a_field_of_a_later_version_is_passed_over() -> None:
    """Also in what it holds."""
    document = msgspec.json.decode(encode_commit(WHOLE))
    document["later"] = {"a": 1}
    document["adds"][0]["later"] = 1
    document["marks"]["process"]["a"].append("later")
    assert decode_commit(msgspec.json.encode(document), "x") == WHOLE


def test_a_later_format_is_refused_with_the_remedy() -> None:
    """What it means is not known here."""
    with pytest.raises(FormatError, match=r"format 2.*newer evergauge"):
        decode_commit(msgspec.json.encode({"format": 2}), "x")
    check_format(1, "x")


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_an_entry_or_a_failure(data: bytes) -> None:
    """Never anything else."""
    try:
        found = decode_commit(data, "x")
    except FormatError:
        return
    assert why_malformed(found) == ""


def test_bytes_cut_off_anywhere_are_no_entry() -> None:
    """Each prefix."""
    data = encode_commit(WHOLE)
    for end in range(0, len(data), 7):
        with pytest.raises(FormatError):
            decode_commit(data[:end], "x")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"adds": (msgspec.structs.replace(FILE, path="../x"),)}, "no path"),
        ({"adds": (msgspec.structs.replace(FILE, table="host"),)}, "no path"),
        ({"adds": (msgspec.structs.replace(FILE, rows=-1),)}, "-1 rows"),
        ({"adds": (msgspec.structs.replace(FILE, bytes=0),)}, "in 0 bytes"),
        ({"adds": (msgspec.structs.replace(FILE, last_ns=None),)}, "one end"),
        ({"adds": (msgspec.structs.replace(FILE, first_ns=3),)}, "ends before"),
        ({"removes": (LANDED,)}, "no path"),
        ({"consumed": (FILE.path,)}, "no path"),
        ({"condemned": (LANDED,)}, "no path"),
        ({"condemned": ("_log/x",)}, "no path"),
        ({"forgotten": ("_log/x",)}, "no path"),
        ({"ledgers": {DAY: LedgerStep("", FILE.path)}}, "no path"),
        ({"ledgers": {"x": LedgerStep()}, "consumed": ()}, "no day"),
        ({"ledgers": {"process/x": LedgerStep()}, "consumed": ()}, "no day"),
        ({"ledgers": {}}, "which ledger goes with"),
        ({"forgotten": (LANDED,), "ledgers": {DAY: LedgerStep()}}, "writes it down nowhere"),
        ({"offsets": {"topic": OffsetSpan(0, 1)}}, "no partition"),
        ({"offsets": {"/1": OffsetSpan(0, 1)}}, "no partition"),
        ({"offsets": {"t/x": OffsetSpan(0, 1)}}, "no partition"),
        ({"offsets": {"t" * 300 + "/1": OffsetSpan(0, 1)}}, "no partition"),
        ({"offsets": {"t/1": OffsetSpan(1, 1)}}, "from 1 to 1"),
        ({"offsets": {"t/1": OffsetSpan(-1, 1)}}, "from -1 to 1"),
        ({"marks": {"Process": {}}}, "no table"),
        ({"marks": {"process": {"": LakeMark(1)}}}, "no name of a host"),
        ({"marks": {"process": {"a" * 256: LakeMark(1)}}}, "no name of a host"),
        ({"marks": {"process": {"a": LakeMark(1, 0, "w" * 256)}}}, "no name of a host"),
        ({"marks": {"process": {"a": LakeMark(1 << 63)}}}, "out of range"),
        ({"marks": {"process": {"a": LakeMark(1, -1)}}}, "out of range"),
        ({"marks": {"process": {"a": LakeMark(1, 1, "", -1)}}}, "out of range"),
    ],
)
def test_what_no_entry_may_say_is_a_sentence(changes: dict[str, object], problem: str) -> None:
    """And nobody can write it, nor read it."""
    bad = msgspec.structs.replace(WHOLE, **changes)
    assert problem in why_malformed(bad)
    with pytest.raises(FormatError, match="backup"):
        decode_commit(msgspec.json.encode(bad), "x")
    with pytest.raises(AssertionError):
        encode_commit(bad)


def test_times_may_be_missing_together() -> None:
    """Of a table without times."""
    assert why_malformed(LakeCommit(adds=(msgspec.structs.replace(FILE, first_ns=None, last_ns=None),))) == ""


def test_an_entry_has_a_largest_size() -> None:
    """In files, in marks, and in bytes."""
    many = LakeCommit(removes=tuple(merged_path("process", DATE, f"k-{number}") for number in range(module.PATHS_MAX + 1)))
    assert "more than 20000 files" in why_malformed(many)
    marks = {"process": {f"h{number}": LakeMark(1) for number in range(module.NAMES_MAX + 1)}}
    assert "offsets and marks" in why_malformed(LakeCommit(marks=marks))
    with pytest.raises(FormatError, match="longer than"):
        decode_commit(b" " * (ENTRY_BYTES_MAX + 1), "x")


def test_a_date_is_told_from_other_texts() -> None:
    """As folders have it."""
    assert is_date(DATE)
    assert not is_date("2024-1-31")
