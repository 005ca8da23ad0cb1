"""What the names of sealed files say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.column_type import DType
from agent.model.table import Column, Table
from agent.model.timebase import HOUR, S
from agent.store.layout import (
    SealedName,
    date_folder,
    file_name,
    host_bytes_max,
    host_in_names,
    parse_date_folder,
    parse_sealed_name,
)

FIRST_NS = 1_700_000_000 * S
ID = "0000001f89abcdef"
SECONDS_MAX = 250_000_000_000
hosts = st.text("abcXYZ019._-", min_size=1, max_size=20)
prefixes = st.text("abc_-", max_size=8)


@given(prefixes, hosts, st.lists(st.integers(0, SECONDS_MAX), min_size=2, max_size=2), st.booleans(), st.integers(0, (1 << 64) - 1))
def test_a_name_is_read_as_it_was_written(prefix: str, host: str, seconds: list[int], is_compacted: bool, number: int) -> None:
    """Whatever the host is called, and whatever table it is."""
    first, last = sorted(seconds)
    name = SealedName(prefix, host, first * S, last * S, is_compacted, f"{number:016x}")
    assert parse_sealed_name(file_name(name), prefix) == name


def test_the_times_of_a_name_are_rounded_down_to_seconds() -> None:
    """The last row may be almost a second later than its name says."""
    written = file_name(SealedName("process-", "node 1", FIRST_NS + 1, FIRST_NS + HOUR + S - 1, False, ID))
    assert written == "process-node_1-20231114T221320Z-20231114T231320Z-0000001f89abcdef.parquet"
    assert parse_sealed_name(written) == SealedName("", "process-node_1", FIRST_NS, FIRST_NS + HOUR, False, ID)


@pytest.mark.parametrize(
    ("since_ns", "until_ns", "is_found"),
    [
        (None, None, True),
        (FIRST_NS + S - 1, None, True),
        (FIRST_NS + S, None, False),
        (None, FIRST_NS, False),
        (None, FIRST_NS + 1, True),
        (FIRST_NS - HOUR, FIRST_NS + HOUR, True),
        (FIRST_NS - HOUR, FIRST_NS - 1, False),
    ],
)
def test_a_range_of_time_finds_a_file_by_its_name(since_ns: int | None, until_ns: int | None, is_found: bool) -> None:
    """`since` is in the range, `until` is behind it; the last second of a name is a whole one."""
    assert SealedName("", "h", FIRST_NS, FIRST_NS, False, ID).overlaps(since_ns, until_ns) is is_found


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".parquet",
        "mine.parquet",
        f"{ID}.parquet",
        f"p-h-20231114T221320Z-{ID}.parquet",
        f"p-h-20231114T221320Z-20231114T221319Z-{ID}.parquet",
        f"p-h-20231114T221320Z-20231114T221320Z-{ID[:-1]}.parquet",
        f"p-h-20231114T221320Z-20231114T221320Z-{ID.upper()}.parquet",
        f"p-h-20231114T221320Z-20231114T221320Z-{ID}.parquet.tmp",
        f"p-h-20231114T221320Z-20231114T221360Z-{ID}.parquet",
        f"p-h-20231314T221320Z-20231114T221320Z-{ID}.parquet",
        f"p-h-20231114T221320Z-20231114T221320Z-week-{ID}.parquet",
        f"p-h+20231114T221320Z-20231114T221320Z-{ID}.parquet",
        f"p-h-20231114T221320Z+20231114T221320Z-{ID}.parquet",
        f"p- h-20231114T221320Z-20231114T221320Z-{ID}.parquet",
        f"p--20231114T221320Z-20231114T221320Z-{ID}.parquet",
        f"q-h-20231114T221320Z-20231114T221320Z-{ID}.parquet",
    ],
)
def test_other_names_are_not_the_agents(name: str) -> None:
    """Of another table, without its times, with an impossible time, in the making."""
    assert parse_sealed_name(name, "p-") is None


def test_a_host_has_a_name_that_any_file_may_have() -> None:
    """Whatever it is called."""
    assert (host_in_names("a/b c\u00e9"), host_in_names("")) == ("a_b_c_", "_")


@pytest.mark.parametrize("name", ["date=", "2024-01-01", "date=2024-02-30", "date=20240101", "date=2024-1-01", "date=2024-01--1"])
def test_a_date_folder_has_a_date(name: str) -> None:
    """A day of the calendar, with four, two and two digits."""
    assert parse_date_folder(date_folder("2024-02-29")) == "2024-02-29"
    assert parse_date_folder(name) is None


def test_the_longest_host_name_makes_legal_file_names() -> None:
    """The longest hidden name of the longest table has exactly as many bytes as a file system takes."""
    table = Table("occupancy_domain", 1, "", ("a",), (Column("a", DType.INT64, "1", "a", "test"),), file_prefix="resctrl-domain-")
    other = Table("a", 1, "", ("a",), (Column("a", DType.INT64, "1", "a", "test"),))
    name = SealedName(table.prefix, "h" * host_bytes_max([other, table]), FIRST_NS, FIRST_NS, True, ID)
    assert len(f"{table.name}-2024-01-01-{file_name(name)}") == 255
