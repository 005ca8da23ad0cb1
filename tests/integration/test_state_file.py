"""Small files of the agent's own state on a disk that is nearly full, and under names that others have taken."""

import os
from pathlib import Path

import pytest
from fakes.small_disk import mounted

from agent.model.errors import StorageError
from agent.store.cursor import Cursor, SegmentCount
from agent.store.cursor_file import CursorFile
from agent.store.state_file import create_unfinished, read_state_file, write_at


def test_a_cursor_that_does_not_fit_is_no_cursor(tmp_path: Path) -> None:
    """The system writes a part of it and says so only to the next write: the cursor before it stays the newest."""
    small = Cursor("s", "file", "id", "install", deliveries=1)
    large = Cursor("s", "file", "id", "install", segments={f"{n:016x}": SegmentCount(n, n, n, n) for n in range(20_000)})
    with mounted(tmp_path / "disk", "128k") as folder:
        file = CursorFile(str(folder))
        file.write(small)
        for _ in range(3):
            with pytest.raises(StorageError):
                file.write(large)
            assert CursorFile(str(folder)).read() == small
        file.close()


@pytest.mark.parametrize("what", ["fifo", "folder", "link", "nothing"])
def test_what_is_no_file_is_nothing(what: str, tmp_path: Path) -> None:
    """Nobody waits for a pipe, and no link is followed."""
    path = tmp_path / "state"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "link":
        (tmp_path / "other").write_bytes(b"x")
        path.symlink_to("other")
    assert read_state_file(str(path), 10) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Up to one byte more than the most, so that a longer one is noticed."""
    descriptor = create_unfinished(str(tmp_path / "state"))
    write_at(descriptor, b"0123456789", 0)
    os.close(descriptor)
    assert read_state_file(str(tmp_path / "state"), 10) == b"0123456789"
    assert read_state_file(str(tmp_path / "state"), 4) == b"01234"


def test_an_unfinished_file_of_a_killed_process_goes(tmp_path: Path) -> None:
    """And a pipe under its name is refused at once."""
    (tmp_path / "state").write_bytes(b"left behind")
    os.close(create_unfinished(str(tmp_path / "state")))
    assert (tmp_path / "state").read_bytes() == b""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device"):
        create_unfinished(str(tmp_path / "pipe"))
