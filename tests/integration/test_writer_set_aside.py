"""Damaged segments are kept within limits, and told for as long as they lie there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.bus import RecordingBus
from fakes.segment import segment_of
from fakes.writer_host import WriterHost

from agent.model.timebase import MINUTE
from agent.store.segment import segment_id
from workers.writer.set_aside import BYTES_MAX, FILES_MAX, AsideFile, AsideKeeper, SetAside, surplus

KIB = 1 << 10


def name_of(generation: int) -> str:
    """The name of a segment of this generation; the clock ran backwards."""
    return f"20240101T{99 - generation % 100:06d}Z-{segment_id(generation, '00000000')}.spool"


def keeper_with(folder: Path, generations: range, size_bytes: int, limit_bytes: int = 0) -> tuple[AsideKeeper, RecordingBus]:
    """A folder with a number of damaged files, looked at once."""
    folder.mkdir(exist_ok=True)
    for generation in generations:
        with (folder / name_of(generation)).open("wb") as file:
            file.truncate(size_bytes)
    bus = RecordingBus()
    keeper = AsideKeeper(SetAside(str(folder)), bus, limit_bytes)
    keeper.keep()
    return keeper, bus


def test_the_oldest_go_until_both_limits_are_kept() -> None:
    """Bytes and number; the newest stays whatever its size."""
    files = [AsideFile(str(number), 10) for number in range(5)]
    assert surplus(files, 50, 5) == []
    assert surplus(files, 49, 5) == files[:1]
    assert surplus(files, 50, 3) == files[:2]
    assert surplus(files, 0, 0) == files[:4]
    assert surplus([], 0, 0) == []


def test_too_many_files_go_with_an_event_each(tmp_path: Path) -> None:
    """The oldest by generation; what a person put there is not touched."""
    folder = tmp_path / "set-aside"
    folder.mkdir()
    (folder / "mine.spool").write_text("mine")
    (folder / f"{name_of(1)}.1").mkdir()
    keeper, bus = keeper_with(folder, range(1, FILES_MAX + 3), 1)
    assert {path.name for path in folder.iterdir()} == {"mine.spool", f"{name_of(1)}.1", *map(name_of, range(3, FILES_MAX + 3))}
    assert [(note.kind, note.fields["file"]) for note in bus.notes] == [("set_aside_removed", name_of(n)) for n in (1, 2)]
    assert keeper.stats() == {"set_aside_files": FILES_MAX, "set_aside_bytes": FILES_MAX, "set_aside_removed_files": 2}


def test_too_many_bytes_go_too(tmp_path: Path) -> None:
    """256 MiB, and with a quota a quarter of it."""
    keeper, _ = keeper_with(tmp_path / "a", range(1, 6), BYTES_MAX // 4)
    assert keeper.stats()["set_aside_files"] == 4
    keeper, _ = keeper_with(tmp_path / "b", range(1, 6), KIB, limit_bytes=8 * KIB)
    assert keeper.stats()["set_aside_files"] == 2


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    """Whatever stands in its place."""
    (tmp_path / "set-aside").write_text("in the way")
    bus = RecordingBus()
    AsideKeeper(SetAside(str(tmp_path / "set-aside")), bus, 0).keep()
    assert "something else is in the way" in bus.conditions[0].detail


@pytest.fixture
def host(tmp_path: Path) -> Iterator[WriterHost]:
    """A host whose writer has started, with a quota."""
    host = WriterHost(tmp_path, {"writer.storage_quota": 1 << 20})
    yield host
    host.close()


@pytest.mark.runbook("Writer and spool")
def test_damaged_files_are_a_condition_until_somebody_removes_them(host: WriterHost) -> None:
    """It says how many, where and what to do; they count in the quota; the next writer says it too."""
    data = bytearray(segment_of(3, segment=segment_id(5, "00000000")))
    data[len(data) // 2] ^= 1
    name = name_of(5)
    (host.state / "spool" / name).write_bytes(data)
    host.start()
    host.turn_until(lambda: host.stats()["segments_waiting"] == 0)
    for _ in range(2):
        (condition,) = host.bus.conditions
        assert (condition.kind, condition.active, condition.blocks_ready) == ("set_aside", True, False)
        assert f"{host.state}/set-aside: 1 damaged spool file lies there" in condition.detail
        assert "then remove them" in condition.detail
        assert host.stats()["set_aside_files"] == 1
        host.turn_until(lambda: (host.stats()["quota"]["held_bytes"] or 0) > len(data))
        host.start()
    (host.state / "set-aside" / name).unlink()
    host.clock.advance(1 * MINUTE)
    host.turn_until(lambda: not host.bus.conditions[-1].active)
    assert host.stats()["set_aside_files"] == 0
