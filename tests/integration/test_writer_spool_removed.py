"""Somebody removes, moves or replaces what the writer writes to, while it runs."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.writer_host import WriterHost, words

from agent.model.message import DataAck
from agent.model.timebase import S

NUMBERS = "select list(distinct number order by number), count(*) from {sample}"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[WriterHost]:
    """A host whose writer has started."""
    host = WriterHost(tmp_path)
    yield host
    host.close()


def kinds(host: WriterHost) -> list[str]:
    """What was noted, without the usual events."""
    return [note.kind for note in host.bus.notes if note.kind != "sealed"]


def test_rows_of_a_removed_segment_are_stored_again(host: WriterHost) -> None:
    """The next batch finds the open segment without a name: all rows so far go to a new one, and nothing is lost or twice."""
    sender = host.sender()
    host.measure(sender, 5)
    (former,) = host.spool_files()
    (host.state / "spool" / former).unlink()
    host.measure(sender, 2)
    assert words(host, sender)[-1] == DataAck(7)
    assert former not in host.spool_files()
    assert host.spooled() == [("sample", number) for number in range(1, 8)]
    assert kinds(host) == ["segment_removed"]
    assert host.bus.notes[0].fields["is_saved"] is True
    host.start()
    host.rotate()
    assert host.query(NUMBERS) == [([1, 2, 3, 4, 5, 6, 7], 280)]
    assert not (host.state / "data" / "gap").exists()


def test_a_quiet_writer_notices_within_the_sync_interval(host: WriterHost) -> None:
    """Without any batch the timer looks."""
    host.measure(host.sender(), 3)
    (former,) = host.spool_files()
    (host.state / "spool" / former).unlink()
    host.clock.advance(5 * S)
    host.turn()
    assert host.spooled() == [("sample", number) for number in (1, 2, 3)]


@pytest.mark.parametrize("what", ["spool", "state"])
def test_a_folder_that_is_gone_is_made_again(host: WriterHost, what: str) -> None:
    """The spool, or everything in the state folder: made again for the owner alone, with the rows, and the next rotation works."""
    sender = host.sender()
    host.measure(sender, 3)
    for name in ["spool"] if what == "spool" else os.listdir(host.state):
        path = host.state / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    host.measure(sender, 2)
    assert stat.S_IMODE((host.state / "spool").stat().st_mode) == 0o700
    host.rotate()
    assert host.query(NUMBERS) == [([1, 2, 3, 4, 5], 200)]
    assert host.work.is_done()


def test_a_rotation_of_a_removed_segment_seals_its_rows(host: WriterHost) -> None:
    """`agentctl rotate` is the first that comes by after the removal."""
    host.measure(host.sender(), 3)
    shutil.rmtree(host.state / "spool")
    assert host.rotate()["rows"] == 120


def test_a_copy_in_place_of_the_segment_is_set_aside(host: WriterHost) -> None:
    """A tool that writes a copy and renames it leaves another file under the name: nothing of it is stored twice."""
    sender = host.sender()
    host.measure(sender, 3)
    (former,) = host.spool_files()
    path = host.state / "spool" / former
    shutil.copy(path, path.with_suffix(".copy"))
    os.replace(path.with_suffix(".copy"), path)
    host.measure(sender)
    assert (host.state / "set-aside" / former).exists()
    host.start()
    host.rotate()
    assert host.query(NUMBERS) == [([1, 2, 3, 4], 160)]


def test_a_removed_segment_that_waited_for_its_sealer_is_a_gap(host: WriterHost) -> None:
    """Nobody has it open any more: its rows are gone, a row of table `gap` says so, and the queue goes on."""
    sender = host.sender()
    host.measure(sender, 3)
    former = host.spool_files()[-1]
    host.work._segments.rotate(host.clock.now_ns())
    (host.state / "spool" / former).unlink()
    host.turn_until(lambda: host.stats()["segments_waiting"] == 0)
    assert kinds(host) == ["segment_lost"]
    host.measure(sender)
    host.rotate()
    ((worker, reason, first, until),) = host.query("select worker, reason, from_timestamp, until_timestamp from {gap}")
    assert (worker, reason) == ("writer", "segment_removed")
    assert until - first == 3 * S
    assert host.query(NUMBERS) == [([4], 40)]


def test_the_folders_of_data_and_of_damaged_files_are_made_again(host: WriterHost) -> None:
    """Clearing them away loses what was there, and nothing that comes after."""
    sender = host.sender()
    host.measure(sender)
    host.rotate()
    shutil.rmtree(host.state / "data")
    shutil.rmtree(host.state / "set-aside")
    host.measure(sender, 2)
    host.rotate()
    assert host.query(NUMBERS) == [([2, 3], 80)]
    assert stat.S_IMODE((host.state / "data").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_again_is_told_until_it_can(host: WriterHost) -> None:
    """A file in its place: not ready and named; once it is moved away, the rows are still there."""
    sender = host.sender()
    host.measure(sender, 3)
    spool = host.state / "spool"
    spool.rename(host.state / "elsewhere")
    spool.write_text("in the way")
    host.measure(sender, 2)
    (condition,) = host.bus.conditions
    assert (condition.kind, condition.blocks_ready) == ("spool", True)
    assert f"{spool}: something else is in the way" in condition.detail
    spool.unlink()
    host.measure(sender, 2)
    assert not host.bus.conditions[-1].active
    assert host.spooled() == [("sample", number) for number in range(1, sender.acknowledged + 1)]
    assert sender.acknowledged == 7


@pytest.mark.parametrize("meanwhile", ["nothing", "a rotation", "another writer"])
def test_a_folder_that_comes_back_brings_no_row_twice(host: WriterHost, tmp_path: Path, meanwhile: str) -> None:
    """The spool is moved away, written again, and its files are moved back: what is stored already is set aside."""
    sender = host.sender()
    host.measure(sender, 3)
    (former,) = host.spool_files()
    os.rename(host.state / "spool", tmp_path / "away")
    host.measure(sender, 2)
    if meanwhile == "a rotation":
        host.rotate()
    os.rename(tmp_path / "away" / former, host.state / "spool" / former)
    if meanwhile == "another writer":
        host.start()
    host.clock.advance(5 * S)
    host.turn()
    assert former not in host.spool_files()
    assert os.listdir(host.state / "set-aside") == [former]
    assert "segment_returned" in kinds(host)
    host.rotate()
    assert host.query(NUMBERS) == [([1, 2, 3, 4, 5], 200)]
