"""Names in a lake: there and back, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lake.path import (
    PATH_BYTES_MAX,
    LandingPath,
    checkpoint_name,
    entry_name,
    is_table,
    landing_prefix,
    ledger_path,
    merged_path,
    parse_checkpoint_name,
    parse_entry_name,
    parse_landing_path,
    parse_ledger_path,
    parse_merged_path,
    table_prefix,
)


@given(st.integers(1, 10**20 - 1))
def test_a_number_comes_back_from_its_names(number: int) -> None:
    """And a checkpoint stands before the entry of its number, behind all earlier ones."""
    assert parse_entry_name(entry_name(number)) == number
    assert parse_checkpoint_name(checkpoint_name(number)) == number
    assert parse_entry_name(checkpoint_name(number)) is None
    assert parse_checkpoint_name(entry_name(number)) is None
    assert entry_name(number - 1 or 1) <= checkpoint_name(number) or number == 1
    assert checkpoint_name(number) < entry_name(number)


@pytest.mark.parametrize(
    "name",
    [
        "_log/1.json",
        "_log/00000000000000000000.json",
        "_log/0000000000000000000a.json",
        "_log/0000000000000000000٣.json",
        "log/00000000000000000001.json",
        "_log/00000000000000000001",
        "_log/last.json",
    ],
)
def test_other_names_are_no_entries(name: str) -> None:
    """Whatever they look like."""
    assert parse_entry_name(name) is None


def test_a_landing_file_is_found_by_its_path() -> None:
    """As a sink names it."""
    path = landing_prefix("process", "2024-01-31") + "host=a_b.c/process-a_b.c-x.parquet"
    assert path.startswith(table_prefix("process"))
    assert parse_landing_path(path) == LandingPath("process", "2024-01-31", "a_b.c", "process-a_b.c-x.parquet")


@pytest.mark.parametrize(
    "path",
    [
        "process/date=2024-01-31/host=a/.x.parquet",
        "process/date=2024-01-31/host=a/.parquet",
        "process/date=2024-01-31/host=a/x.parquet.new",
        "process/date=2024-01-31/host=a/b/x.parquet",
        "process/date=2024-01-32/host=a/x.parquet",
        "process/date=2024-01-31/node=a/x.parquet",
        "process/date=2024-01-31/host=é/x.parquet",
        "process/date=2024-01-31/host=a/é.parquet",
        "_merged/date=2024-01-31/host=a/x.parquet",
        "process/date=2024-01-31/host=" + "a" * 300 + "/x.parquet",
        "",
    ],
)
def test_other_paths_are_no_landing_files(path: str) -> None:
    """They are passed over."""
    assert parse_landing_path(path) is None


def test_merged_files_and_ledgers_say_their_day() -> None:
    """Table and date."""
    assert parse_merged_path(merged_path("process", "2024-01-31", "k-1")) == ("process", "2024-01-31")
    assert parse_ledger_path(ledger_path("process", "2024-01-31", "ab")) == ("process", "2024-01-31")
    assert parse_merged_path(ledger_path("process", "2024-01-31", "ab")) is None
    assert parse_merged_path("_merged/process/date=x/k.parquet") is None
    assert parse_merged_path("_merged/process/k.parquet") is None
    assert parse_merged_path("_merged/process/date=2024-01-31/../k.parquet") is None


def test_a_long_path_is_none() -> None:
    """No name may be longer than its parts allow."""
    table = "t" + "a" * 39
    assert is_table(table)
    assert not is_table(table + "a")
    assert len(merged_path(table, "2024-01-31", "x" * 247)) < PATH_BYTES_MAX
    assert parse_merged_path(f"_merged/{table}/date=2024-01-31/" + "x" * 255 + ".parquet") is None
