"""Compaction of real Parquet files: each row once, in order, whatever versions, damage and sizes there are."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from fakes.lake_folder import LakeFolder
from fakes.landing_files import DAY_NS, NodeFile, fleet, land, marks_of_node, rows_of, write_landing

from agent.lake.commit import AddedFile, LakeCommit
from agent.lake.log import LakeLog
from agent.lake.path import merged_path
from agent.model.timebase import DAY, MINUTE, S, civil_date
from agent.setting import MIB
from agent.store.digest import DigestVerdict, check_digest_of
from agent.store.parquet_writer import FileMarks, ParquetFile


def in_order(lake: LakeFolder) -> bool:
    """Whether each file that was merged is sorted by host and time."""
    for file in lake.files():
        keys = [(row["host"], row["timestamp"]) for row in lake.table(file, ["host", "timestamp"]).to_pylist()]
        if not file.is_landing and keys != sorted(keys):
            return False
    return True


def test_files_of_nodes_become_one(tmp_path: Path) -> None:
    """Sorted by host and time, with the digest and the marks of the agent's own files, and the install of each row's node."""
    lake = LakeFolder(tmp_path)
    for file in fleet(nodes=9, files=4, rows=25):
        land(lake.path, file)
    before = lake.numbers()
    report = lake.compact()
    assert (report.jobs, report.sources, report.files, report.rows) == (1, 36, 1, 900)
    (found,) = lake.files()
    assert (found.rows, found.first_ns, found.last_ns) == (900, DAY_NS, DAY_NS + 99 * S)
    assert lake.numbers() == before == list(range(900))
    assert in_order(lake)
    assert {(row["host"], row["install"]) for row in lake.rows()} == {(f"node-{n:05d}", f"install-{n}") for n in range(9)}
    content = (lake.path / found.path).read_bytes()
    assert check_digest_of(content) is DigestVerdict.GOOD
    marks = {key.decode(): value.decode() for key, value in pyarrow.parquet.read_metadata(lake.path / found.path).metadata.items()}
    assert (marks["table"], marks["sources"], marks["schema_version"]) == ("process", "36", "1")
    (added,) = lake.snapshot().state.files.values()
    assert (added.hosts_min, added.hosts_max, added.bytes) == ("node-00000", "node-00008", len(content))


def test_a_round_that_finds_nothing_does_nothing(tmp_path: Path) -> None:
    """An empty lake, and one that is compacted already."""
    lake = LakeFolder(tmp_path)
    assert lake.compact().jobs == 0
    land(lake.path, NodeFile(1, 1, range(10)))
    assert lake.compact().jobs == 1
    number = lake.snapshot().number
    assert lake.compact().jobs == 0
    assert lake.snapshot().number == number


def test_late_files_join_the_day(tmp_path: Path) -> None:
    """The file before is merged with them."""
    lake = LakeFolder(tmp_path)
    land(lake.path, NodeFile(2, 1, range(10)))
    lake.compact()
    land(lake.path, NodeFile(1, 1, range(10, 20)))
    land(lake.path, NodeFile(2, 2, range(20, 30), DAY_NS - 20 * S + 20 * S))
    lake.compact()
    assert len(lake.files()) == 1
    assert lake.numbers() == list(range(30))
    assert in_order(lake)


@pytest.mark.parametrize("memory_bytes", [256 * MIB, 8_000])
def test_files_that_reach_across_each_other_are_sorted_within_bounds(tmp_path: Path, memory_bytes: int) -> None:
    """As those of a merger are: each has all hosts. Little memory makes runs of them, which are merged."""
    lake = LakeFolder(tmp_path)
    log = LakeLog(lake.bucket, "merger")
    number = 0
    for at in range(12):
        tables = []
        for node in range(10):
            tables.append(rows_of(NodeFile(node, 1, range(number, number + 7), DAY_NS + (12 - at) * MINUTE)))
            number += 7
        date = civil_date(DAY_NS)
        path = merged_path("process", date, f"k-{at}")
        rows = pyarrow.concat_tables([table.cast(TEXT_HOST) for table in tables])
        size = put_merged(lake.path / path, rows)
        added = AddedFile(path, "process", date, rows.num_rows, size, DAY_NS, DAY_NS + 13 * MINUTE)
        log.append(lambda _state, added=added: LakeCommit(adds=(added,)))  # type: ignore[misc]  # bound now
    for file in fleet(nodes=3, files=2, rows=40):
        land(lake.path, NodeFile(file.node, file.generation, [each + number for each in file.numbers], file.first_ns, groups=3))
    before = lake.numbers()
    assert len(before) == 12 * 70 + 240
    report = lake.compact(memory_bytes=memory_bytes)
    assert (report.jobs, report.rows) == (1, len(before))
    assert len(lake.files()) == 1
    assert lake.numbers() == before
    assert in_order(lake)


TEXT_HOST = pyarrow.schema(
    [
        ("timestamp", pyarrow.int64()),
        ("number", pyarrow.int64()),
        ("share", pyarrow.float64()),
        ("command", pyarrow.utf8()),
        ("host", pyarrow.utf8()),
    ]
)


def put_merged(path: Path, rows: pyarrow.Table) -> int:
    """A file as a merger puts it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    marks = FileMarks("process", "00000000000000aa", "", "", 1, "0.0.0", DAY_NS)
    parquet = ParquetFile(str(path), rows.schema, marks)
    half = rows.num_rows // 2
    parquet.write_group([rows.slice(0, half)])
    parquet.write_group([rows.slice(half)])
    parquet.close()
    return path.stat().st_size


