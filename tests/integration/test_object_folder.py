"""Sealed files in a folder: under which names they lie, when they come, what happens to those that are gone or in the way."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fakes.object_export import ObjectExportHost, export_process, files_below, rows_in
from fakes.small_disk import fill, mounted
from fakes.stored_segments import EVE, StoredSegments

from agent.model.timebase import S

ROOT = Path(__file__).parents[2]


def test_a_folder_gets_the_files_of_each_segment(tmp_path: Path) -> None:
    """Under table, date and host, each row that was stored once, with two tables and a segment over midnight."""
    folder = tmp_path / "lake"
    folder.mkdir()
    stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
    host = ObjectExportHost(stored.state, url)
    stored.segment(batches=90, lost=7)
    stored.segment()
    ledger = host.settle()
    files = files_below(folder)
    assert {"/".join(name.split("/")[:3]) for name in files} == {
        f"{table}/date={date}/host=node-1"
        for table, date in [("sample", "2023-12-08"), ("sample", "2023-12-09"), ("gap", "2023-12-08")]
    }
    assert rows_in(files) == stored.rows()
    assert sum(rows_in(files).values()) == 94 * 40 + 1
    assert (ledger["produced"], ledger["delivered"]) == (94 * 40 + 1, 94 * 40 + 1)
    host.kill()


def test_nothing_of_a_segment_goes_before_it_is_sealed(tmp_path: Path) -> None:
    """What is in the open segment waits, and is pending."""
    folder = tmp_path / "lake"
    folder.mkdir()
    stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
    host = ObjectExportHost(stored.state, url)
    stored.writer.measure(stored.sender, batches=3)
    host.run_until(lambda: host.stats.get("lag_rows") == 120, "the count")
    host.run_for(10 * S)
    assert files_below(folder) == {}
    assert host.ledger["pending"] == 120
    host.kill()


@pytest.mark.parametrize("what", ["compacted", "removed", "damaged"])
def test_files_that_are_gone_are_made_again(what: str, tmp_path: Path) -> None:
    """Byte for byte, from the segment that is kept for this sink; nothing of that is left behind."""
    folder = tmp_path / "lake"
    folder.mkdir()
    stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
    stored.segment(lost=2, bad=True)
    stored.segment()
    before, rows = {path.name: path.read_bytes() for path in (stored.state / "data").rglob("*.parquet")}, stored.rows()
    for path in (stored.state / "data").rglob("*.parquet"):
        if what == "damaged":
            content = bytearray(path.read_bytes())
            content[len(content) // 3] ^= 1
            path.write_bytes(content)
        else:
            path.unlink()
        if what == "compacted":
            name = path.name.rpartition("-")
            path.with_name(f"{name[0]}-day-{name[2]}").write_bytes(b"all of the day")
    host = ObjectExportHost(stored.state, url)
    assert host.settle()["rejected"] == 0
    assert rows_in(files_below(folder)) == rows
    assert {Path(name).name: content for name, content in files_below(folder).items()} == before
    assert not (stored.state / "sinks" / "central" / "made").exists()
    host.kill()


def test_rows_that_fit_no_table_bring_their_row_of_gap(tmp_path: Path) -> None:
    """No batch has brought it: the sealer has made it of what it could not store."""
    folder = tmp_path / "lake"
    folder.mkdir()
    stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
    stored.segment(bad=True)
    host = ObjectExportHost(stored.state, url)
    host.settle()
    assert rows_in(files_below(folder)) == stored.rows()
    assert any(table == "gap" for table, _ in stored.rows())
    host.kill()


def test_a_full_folder_waits_for_room(tmp_path: Path) -> None:
    """Nothing half-written has a name; with room again the rows come."""
    with mounted(tmp_path / "lake", "128k") as folder:
        stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
        stored.segment(lost=1)
        fill(folder / "fill")
        host = ObjectExportHost(stored.state, url)
        host.run_until(lambda: host.stats.get("failures", 0) >= 2, "the failure")
        assert host.stats["state"] == "down"
        assert f"folder {folder} is full" in host.sentence
        assert set(files_below(folder)) == {"fill"}
        (folder / "fill").unlink()
        host.settle()
        assert rows_in(files_below(folder)) == stored.rows()
        host.kill()


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path) -> None:
    """It may be a mount that is not there: the disk below would be filled. A person is told; it goes on by itself."""
    stored = StoredSegments(tmp_path / "state", url := f"file://{tmp_path}/lake")
    stored.segment()
    host = ObjectExportHost(stored.state, url)
    host.run_until(lambda: host.stats.get("state") == "paused", "the refusal")
    assert "there is no such folder" in host.sentence
    (tmp_path / "lake").mkdir()
    host.settle()
    host.kill()


def test_what_is_whole_in_a_damaged_segment_arrives(tmp_path: Path) -> None:
    """The file that the sealer has made of it; also where it is made again."""
    folder = tmp_path / "lake"
    folder.mkdir()
    stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
    stored.writer.measure(stored.sender, batches=4)
    (path,) = (stored.state / "spool").glob("*.spool")
    content = bytearray(path.read_bytes())
    content[-20] ^= 0xFF
    path.write_bytes(content)
    stored.writer.measure(stored.sender, batches=2)
    stored.writer.rotate()
    rows = stored.rows()
    assert 5 * 40 <= sum(rows.values()) < 6 * 40
    shutil.rmtree(stored.state / "data" / "sample")
    host = ObjectExportHost(stored.state, url, tables=("sample",))
    ledger = host.settle()
    assert (ledger["delivered"], ledger["pruned"]) == (5 * 40, 0)
    assert rows_in(files_below(folder)) == Counter({row: times for row, times in rows.items() if row[0] == "sample"})
    host.kill()


@pytest.mark.parametrize("what", ["file", "fifo", "folder", "link"])
def test_what_has_a_files_name_in_a_folder_is_left_as_it_is(what: str, tmp_path: Path) -> None:
    """Nobody waits for a pipe, and no link is followed."""
    folder = tmp_path / "lake"
    folder.mkdir()
    stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
    stored.segment()
    (path,) = (stored.state / "data").rglob("*.parquet")
    target = folder / "sample" / path.parent.name / "host=node-1" / path.name
    target.parent.mkdir(parents=True)
    if what == "file":
        target.write_bytes(b"x" * path.stat().st_size)
    elif what == "fifo":
        os.mkfifo(target)
    elif what == "folder":
        target.mkdir()
    else:
        target.symlink_to(path)
    host = ObjectExportHost(stored.state, url)
    assert host.settle()["rejected_by_reason"] == {"exists_with_other_content": 160}
    assert [found.name for found in target.parent.iterdir()] == [path.name]
    host.kill()


def test_a_query_engine_reads_the_bucket_as_one_table(tmp_path: Path) -> None:
    """The text of docs/sinks/object.md, over a folder."""
    import duckdb

    folder = tmp_path / "lake"
    folder.mkdir()
    stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
    stored.segment(batches=90)
    host = ObjectExportHost(stored.state, url)
    host.settle()
    host.kill()
    source = f"read_parquet('{folder}/sample/**/*.parquet', hive_partitioning = true)"
    text = f"SELECT date, host, count(*) FROM {source} GROUP BY ALL ORDER BY 1"
    found = [(str(date), name, rows) for date, name, rows in duckdb.connect().execute(text).fetchall()]
    assert [each[0] for each in found] == [EVE, "2023-12-09"]
    assert {each[1] for each in found} == {"node-1"}
    assert sum(each[2] for each in found) == 90 * 40


def test_without_the_library_a_bucket_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """It is an optional one; a folder needs it not."""
    program = """
import sys
sys.modules["obstore"] = None
from workers.export.sink import SinkValues
from workers.exporters.object import SINK
for url in ("s3://bucket", "file:///lake"):
    print(SINK.check(SinkValues("central", "object", {"url": url})))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "the library for object storage is not installed; run: pip install 'evergauge[object]', or use file:///FOLDER", ""
    ]  # fmt: skip


def test_an_exporter_never_imports_arrow(tmp_path: Path) -> None:
    """Not even to make files again: that is another process's."""
    folder = tmp_path / "lake"
    folder.mkdir()
    stored = StoredSegments(tmp_path / "state", url := f"file://{folder}")
    stored.segment()
    shutil.rmtree(stored.state / "data" / "sample")
    done = export_process(stored.state, url, {})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["imported"] == []
