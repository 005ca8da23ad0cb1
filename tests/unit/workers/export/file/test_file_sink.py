"""Files of a folder: every row once over kills, full disks and rotation, and a sentence for every folder that cannot be used."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from fakes.sink_context import sink_context
from fakes.small_disk import fill, mounted
from fakes.stored_batch import STAMP_NS, stored, stored_bytes
from msgspec.structs import replace

from agent.model.errors import StorageError
from agent.model.tables import GAP
from agent.model.timebase import S
from agent.setting import MIB
from agent.store.batch import StoredBatch
from agent.store.record import form_of
from workers.export.file.file_sink import FileParcel, FileSink
from workers.export.file.rotated import RECORD
from workers.export.sink import Delivered, Later, Paused
from workers.exporters.file import SINK
from workers.host.schema import HOST

TABLES = ("host", "gap")


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Of the files, and of the sink's own state."""
    state = tmp_path / "state"
    state.mkdir()
    return tmp_path / "out", state


def sink_of(folders: tuple[Path, Path], **section: int | str | bool) -> FileSink:
    """The sink as a process begins with it."""
    made = SINK.open(sink_context("file", {"path": str(folders[0]), **section}, tables=TABLES, folder=folders[1]))
    assert isinstance(made, FileSink)
    return made


def tick(number: int) -> StoredBatch:
    """One row with its number in it."""
    return stored(HOST, [{"timestamp": STAMP_NS + number * S, "elapsed_ns": S, "cores": number + 1}], seq=number + 1)


def put(sink: FileSink, batches: Sequence[StoredBatch]) -> object:
    """One delivery."""
    parcel = sink.take(batches)
    return None if parcel is None else sink.deliver(parcel)


def names(folder: Path) -> list[str]:
    """What is in the folder."""
    return sorted(path.name for path in folder.iterdir())


def cores(folder: Path) -> list[int]:
    """The numbers of all rows, in the order of the files."""
    found = []
    for path in sorted(folder.glob("*-metrics-*.jsonl")):
        for line in path.read_text().splitlines():
            for resource in json.loads(line)["resourceMetrics"]:
                for metric in resource["scopeMetrics"][0]["metrics"]:
                    if metric["name"] == "system.cpu.logical.count":
                        found += [int(point["asInt"]) for point in metric["sum"]["dataPoints"]]
    return found


def test_signals_have_files_of_their_own(folders: tuple[Path, Path]) -> None:
    """Each delivery is one line."""
    sink = sink_of(folders)
    gap = stored(GAP, [{"timestamp": STAMP_NS, "worker": "w", "run": "r", "epoch": 1, "rows": 4, "reason": "worker_died"}], seq=3)
    assert put(sink, [tick(0)]) == Delivered()
    assert put(sink, [tick(1), gap]) == Delivered()
    assert names(folders[0]) == ["node-1-test-logs-00000001.jsonl", "node-1-test-metrics-00000001.jsonl"]
    assert cores(folders[0]) == [1, 2]
    assert len((folders[0] / "node-1-test-metrics-00000001.jsonl").read_text().splitlines()) == 2
    assert sink.probe() == Delivered()


def test_what_was_delivered_is_not_written_again(folders: tuple[Path, Path]) -> None:
    """The worker was killed before it knew: what comes again is divided in another way."""
    put(sink_of(folders), [tick(0), tick(1)])
    sink = sink_of(folders)
    assert sink.take([tick(0), tick(1)]) is None
    assert put(sink_of(folders), [tick(1), tick(2)]) == Delivered()
    assert cores(folders[0]) == [1, 2, 3]