def test_versions_of_a_table_are_united(tmp_path: Path) -> None:
    """A column that older files have not is null in their rows; the newest version says the order."""
    lake = LakeFolder(tmp_path)
    land(lake.path, NodeFile(1, 1, range(5)))
    newer = NodeFile(2, 1, range(5, 10), version=2)
    land(lake.path, newer, rows_of(newer, extra=("added",)))
    assert lake.compact().jobs == 1
    (file,) = lake.files()
    assert lake.table(file).schema.names == ["timestamp", "number", "share", "command", "added", "host", "install"]
    assert {(row["number"] >= 5, row["added"]) for row in lake.rows()} == {(False, None), (True, 1)}
    assert pyarrow.parquet.read_metadata(lake.path / file.path).metadata[b"schema_version"] == b"2"


def test_a_file_whose_column_has_another_type_is_left(tmp_path: Path) -> None:
    """And keeps no other from being compacted."""
    lake = LakeFolder(tmp_path)
    land(lake.path, NodeFile(1, 1, range(5), version=2))
    odd = NodeFile(2, 1, range(5, 10))
    rows = rows_of(odd)
    land(lake.path, odd, rows.set_column(2, "share", pyarrow.array(["x"] * 5)))
    report = lake.compact()
    assert (report.jobs, report.rows) == (1, 5)
    assert [(file.path, "share is string" in file.reason) for file in report.passed] == [(odd.path, True)]
    assert lake.numbers() == list(range(10))


def test_what_is_damaged_or_foreign_is_left_and_named(tmp_path: Path) -> None:
    """Bytes that were altered, a file that is cut off, another program's, another table's, a name of another segment, no digest."""
    lake = LakeFolder(tmp_path)
    good = [NodeFile(node, 1, range(node * 5, node * 5 + 5)) for node in range(3)]
    for file in good:
        land(lake.path, file)
    bad = [NodeFile(node, 1, range(100)) for node in range(10, 18)]
    paths = [land(lake.path, file) for file in bad]
    altered = bytearray(paths[0].read_bytes())
    altered[200] ^= 1
    paths[0].write_bytes(altered)
    paths[1].write_bytes(paths[1].read_bytes()[:-300])
    paths[2].write_bytes(b"PAR1 no file of ours PAR1")
    paths[3].write_bytes(b"")
    pyarrow.parquet.write_table(rows_of(bad[4]), paths[4])
    marks = marks_of_node(bad[5])
    write_landing(paths[5], bad[5], marks=FileMarks("host", marks.segment, "x", "y", 1, "0", 0))
    write_landing(paths[6], bad[6], marks=FileMarks("process", "0" * 16, "x", "y", 1, "0", 0))
    write_landing(paths[7], bad[7], rows_of(bad[7]).drop_columns(["host"]))
    before = {path: path.read_bytes() for path in paths}
    report = lake.compact()
    assert (report.jobs, report.rows, len(report.passed)) == (1, 15, 8)
    assert {str(lake.path / file.path) for file in report.passed} == set(map(str, paths))
    assert [file.is_damaged for file in report.passed if file.path == bad[0].path] == [True]
    assert {path: path.read_bytes() for path in paths} == before
    (merged,) = [file for file in lake.files() if not file.is_landing]
    assert sorted(lake.table(merged, ["number"]).column(0).to_pylist()) == list(range(15))


