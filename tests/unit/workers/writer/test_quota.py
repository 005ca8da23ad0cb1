"""Which sealed files go for the quota."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import StorageError
from agent.model.timebase import S
from agent.setting import MIB
from agent.store.segment import segment_id
from workers.writer.quota import Inventory, Quota, StoredFile, choose, complaint, horizon, is_date, surplus_bytes

QUOTA = Quota(64 * MIB, {"process": "process-", "occupancy": "resctrl-occupancy-"})
STAMP = "20240101T000000Z"
SEGMENT = "00000000456789ab"


def stored(number: int, size_bytes: int = 10, table: str = "process") -> StoredFile:
    """The file that was sealed as so manieth."""
    stamp = f"202401{number:02d}T000000Z"
    segment = f"{number:016x}"
    return StoredFile(stamp, f"{table}/date=2024-01-01/{table}-node-1-{stamp}-{stamp}-{segment}.parquet", size_bytes, segment)


def found(*files: StoredFile) -> Inventory:
    """What a walk found."""
    inventory = Inventory()
    for file in files:
        inventory.add(file)
    return inventory


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("process", f"process-node-1.example-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("process", f"process-_-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("occupancy", f"resctrl-occupancy-node-1-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("of_an_older_version", f"of_an_older_version-node-1-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
    ],
)
def test_a_file_of_the_agents_is_known_by_its_name(table: str, name: str) -> None:
    """Prefix of the table, host, time and segment; a table that nobody declares any more counts too."""
    path = f"{table}/date=2024-01-01/{name}"
    assert QUOTA.parse_file(table, "date=2024-01-01", name, 7) == StoredFile(STAMP, path, 7, SEGMENT)


@pytest.mark.parametrize(
    ("date", "name"),
    [
        ("date=2024-01-01", "mine.parquet"),
        ("date=2024-01-01", f"process-node-1-{STAMP}-{STAMP}-{SEGMENT}.parquet.bak"),
        ("date=2024-01-01", f"copy-of-process-node-1-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("date=2024-01-01", f"process_tail-node-1-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("date=2024-01-01", f"process-node-1-{STAMP}-{STAMP}-{SEGMENT[:-1]}.parquet"),
        ("date=2024-01-01", f"process-node-1-20240101-{SEGMENT}.parquet"),
        ("date=2024-01-01", f"process-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("date=2024-01-01", f"process-node \udcff-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("date=2024-01-01", f".process-node-1-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("kept", f"process-node-1-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
        ("date=2024-01-01.old", f"process-node-1-{STAMP}-{STAMP}-{SEGMENT}.parquet"),
    ],
)
def test_other_names_are_none_of_the_agents(date: str, name: str) -> None:
    """What a person has put or renamed there neither counts nor goes."""
    assert QUOTA.parse_file("process", date, name, 7) is None


def test_only_dates_are_folders_of_sealed_files() -> None:
    """As the sealer writes them."""
    assert [is_date(name) for name in ("date=2024-01-01", "date=2024-1-1", "2024-01-01", "date=2024-01-01x")] == [True] + [
        False
    ] * 3


def test_the_oldest_go_over_all_tables_until_it_fits() -> None:
    """Age is the time in the name, whatever table or order; not one file more than needed goes."""
    files = [stored(3), stored(1, table="gap"), stored(4), stored(2), stored(1)]
    assert choose(files, 21) == [stored(1, table="gap"), stored(1), stored(2)]
    assert choose(files, 20) == [stored(1, table="gap"), stored(1)]
    assert choose(files, 0) == []


def test_all_go_where_all_are_not_enough() -> None:
    """There is no more than there is."""
    assert choose([stored(2), stored(1)], 1000) == [stored(1), stored(2)]


def test_files_of_a_segment_that_is_still_in_the_spool_stay() -> None:
    """Its sealer may have died before the rest of them had names; it makes them all again."""
    assert choose([stored(1), stored(2), stored(3)], 20, {stored(1).segment}) == [stored(2), stored(3)]


@given(
    st.lists(st.tuples(st.integers(1, 28), st.integers(0, 100)), max_size=30, unique_by=lambda item: item[0]), st.integers(0, 999)
)
def test_the_choice_is_the_shortest_sufficient_row_of_the_oldest(sizes: list[tuple[int, int]], surplus: int) -> None:
    """Nothing older than a chosen file stays, the chosen are enough if all together are, and without the last they are not."""
    files = [stored(number, size) for number, size in sizes]
    chosen = choose(files, surplus)
    assert chosen == sorted(files, key=lambda file: file.stamp)[: len(chosen)]
    assert sum(file.size_bytes for file in chosen) >= min(surplus, sum(file.size_bytes for file in files))
    assert sum(file.size_bytes for file in chosen[:-1]) < surplus or not chosen


def test_surplus_counts_sealed_data_and_spool_together() -> None:
    """At the limit there is none."""
    assert [surplus_bytes(100, sealed, 40) for sealed in (59, 60, 61)] == [0, 0, 1]


def test_nothing_goes_for_a_spool_that_is_above_the_limit_by_itself() -> None:
    """A limit that cannot be kept is worth no data."""
    assert surplus_bytes(100, 50, 100) == 50
    assert surplus_bytes(100, 50, 101) == 0


def test_of_many_files_the_oldest_are_kept_by_name_and_all_are_counted() -> None:
    """Memory is bounded: between the bound and twice the bound of them."""
    inventory = Inventory(candidates_max=3)
    for number in (9, 2, 8, 1, 7):
        inventory.add(stored(number))
    was_cut = inventory.is_cut
    inventory.add(stored(3))
    inventory.add(stored(6))
    assert (was_cut, inventory.is_cut) == (False, True)
    assert inventory.oldest == [stored(1), stored(2), stored(3), stored(6)]
    assert (inventory.files, inventory.bytes) == (7, 70)


def test_what_has_gone_is_counted_apart_from_what_was_removed() -> None:
    """A person who removes files does not make the agent's count grow."""
    inventory = found(stored(1), stored(2), stored(3))
    inventory.on_gone(stored(1), by_us=True)
    inventory.on_gone(stored(2), by_us=False)
    assert (inventory.files, inventory.bytes, inventory.removed_files, inventory.removed_bytes) == (1, 10, 1, 10)
    inventory.pass_over([stored(1), stored(2)])
    assert inventory.oldest == [stored(3)]


