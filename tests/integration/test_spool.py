"""The spool on real file systems, a full one among them."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.segment import batch_frame, head_of
from fakes.sender import SAMPLE
from fakes.small_disk import mounted

from agent.model.errors import StorageError
from agent.store.record import Record, encode_head, parse_head, parse_records
from agent.store.segment import segment_name
from workers.writer.spool import Spool


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 256 KiB; only root can mount one."""
    with mounted(tmp_path / "disk", "256k") as folder:
        yield folder


def spool_in(folder: Path) -> Spool:
    """A spool that is ready to be opened."""
    spool = Spool(str(folder / "spool"), str(folder / "set-aside"))
    spool.prepare()
    return spool


def sequence_numbers(path: Path) -> list[int]:
    """The numbers of the batches in a segment, which must be whole from end to end."""
    data = path.read_bytes()
    items = list(parse_records(data, parse_head(data)[1]))
    assert all(isinstance(item, Record) for item in items)
    return [item.entry.seq for item in items if isinstance(item, Record)]


def wait_synced(spool: Spool) -> StorageError | None:
    """The end of the round under way, or a failed test after half a minute."""
    assert select.select([spool.syncer.descriptor], [], [], 30)[0]
    return spool.take_synced()


def append_until_full(spool: Spool) -> tuple[int, StorageError]:
    """How many batches went in, and the failure of the next one."""
    for stored in range(1000):
        try:
            spool.append([batch_frame(stored + 1)])
        except StorageError as failure:
            return stored, failure
    raise AssertionError("the disk never was full")


def test_segment_has_its_name_only_with_a_whole_head(tmp_path: Path) -> None:
    """After opening there is one file, it has its final name and begins with its head."""
    spool = spool_in(tmp_path)
    assert spool.open(head_of()) == ""
    assert os.listdir(tmp_path / "spool") == ["20231114T221320Z-00000000456789ab.spool"]
    assert parse_head((tmp_path / "spool" / spool.name).read_bytes()) == (head_of(), spool.size_bytes)
    assert spool.is_empty
    spool.close()


def test_appended_records_are_readable_at_once(tmp_path: Path) -> None:
    """Anyone who reads the open segment finds what was appended."""
    spool = spool_in(tmp_path)
    spool.open(head_of())
    spool.append([batch_frame(1), batch_frame(2)])
    spool.append([batch_frame(3)])
    path = tmp_path / "spool" / spool.name
    assert sequence_numbers(path) == [1, 2, 3]
    assert path.stat().st_size == spool.size_bytes
    spool.close()


def test_rotation_gives_the_former_segment(tmp_path: Path) -> None:
    """A new segment is open, the former is listed, and once synced all of it is on the disk."""
    spool = spool_in(tmp_path)
    spool.open(head_of("a" * 16))
    spool.append([batch_frame(1)])
    former = spool.open(head_of("b" * 16))
    assert spool.names() == [former] == [segment_name(head_of("a" * 16))]
    before = spool.is_durable, spool.has_unsynced
    assert (spool.sync(), spool.sync(), wait_synced(spool)) == (True, False, None)
    assert (before, (spool.is_durable, spool.has_unsynced)) == ((False, True), (True, False))
    spool.close()


def test_set_aside_overwrites_nothing(tmp_path: Path) -> None:
    """Two damaged files of one name are both kept."""
    spool = spool_in(tmp_path)
    for content in (b"first", b"second"):
        (tmp_path / "spool" / "x.spool").write_bytes(content)
        spool.set_aside("x.spool")
    assert {path.name: path.read_bytes() for path in (tmp_path / "set-aside").iterdir()} == {
        "x.spool": b"first",
        "x.spool.1": b"second",
    }
    spool.close()


def test_removing_what_is_gone_is_no_failure(tmp_path: Path) -> None:
    """Somebody else removed the segment: it is what was wanted."""
    spool = spool_in(tmp_path)
    spool.remove("x.spool")
    spool.close()


def test_unfinished_segments_are_removed_at_the_start(tmp_path: Path) -> None:
    """What a writer killed while opening left behind has no final name and goes."""
    spool_in(tmp_path).close()
    (tmp_path / "spool" / ".20231114T221320Z-00000000456789ab.spool.new").write_bytes(encode_head(head_of())[:9])
    spool = spool_in(tmp_path)
    assert (os.listdir(tmp_path / "spool"), spool.names()) == ([], [])
    spool.close()


def test_full_disk_loses_nothing_that_is_there(small_disk: Path) -> None:
    """The append that does not fit leaves whole records only, and when there is room it goes on in the same file."""
    spool = spool_in(small_disk)
    spool.open(head_of())
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(128 << 10))
    stored, failure = append_until_full(spool)
    assert str(small_disk) in failure.sentence
    assert "free space" in failure.sentence
    path = small_disk / "spool" / spool.name
    assert sequence_numbers(path) == list(range(1, stored + 1))
    ballast.unlink()
    spool.append([batch_frame(stored + 1)])
    assert sequence_numbers(path) == list(range(1, stored + 2))
    spool.close()


def test_full_disk_leaves_no_segment_half_opened(small_disk: Path) -> None:
    """Opening that fails leaves no file, and the segment before it stays open."""
    spool = spool_in(small_disk)
    spool.open(head_of("a" * 16))
    try:
        with open(small_disk / "ballast", "wb") as ballast:
            ballast.write(bytes(1 << 20))
    except OSError:
        pass  # It is as full as it gets.
    with pytest.raises(StorageError):
        spool.open(head_of("b" * 16))
    assert os.listdir(small_disk / "spool") == [spool.name] == [segment_name(head_of("a" * 16))]
    spool.close()


APPENDER = """
import sys
from fakes.segment import batch_frame, head_of
from workers.writer.spool import Spool
spool = Spool(sys.argv[1] + "/spool", sys.argv[1] + "/set-aside")
spool.prepare()
spool.open(head_of())
for seq in range(1, 1_000_000):
    spool.append([batch_frame(seq)])
    print(seq, flush=True)
"""


def test_killed_writer_loses_nothing_it_has_told(tmp_path: Path) -> None:
    """After kill -9 at any moment every batch whose append returned is in the file."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        line = [sys.executable, "-c", APPENDER, str(folder)]
        with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(20 + 37 * attempt):
                process.stdout.readline()
            process.kill()
            told = [int(word) for word in process.stdout.read().split()]
        (segment,) = (folder / "spool").iterdir()
        data = segment.read_bytes()
        records = [item for item in parse_records(data, parse_head(data)[1]) if isinstance(item, Record)]
        numbers = [record.entry.seq for record in records]
        assert numbers == list(range(1, len(numbers) + 1))
        assert numbers[-1] >= max(told, default=0)


def test_names_of_columns_stand_in_the_head(tmp_path: Path) -> None:
    """A segment can be read by a version that does not know its tables."""
    spool = spool_in(tmp_path)
    spool.open(head_of())
    head, _ = parse_head((tmp_path / "spool" / spool.name).read_bytes())
    assert head.tables["sample"].names == SAMPLE.column_names
    spool.close()