def test_a_day_of_bad_files_alone_changes_nothing(tmp_path: Path) -> None:
    """Nothing is committed."""
    lake = LakeFolder(tmp_path)
    path = land(lake.path, NodeFile(1, 1, range(5)))
    path.write_bytes(b"what")
    report = lake.compact()
    assert (report.jobs, len(report.passed), lake.snapshot().number) == (0, 1, 0)


def test_large_sources_become_several_files(tmp_path: Path) -> None:
    """Each about as large as wanted; the rest of an open day waits."""
    lake = LakeFolder(tmp_path)
    for file in fleet(nodes=4, files=12, rows=300):
        land(lake.path, file)
    size = sum(file.bytes for file in lake.files())
    report = lake.compact(file_bytes=size // 3)
    assert report.jobs >= 1
    assert lake.numbers() == list(range(4 * 12 * 300))
    assert in_order(lake)


def test_each_day_and_table_has_its_own_files(tmp_path: Path) -> None:
    """And one table alone can be asked for."""
    lake = LakeFolder(tmp_path)
    land(lake.path, NodeFile(1, 1, range(5)))
    land(lake.path, NodeFile(1, 2, range(5, 10), DAY_NS + DAY))
    land(lake.path, NodeFile(1, 1, range(10, 15), table="host"))
    (lake.path / "notes").mkdir()
    (lake.path / "notes" / "x.parquet").write_bytes(b"x")
    assert lake.compact(tables=("host",)).jobs == 1
    assert [file.is_landing for file in lake.files("process", "host")].count(True) == 2
    assert lake.compact().jobs == 2
    found = lake.files("process", "host")
    assert [(file.table, file.is_landing) for file in found] == [("host", False), ("process", False), ("process", False)]


def test_rows_of_other_hosts_keep_their_install(tmp_path: Path) -> None:
    """A hub's file has rows of its nodes, and its own without an install."""
    lake = LakeFolder(tmp_path)
    hub = NodeFile(1, 1, range(4))
    kind = pyarrow.dictionary(pyarrow.int32(), pyarrow.utf8())
    rows = rows_of(hub)
    rows = rows.set_column(4, "host", pyarrow.array(["node-00001", "a", "b", "a"]).dictionary_encode().cast(kind))
    rows = rows.append_column("install", pyarrow.array([None, "i-a", "i-b", "i-a"], pyarrow.utf8()).dictionary_encode().cast(kind))
    land(lake.path, hub, rows)
    land(lake.path, NodeFile(2, 1, range(4, 6)))
    lake.compact()
    assert {(row["host"], row["install"]) for row in lake.rows()} == {
        ("node-00001", "install-1"), ("a", "i-a"), ("b", "i-b"), ("node-00002", "install-2"),
    }  # fmt: skip
    assert in_order(lake)


def test_files_without_rows_are_consumed(tmp_path: Path) -> None:
    """They become nothing."""
    lake = LakeFolder(tmp_path)
    land(lake.path, NodeFile(1, 1, []))
    assert lake.compact().jobs == 1
    assert lake.files() == []


def test_a_result_that_is_there_already_is_taken(tmp_path: Path) -> None:
    """A compactor was killed after it had put it: the next one makes the same bytes under the same name."""
    lake, other = LakeFolder(tmp_path), tmp_path / "other"
    other.mkdir()
    twin = LakeFolder(other)
    for file in fleet(nodes=3, files=2, rows=10):
        land(lake.path, file)
        land(twin.path, file)
    twin.compact()
    (made,) = twin.files()
    (lake.path / made.path).parent.mkdir(parents=True)
    (lake.path / made.path).write_bytes((twin.path / made.path).read_bytes())
    assert lake.compact().jobs == 1
    assert [file.path for file in lake.files()] == [made.path]
    # Of another version it would have other bytes: then ours has another name.
    land(lake.path, NodeFile(7, 1, range(100, 105)))
    land(twin.path, NodeFile(7, 1, range(100, 105)))
    twin.compact()
    (made,) = twin.files()
    (lake.path / made.path).write_bytes(b"another version's")
    assert lake.compact().jobs == 1
    assert [file.path for file in lake.files()] == [made.path.replace("-0.parquet", "-0-1.parquet")]
    assert lake.numbers() == [*range(60), *range(100, 105)]