def test_all_is_well_below_the_limit() -> None:
    """And also on it."""
    assert complaint(QUOTA, found(stored(1, 60 * MIB)), 4 * MIB, None) == ""
    assert complaint(QUOTA, found(), 0, None) == ""


def test_each_complaint_names_the_limit_and_a_remedy() -> None:
    """The spool alone, the rest that cannot go, a limit below a single file, and what the system refused."""
    assert complaint(QUOTA, found(stored(1)), 65 * MIB, None) == (
        "writer.storage_quota: the spool alone holds 65.0MiB, more than 64MiB; nothing is removed for it; "
        "raise it, or see why the spool is not sealed"
    )
    assert complaint(QUOTA, found(stored(1, 64 * MIB)), 2 << 10, None) == (
        "writer.storage_quota: 64.0MiB sealed and 2.0KiB in the spool are more than 64MiB, "
        "and nothing more can be removed; raise it"
    )
    empty = found(stored(1, 70 * MIB))
    empty.on_gone(stored(1, 70 * MIB), by_us=True)
    assert complaint(QUOTA, empty, 2 * MIB, None) == (
        "writer.storage_quota: not one sealed file fits into 64MiB beside the spool; raise it, or lower writer.seal_bytes"
    )
    assert complaint(QUOTA, found(), 0, StorageError("/x", "cannot be written", "let the agent's user write there")) == (
        "not all of the old data can be counted and removed: /x: cannot be written; let the agent's user write there"
    )


NOW_NS = 1_706_745_600 * S  # 2024-02-01


def sealed(generation: int, stamp: str, date: str = "2024-01-01") -> StoredFile:
    """A file by its generation, the time in its name and the date of its rows."""
    segment = segment_id(generation, "00000000")
    return StoredFile(stamp, f"process/date={date}/process-n-{stamp}-{stamp}-{segment}.parquet", 10, segment)


def test_age_is_the_generation_whatever_the_clock_said() -> None:
    """Set back by a month, the clock makes no new file the oldest; files without a generation are older than all."""
    former, latter = sealed(7, "20240130T000000Z"), sealed(8, "20240101T000000Z")
    assert choose([latter, former, stored(1), stored(2)], 35, (), horizon(NOW_NS)) == [stored(1), stored(2), former, latter]
    assert choose([latter, former], 10, (), horizon(NOW_NS)) == [former]


def test_files_from_the_future_go_first() -> None:
    """By the time in the name or the date of the rows, more than a day from now, the oldest of them first."""
    right = sealed(1, "20240101T000000Z")
    named, dated = sealed(5, "20250101T000000Z"), sealed(4, "20240101T000000Z", date="2024-02-03")
    tomorrow = sealed(2, "20240201T233000Z", date="2024-02-02")
    assert choose([right, named, dated, tomorrow], 40, (), horizon(NOW_NS)) == [dated, named, right, tomorrow]
    inventory = Inventory(1, horizon(NOW_NS))
    inventory.add(right)
    inventory.add(named)
    assert inventory.oldest == [named]


def test_a_clock_that_says_1970_changes_nothing() -> None:
    """Everything is from the future then, and the order among it is that of the generations."""
    files = [sealed(3, "20240103T000000Z"), sealed(1, "20240101T000000Z"), sealed(2, "20250101T000000Z")]
    assert choose(files, 30, (), horizon(0)) == [files[1], files[2], files[0]]


def test_a_folder_is_one_of_a_declared_table_or_not() -> None:
    """Others are looked at too, and told apart."""
    assert [QUOTA.is_table(folder) for folder in ("process", "occupancy", "mine")] == [True, True, False]
