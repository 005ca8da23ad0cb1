"""The writer keeps sealed segments for sinks: how long, how many, and what it writes down of those that go."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.bus import RecordingBus
from fakes.export_host import ExportHost, SpoolFolder
from fakes.failpoints import arm
from fakes.kept_process import go, kept_process
from fakes.segment import head_of
from fakes.small_disk import fill, mounted
from fakes.writer_host import WriterHost

from agent.model.timebase import S
from agent.store.cursor import Cursor
from agent.store.cursor_file import CursorFile, sink_folder
from agent.store.keeping import Keeping, PrunedSegment
from agent.store.keeping_file import read_keeping, write_keeping
from agent.store.place import Place
from agent.store.segment import id_in, segment_name
from workers.export.sink import Later
from workers.writer.kept import KeptSegments

SINKS: dict[str, dict[str, Any]] = {"central": {"kind": "file"}}
ENDLESS = 1 << 40


def kept_names(state: Path) -> list[str]:
    """The ids of the segments that are kept."""
    return sorted(map(id_in, os.listdir(state / "kept"))) if (state / "kept").exists() else []


def move_cursor(state: Path, segment: str, sink: str = "central") -> None:
    """The sink has read everything before this segment."""
    file = CursorFile(sink_folder(str(state), sink))
    file.read()
    file.write(Cursor(sink, "file", "id", "install", low=Place(segment, 0), needs=Place(segment, 0)))
    file.close()


def keeper(state: Path, sinks: dict[str, int] | None = None, limit_bytes: int = 0) -> KeptSegments:
    """One alone, which has looked once."""
    kept = KeptSegments(str(state), {"central": ENDLESS} if sinks is None else sinks, limit_bytes, RecordingBus(), lambda: None)
    kept.prepare(os.listdir(state / "spool"))
    return kept


def keep_all(spool: SpoolFolder, segments: int, batches: int = 1) -> list[str]:
    """So many segments of these batches, which lie in `kept`; their ids."""
    found = []
    for _ in range(segments):
        found.append(spool.segment)
        spool.append(batches)
        spool.rotate()
        spool.seal(found[-1])
    return found


def pruned(state: Path) -> tuple[PrunedSegment, ...]:
    """What the writer has written down."""
    found = read_keeping(str(state))
    return () if found is None else found.pruned


def test_a_sealed_segment_is_kept_until_its_sink_has_passed(tmp_path: Path) -> None:
    """By a real writer with real sealers: in `kept` while the cursor is behind, gone 2 s after it has moved on."""
    host = WriterHost(tmp_path, sinks=SINKS)
    sender = host.sender()
    for _ in range(3):
        host.measure(sender, batches=2)
        host.rotate()
    kept = kept_names(tmp_path)
    assert len(kept) == 3
    assert len(host.spool_files()) == 1
    move_cursor(tmp_path, kept[2])
    host.clock.advance(3 * S)
    host.turn_until(lambda: kept_names(tmp_path) == kept[2:])
    assert pruned(tmp_path) == ()
    assert host.query("SELECT count(*) FROM {sample}") == [(240,)]
    host.close()


def test_without_sinks_nothing_is_kept(tmp_path: Path) -> None:
    """A segment goes once it is Parquet; and what an earlier configuration kept goes too."""
    host = WriterHost(tmp_path, sinks=SINKS)
    host.measure(host.sender(), batches=2)
    host.rotate()
    assert len(kept_names(tmp_path)) == 1
    host.config = type(host.config)({})
    host.start()
    host.clock.advance(3 * S)
    host.turn_until(lambda: kept_names(tmp_path) == [])
    host.rotate()
    assert kept_names(tmp_path) == []
    host.close()


def test_a_sinks_quota_removes_the_oldest_and_counts_them(tmp_path: Path) -> None:
    """Exactly, by table, before they go."""
    spool = SpoolFolder(tmp_path)
    segments = keep_all(spool, 4, batches=3)
    size = (tmp_path / "kept" / segment_name(head_of(segments[0]))).stat().st_size
    kept = keeper(tmp_path, {"central": 2 * size})
    go(kept)
    assert kept_names(tmp_path) == segments[2:]
    assert [(each.segment, each.rows, each.reason) for each in pruned(tmp_path)] == [
        (segment, {"sample": 30}, "sink_quota") for segment in segments[:2]
    ]
    assert kept.stats()["pruned_segments"] == 2


def test_half_of_the_storage_quota_is_the_most(tmp_path: Path) -> None:
    """Whatever the quotas of sinks allow."""
    spool = SpoolFolder(tmp_path)
    segments = keep_all(spool, 4)
    size = (tmp_path / "kept" / segment_name(head_of(segments[0]))).stat().st_size
    go(keeper(tmp_path, {"central": ENDLESS, "other": ENDLESS}, limit_bytes=2 * 3 * size))
    assert kept_names(tmp_path) == segments[1:]
    assert [each.reason for each in pruned(tmp_path)] == ["storage_quota"]


def test_what_every_sink_has_passed_is_told_no_more(tmp_path: Path) -> None:
    """The record does not grow for ever."""
    spool = SpoolFolder(tmp_path)
    segments = keep_all(spool, 3)
    kept = keeper(tmp_path, {"central": 1})
    go(kept)
    assert len(pruned(tmp_path)) == 3
    move_cursor(tmp_path, spool.segment)
    kept.advance(1 << 60)
    assert pruned(tmp_path) == ()
    assert segments


def test_a_segment_that_somebody_removes_is_a_loss_of_unknown_size(tmp_path: Path) -> None:
    """Also while the folders are looked after again in between."""
    spool = SpoolFolder(tmp_path)
    segments = keep_all(spool, 2)
    kept = keeper(tmp_path)
    kept.advance(0)
    (tmp_path / "kept" / segment_name(head_of(segments[0]))).unlink()
    kept.prepare(os.listdir(tmp_path / "spool"))
    go(kept)
    assert [(each.segment, each.rows, each.reason) for each in pruned(tmp_path)] == [(segments[0], None, "removed")]


@pytest.mark.parametrize("what", ["torn", "empty", "fifo", "folder", "link", "other", "unreadable"])
def test_a_cursor_that_cannot_be_read_needs_everything(what: str, tmp_path: Path) -> None:
    """Nobody waits for a pipe, nothing is lost, and storing goes on."""
    spool = SpoolFolder(tmp_path)
    segments = keep_all(spool, 2)
    path = Path(sink_folder(str(tmp_path), "central")) / "cursor"
    move_cursor(tmp_path, spool.segment)
    whole = path.read_bytes()
    path.unlink()
    match what:
        case "torn":
            path.write_bytes(whole[: len(whole) - 3])
        case "empty":
            path.write_bytes(b"")
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            (tmp_path / "elsewhere").write_bytes(whole)
            path.symlink_to(tmp_path / "elsewhere")
        case "other":
            path.write_bytes(b"x" * 100)
        case _:
            path.write_bytes(bytes([*whole[:30], whole[30] ^ 1, *whole[31:]]))
    begun = time.monotonic()
    go(keeper(tmp_path))
    assert time.monotonic() - begun < 10
    assert kept_names(tmp_path) == segments


@pytest.mark.parametrize("what", ["fifo", "folder", "link", "other", "fifo in the making"])
def test_a_record_that_cannot_be_used_keeps_nobody_from_storing(what: str, tmp_path: Path) -> None:
    """The writer stores, seals and keeps; where it cannot write down what goes nothing goes, and a condition says so."""
    (tmp_path / "sinks").mkdir()
    path = tmp_path / "sinks" / "keeping"
    match what:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            (path / "below").mkdir(parents=True)
        case "link":
            path.symlink_to(tmp_path / "nowhere")
        case "other":
            path.write_bytes(b"x" * 100)
        case _:
            os.mkfifo(tmp_path / "sinks" / ".keeping.new")
    host = WriterHost(tmp_path, sinks={"central": {"kind": "file", "quota": 1}})
    sender = host.sender()
    for _ in range(2):
        host.measure(sender, batches=2)
        assert host.rotate()["rows"] == 80
    assert sender.acknowledged == 4
    host.clock.advance(3 * S)
    host.turn()
    if what in ("folder", "fifo in the making"):
        assert len(kept_names(tmp_path)) == 2
        assert [each.kind for each in host.bus.conditions if each.active] == ["kept_segments"]
    host.close()


def test_a_folder_that_cannot_be_written_leaves_segments_where_they_are(tmp_path: Path) -> None:
    """Something else has its name: they stay in the spool, are told, and move once it is gone; no row twice, none lost."""
    (tmp_path / "kept").write_text("in the way")
    host = WriterHost(tmp_path, sinks=SINKS)
    sender = host.sender()
    host.measure(sender, batches=2)
    host.rotate()
    assert len(host.spool_files()) == 2
    assert {each.kind for each in host.bus.conditions if each.active} >= {"kept_segments"}
    (tmp_path / "kept").unlink()
    host.start()
    host.turn_until(lambda: len(kept_names(tmp_path)) == 1)
    assert host.query("SELECT count(*) FROM {sample}") == [(80,)]
    host.close()


def test_a_full_disk_loses_no_segment_untold(tmp_path: Path) -> None:
    """What cannot be written down is not removed; with room again it goes."""
    with mounted(tmp_path / "state", "256k") as state:
        spool = SpoolFolder(state)
        segments = keep_all(spool, 3, batches=4)
        kept = keeper(state)
        go(kept)
        fill(state / "fill")
        full = keeper(state, {"central": 1})
        full.advance(0)
        assert kept_names(state) == segments
        assert pruned(state) == ()
        (state / "fill").unlink()
        go(full)
        assert [each.rows for each in pruned(state)] == [{"sample": 40}] * 3
        assert kept_names(state) == []


def test_a_sink_that_is_taken_out_and_comes_back_is_told_from_when_on(tmp_path: Path) -> None:
    """What was kept meanwhile was for nobody."""
    spool = SpoolFolder(tmp_path)
    keep_all(spool, 2)
    go(keeper(tmp_path, {"central": ENDLESS, "other": ENDLESS}))
    assert read_keeping(str(tmp_path)) == Keeping({"central": 1, "other": 1})
    go(keeper(tmp_path, {"other": ENDLESS}))
    move_cursor(tmp_path, spool.segment, "other")
    go(keeper(tmp_path, {"other": ENDLESS}))
    assert kept_names(tmp_path) == []
    go(keeper(tmp_path, {"central": ENDLESS, "other": ENDLESS}))
    assert read_keeping(str(tmp_path)) == Keeping({"central": 3, "other": 1})


def test_a_removal_that_fails_is_written_down_once(tmp_path: Path) -> None:
    """However often it is tried: told twice, the rows would be lost twice."""
    spool = SpoolFolder(tmp_path)
    segments = keep_all(spool, 1)
    path = tmp_path / "kept" / segment_name(head_of(segments[0]))
    whole = path.read_bytes()
    kept = keeper(tmp_path, {"central": 1})
    for number in range(5):
        kept.advance(number * 3 * S)
        # As if it could not be removed.
        path.write_bytes(whole)
    assert [each.rows for each in pruned(tmp_path)] == [{"sample": 10}]


@pytest.mark.parametrize("point", ["kept.before_move", "kept.moved", "kept.before_remove", "keeping.written", "keeping.named"])
@pytest.mark.parametrize("quota", [ENDLESS, 1])
def test_a_writer_that_is_killed_loses_no_segment_untold(quota: int, point: str, tmp_path: Path) -> None:
    """Each segment is there, or counted exactly once."""
    (points := tmp_path / "points").mkdir()
    (state := tmp_path / "state").mkdir()
    spool = SpoolFolder(state)
    segments = []
    for _ in range(4):
        segments.append(spool.segment)
        spool.append(2)
        spool.rotate()
    arm(points, point, "kill")
    code = kept_process(state, quota, points).returncode
    assert code == (0 if point == "kept.before_remove" and quota == ENDLESS else -9)
    done = kept_process(state, quota, points)
    assert done.returncode == 0, done.stderr
    told = [each.segment for each in pruned(state)]
    assert sorted(told + kept_names(state)) == segments
    assert all(each.rows == {"sample": 20} for each in pruned(state))
    assert kept_names(state) == ([] if quota == 1 else segments)


def test_the_account_of_a_sink_is_exact_over_the_writers_removals(tmp_path: Path) -> None:
    """While it is away its quota removes segments that it has read in part, in whole or not at all."""
    spool = SpoolFolder(tmp_path)
    host = ExportHost(tmp_path)
    spool.append(3)
    host.run_until(lambda: host.is_settled and host.ledger["delivered"] == 30, "the first batches")
    host.sink.answer = lambda _parcel: Later("no route")
    for _ in range(4):
        segment = spool.segment
        spool.append(5)
        spool.rotate()
        spool.seal(segment)
    host.run_until(lambda: host.ledger["produced"] == spool.rows, "the count")
    size = max(path.stat().st_size for path in (tmp_path / "kept").iterdir())
    go(keeper(tmp_path, {"central": 2 * size}))
    host.sink.answer = type(host.sink)().answer
    host.run_until(lambda: host.is_settled, "the rest")
    gone = len(pruned(tmp_path))
    assert gone == 2
    assert host.ledger["pruned"] == 2 * 50
    assert host.ledger["delivered"] == spool.rows - 2 * 50
    host.kill()


def test_time_grows_with_the_number_of_segments_and_no_faster(tmp_path: Path) -> None:
    """Twice as many take twice as long at most, give or take; 2,000 keep no turn of the loop for long."""

    def seconds(segments: int, folder: Path) -> float:
        folder.mkdir()
        spool = SpoolFolder(folder)
        keep_all(spool, segments)
        kept = keeper(folder)
        go(kept)
        begun = time.process_time()
        for number in range(20):
            kept.advance((number + 10) * 3 * S)
        looks = time.process_time() - begun
        move_cursor(folder, spool.segment)
        begun = time.process_time()
        kept.advance(1 << 60)
        assert time.process_time() - begun < 0.5
        go(kept)
        assert kept_names(folder) == []
        return looks

    tries = [(seconds(1000, tmp_path / f"a{n}"), seconds(2000, tmp_path / f"b{n}")) for n in range(2)]
    assert min(more / less for less, more in tries) < 3, tries


def test_the_record_holds_no_more_than_its_most(tmp_path: Path) -> None:
    """The oldest two become one, with the rows of both."""
    keeping = Keeping({"central": 1})
    for number in range(1, 1031):
        keeping = keeping.with_pruned(
            PrunedSegment(f"{number:08x}00000000", {"unit": 1, "host": number}, 1, number, number, "sink_quota")
        )
    write_keeping(str(tmp_path), keeping)
    found = read_keeping(str(tmp_path))
    assert found is not None
    assert len(found.pruned) == 1024
    assert sum((each.rows or {})["unit"] for each in found.pruned) == 1030
    assert (found.pruned[0].first_wall_ns, found.pruned[0].last_wall_ns) == (1, 7)


def damage_second_record(spool: Path) -> None:
    """A byte of it, in the oldest segment."""
    path = min(spool.glob("*.spool"))
    content = bytearray(path.read_bytes())
    second = content.index(b"EGR2", content.index(b"EGR2", content.index(b"EGR2", 4) + 4) + 4)
    content[second + 30] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_segment_is_kept_too(tmp_path: Path) -> None:
    """It is set aside for a person, and sinks get what is whole in it."""
    host = WriterHost(tmp_path, sinks=SINKS)
    host.measure(host.sender(), batches=5)
    damage_second_record(tmp_path / "spool")
    report = host.rotate()
    (segment,) = kept_names(tmp_path)
    (aside,) = aside_files(tmp_path)
    assert id_in(aside.name) == segment
    assert pruned(tmp_path) == ()
    assert report["rows"] >= 4 * 40
    exporter = ExportHost(tmp_path)
    exporter.run_for(2 * S)
    exporter.run_until(lambda: exporter.is_settled and len(exporter.got) == 4, "what is whole")
    exporter.kill()
    move_cursor(tmp_path, host.spool_files()[-1].partition("-")[2].partition(".")[0])
    host.clock.advance(3 * S)
    host.turn_until(lambda: kept_names(tmp_path) == [])
    assert aside.exists()
    host.close()


def aside_files(state: Path) -> list[Path]:
    """What was set aside, wherever that is."""
    return [path for path in state.rglob("*.spool*") if path.parent.name not in ("spool", "kept")]


def test_a_damaged_segment_survives_a_kill_between_its_two_names(tmp_path: Path) -> None:
    """It is in `kept` already: the next writer sets it aside, and it is kept once."""
    (points := tmp_path / "points").mkdir()
    (state := tmp_path / "state").mkdir()
    spool = SpoolFolder(state)
    spool.append(2)
    arm(points, "kept.linked", "kill")
    assert kept_process(state, ENDLESS, points, "damaged").returncode == -9
    assert kept_process(state, ENDLESS, points, "damaged").returncode == 0
    assert (kept_names(state), pruned(state)) == ([spool.segment], ())
    assert spool.path.exists()