STEPS = ("os.pwrite", "os.fsync", "os.rename", "os.ftruncate", "os.open")


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> bool:
    """Whether the work was ended before its n-th call of the operating system; half of a write has happened then."""
    left = step
    real = {name: getattr(os, name.removeprefix("os.")) for name in STEPS}

    def counting(name: str) -> Callable[..., object]:
        def call(*words: object, **more: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                if name == "os.pwrite":
                    descriptor, data, offset = words
                    real[name](descriptor, bytes(data)[: len(bytes(data)) // 2], offset)  # type: ignore[call-overload]  # bytes of a view
                raise Killed
            return real[name](*words, **more)

        return call

    with monkeypatch.context() as patched:
        for name in STEPS:
            patched.setattr(name, counting(name))
        try:
            work()
        except Killed:
            return True
    return False


def test_a_kill_at_any_moment_loses_and_doubles_nothing(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a file, and where one is rotated."""
    number = step = 0
    while step < 60:
        # Every third delivery begins another file.
        section = {"rotate_bytes": 1 if number % 3 == 2 else MIB}
        sink = sink_of(folders, **section)
        batches = [tick(number)]
        was_killed = killed_at(step, monkeypatch, lambda sink=sink, batches=batches: put(sink, batches))  # type: ignore[misc]  # bound now
        if was_killed:
            # The worker of the next process does not know either.
            put(sink_of(folders, **section), [*batches, tick(number + 1)])
            number += 1
        number += 1
        step += 1
        assert cores(folders[0]) == list(range(1, number + 1)), step
    assert not any(name.endswith(".tmp") for name in names(folders[0]))


def test_files_are_rotated_by_size_and_the_oldest_removed(folders: tuple[Path, Path]) -> None:
    """`keep_files` of each stream stay."""
    sink = sink_of(folders, rotate_bytes=2000, keep_files=3)
    for number in range(30):
        put(sink, [tick(number)])
    found = names(folders[0])
    assert len(found) == 3
    assert all((folders[0] / name).stat().st_size <= 2000 for name in found)
    numbers = cores(folders[0])
    assert numbers == list(range(numbers[0], 31))


def test_another_state_begins_behind_the_files_that_are_there(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """What another installation wrote is neither overwritten nor removed."""
    put(sink_of(folders), [tick(0)])
    (tmp_path / "other").mkdir()
    put(sink_of((folders[0], tmp_path / "other")), [tick(1)])
    assert names(folders[0]) == ["node-1-test-metrics-00000001.jsonl", "node-1-test-metrics-00000002.jsonl"]
    assert cores(folders[0]) == [1, 2]


@pytest.mark.parametrize("damage", ["remove", "cut"])
def test_a_file_that_somebody_changed_is_left(folders: tuple[Path, Path], damage: str) -> None:
    """What is gone is gone; nothing is written over a hole."""
    sink = sink_of(folders)
    put(sink, [tick(0)])
    path = folders[0] / "node-1-test-metrics-00000001.jsonl"
    path.unlink() if damage == "remove" else os.truncate(path, 5)
    assert put(sink, [tick(1)]) == Delivered()
    assert names(folders[0])[-1] == "node-1-test-metrics-00000002.jsonl"


def test_a_full_disk_tears_nothing(tmp_path: Path) -> None:
    """It is tried later, and then all is there once."""
    state = tmp_path / "state"
    state.mkdir()
    with mounted(tmp_path / "small", "64k") as small:
        sink = sink_of((small, state))
        put(sink, [tick(0)])
        fill(small / "filler")
        many = [stored(HOST, [{"timestamp": STAMP_NS + n, "elapsed_ns": 1, "cores": 2} for n in range(300)], seq=2)]
        parcel = sink.take(many)
        assert parcel is not None
        verdict = sink.deliver(parcel)
        assert isinstance(verdict, Later)
        assert "is full (No space left on device); make room there" in verdict.sentence
        assert cores(small) == [1]
        (small / "filler").unlink()
        few = sink.take([tick(1)])
        assert few is not None
        assert sink.deliver(few) == Delivered()
        assert cores(small) == [1, 2]


def in_the_way(path: Path, what: str) -> None:
    """Put something else where the folder should be."""
    if what == "file":
        path.write_text("x")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("/tmp")
    elif what == "dead link":
        path.symlink_to("/nowhere")


@pytest.mark.parametrize("what", ["file", "pipe", "link", "dead link"])
def test_what_is_no_folder_pauses(folders: tuple[Path, Path], what: str) -> None:
    """A person must name another one."""
    in_the_way(folders[0], what)
    sink = sink_of(folders)
    for verdict in (put(sink, [tick(0)]), sink.probe()):
        assert isinstance(verdict, Paused)
        assert "is no folder; name one in `path`" in verdict.sentence


def test_a_folder_without_a_parent_pauses(tmp_path: Path) -> None:
    """Only its last part is made."""
    verdict = sink_of((tmp_path / "a" / "b", tmp_path)).probe()
    assert isinstance(verdict, Paused)
    assert "cannot be written (No such file or directory)" in verdict.sentence


def test_a_pipe_in_the_place_of_a_file_holds_nobody(folders: tuple[Path, Path]) -> None:
    """Neither does a link lead elsewhere."""
    folders[0].mkdir()
    os.mkfifo(folders[0] / "node-1-test-metrics-00000001.jsonl.tmp")
    sink = sink_of(folders)
    verdict = put(sink, [tick(0)])
    assert isinstance(verdict, Paused)
    assert "node-1-test-metrics-00000001.jsonl.tmp is in the way" in verdict.sentence
    (folders[0] / "node-1-test-metrics-00000001.jsonl.tmp").unlink()
    (folders[0] / "node-1-test-metrics-00000001.jsonl.tmp").symlink_to(folders[1] / "elsewhere")
    assert isinstance(put(sink, [tick(0)]), Paused)
    assert not (folders[1] / "elsewhere").exists()


def test_a_damaged_record_is_told(folders: tuple[Path, Path]) -> None:
    """It is never guessed what was delivered."""
    for data in (b"{", msgspec.json.encode({"format": 9})):
        (folders[1] / RECORD).write_bytes(data)
        with pytest.raises(StorageError, match="remove it; rows may then be twice"):
            sink_of(folders)


@pytest.mark.parametrize(
    ("section", "words"),
    [({}, "absolute path"), ({"path": "rel"}, "absolute path"), ({"path": "/a/../b"}, "with .. in it"), ({"path": "/a"}, "")],
)
def test_a_section_is_checked(section: dict[str, str], words: str) -> None:
    """Before anything is written."""
    found = SINK.check(sink_context("file", {**section}).settings)
    assert words in found
    assert bool(words) == bool(found)


def read_stream(path: Path) -> Iterator[pyarrow.RecordBatch]:
    """All batches of a growing stream."""
    with path.open("rb") as file:
        yield from pyarrow.ipc.open_stream(file)


def test_copies_in_arrow_grow_and_can_be_read(folders: tuple[Path, Path]) -> None:
    """A table of another form begins another file; a row that fits no column is counted."""
    sink = sink_of(folders, format="arrow")
    put(sink, [tick(0), tick(1)])
    put(sink, [tick(2)])
    form = msgspec.structs.replace(form_of(HOST), names=("timestamp", "new"), dtypes=("int64", "utf8"), nullable=())
    rows = msgspec.msgpack.encode([(STAMP_NS, "x"), (STAMP_NS, 7)])
    assert put(sink, [tick(3), stored_bytes("host", form, rows, 2, seq=9)]) == Delivered(
        1, "bad_row", "1 rows do not fit their columns"
    )
    first, second = (folders[0] / name for name in names(folders[0]))
    table = pyarrow.Table.from_batches(list(read_stream(first)))
    assert table["cores"].to_pylist() == [1, 2, 3, 4]
    assert table["host"].to_pylist() == ["node-1"] * 4
    assert [batch.column("new").to_pylist() for batch in read_stream(second)] == [["x"]]


def test_parquet_is_made_when_a_file_is_rotated(folders: tuple[Path, Path]) -> None:
    """Each row once, in whole files; what is not whole yet is a stream with another ending."""
    sink = sink_of(folders, format="parquet", rotate_bytes=1, keep_files=10)
    for number in range(3):
        put(sink, [tick(number)])
    assert names(folders[0]) == [
        "node-1-test-host-00000001.parquet",
        "node-1-test-host-00000002.parquet",
        "node-1-test-host-00000003.parquet.arrows",
    ]
    whole = [pyarrow.parquet.ParquetFile(folders[0] / name).read()["cores"].to_pylist() for name in names(folders[0])[:2]]
    assert whole == [[1], [2]]


def test_a_parcel_knows_its_size(folders: tuple[Path, Path]) -> None:
    """For the account of what was sent."""
    parcel = sink_of(folders).take([tick(0)])
    assert isinstance(parcel, FileParcel)
    assert parcel.size_bytes == sum(len(piece.data) for piece in parcel.pieces.pieces)
    assert parcel.points == 2


def test_what_another_folder_or_machine_has_hides_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Another `path`, or a copied folder of state: the same places in the spool are other rows, or have another way to go."""
    put(sink_of(folders), [tick(0), tick(1)])
    assert sink_of(folders).take([tick(0)]) is None
    elsewhere = (tmp_path / "elsewhere", folders[1])
    put(sink_of(elsewhere), [tick(0)])
    assert len(list(elsewhere[0].iterdir())) == 1
    context = replace(sink_context("file", {"path": str(elsewhere[0])}, tables=TABLES, folder=folders[1]), install="another")
    assert SINK.open(context).take([tick(0)]) is not None
