"""What was stored before there was a reader group is opened to it: in pieces, and nothing that is not the agent's own."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from fakes.writer_host import WriterHost

from workers.writer.handover import PIECE_ENTRIES, Handover
from workers.writer.readers import ReaderGroup

# Any group will do for root; another user has its own.
GID = 64888 if os.geteuid() == 0 else os.getegid()


def stored(state: Path, files: int) -> Path:
    """A state folder as an agent without readers leaves it; gives the folder of its sealed files."""
    date = state / "data" / "process" / "date=2026-11-28"
    date.mkdir(parents=True)
    (state / "spool").mkdir()
    (state / "spool" / "old.spool").write_text("")
    for number in range(files):
        (date / f"{number}.parquet").write_text("")
    for path in (*state.rglob("*"), state):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return date


def shown(path: Path) -> tuple[int, int]:
    """Mode and group."""
    status = path.lstat()
    return stat.S_IMODE(status.st_mode), status.st_gid


def finish(handover: Handover, on_piece: Callable[[], None] = lambda: None) -> int:
    """To its end; how many pieces that took."""
    pieces = 0
    while handover.is_left:
        handover.advance()
        pieces += 1
        on_piece()
        assert pieces < 100
    return pieces


def test_old_data_are_opened_in_pieces_and_each_folder_last(tmp_path: Path) -> None:
    """At no moment is a folder open that holds a closed file; in the end all folders and files are."""
    date = stored(tmp_path, 3 * PIECE_ENTRIES)

    def check() -> None:
        if shown(date)[0] == 0o750:
            assert {shown(path) for path in date.iterdir()} == {(0o640, GID)}

    assert finish(Handover(str(tmp_path), ReaderGroup(GID)), check) >= 3
    folders = [tmp_path / "data", tmp_path / "data" / "process", date, tmp_path / "spool"]
    assert {shown(path) for path in folders} == {(0o750, GID)}
    assert {shown(path) for path in [*date.iterdir(), tmp_path / "spool" / "old.spool"]} == {(0o640, GID)}


def test_one_that_was_ended_half_way_is_finished_by_the_next_which_then_looks_at_folders_alone(tmp_path: Path) -> None:
    """A killed writer leaves the folder closed; a third start has one piece of work."""
    date = stored(tmp_path, 2 * PIECE_ENTRIES)
    first = Handover(str(tmp_path), ReaderGroup(GID))
    first.advance()
    first.close()
    assert not first.is_left
    assert shown(date)[0] == 0o700
    finish(Handover(str(tmp_path), ReaderGroup(GID)))
    assert {shown(path)[0] for path in date.iterdir()} == {0o640}
    assert finish(Handover(str(tmp_path), ReaderGroup(GID))) == 1


def test_links_pipes_and_folders_of_other_names_are_left_alone(tmp_path: Path) -> None:
    """A link leads no change elsewhere, a pipe holds up nothing, unfinished files stay private."""
    state, outside = tmp_path / "state", tmp_path / "outside"
    date = stored(state, 1)
    outside.mkdir(mode=0o700)
    (outside / "victim.parquet").write_text("")
    (outside / "victim.parquet").chmod(0o600)
    (date / "link.parquet").symlink_to(outside / "victim.parquet")
    (date.parent / "date=2026-11-29").symlink_to(outside)
    os.mkfifo(date / "pipe.parquet", mode=0o600)
    (state / "data" / ".tmp").mkdir(mode=0o700)
    (date / "notes.txt").write_text("")
    (date / "notes.txt").chmod(0o600)
    finish(Handover(str(state), ReaderGroup(GID)))
    assert shown(date / "0.parquet") == (0o640, GID)
    kept = [outside / "victim.parquet", date / "pipe.parquet", date / "notes.txt", outside, state / "data" / ".tmp"]
    assert [shown(path)[0] for path in kept] == [0o600, 0o600, 0o600, 0o700, 0o700]


def test_without_a_reader_group_there_is_nothing_to_do(tmp_path: Path) -> None:
    """No mode changes."""
    date = stored(tmp_path, 1)
    assert finish(Handover(str(tmp_path), ReaderGroup())) == 0
    assert (shown(date)[0], shown(date / "0.parquet")[0]) == (0o700, 0o600)


def test_what_cannot_be_opened_is_told_until_it_can_be(tmp_path: Path) -> None:
    """By its folder and the system's reason; more than one are counted."""
    readers = ReaderGroup(GID)
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path)
    readers.share_folder(str(folder))
    readers.note_sealed("data", "sealed files cannot")
    assert readers.problem == f"{folder}: its files cannot be handed to group {GID} (Not a directory) (and 1 more)"
    folder.unlink()
    folder.mkdir(mode=0o700)
    readers.share_folder(str(folder))
    readers.note_sealed("data", "")
    assert (readers.problem, shown(folder)) == ("", (0o750, GID))


def test_a_writer_whose_data_folder_cannot_be_opened_stores_on_and_says_so(tmp_path: Path) -> None:
    """A link to another disk: rows are stored, condition `readers` names what is closed and blocks nothing; mended, it is gone."""
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    for folder in (state, elsewhere):
        folder.mkdir(mode=0o700)
    (state / "data").symlink_to(elsewhere)
    host = WriterHost(state, {"reader_group": str(GID)})
    host.measure(host.sender())
    (told,) = [each for each in host.bus.conditions if each.kind == "readers"]
    assert (told.active, told.blocks_ready) == (True, False)
    assert told.detail.startswith(f"the reader group cannot read all data: {state}/data: ")
    assert host.stats()["batches"] == 1
    assert shown(elsewhere)[0] == 0o700
    (state / "data").unlink()
    host.start()
    assert [each for each in host.bus.conditions if each.kind == "readers"] == []
    host.close()
