"""The id of an installation: made once, kept, and whole whatever happens to the process that makes it."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.store.install import NAME, keep_install, read_install

ROOT = Path(__file__).parents[2]
ID = "0123456789abcdef"


def test_an_id_is_made_once_and_kept(tmp_path: Path) -> None:
    """The second start finds what the first has made; two folders have two ids."""
    made = keep_install(str(tmp_path))
    assert (len(made), keep_install(str(tmp_path), known=ID), read_install(str(tmp_path))) == (16, made, made)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    other = tmp_path / "other"
    other.mkdir()
    assert keep_install(str(other)) != made
    assert [path.name for path in other.iterdir()] == [NAME]


def test_a_lost_id_is_what_the_newest_segment_tells(tmp_path: Path) -> None:
    """What is stored already stays this installation's own."""
    assert (keep_install(str(tmp_path), known=ID), (tmp_path / NAME).read_text()) == (ID, f"{ID}\n")


@pytest.mark.parametrize("content", [b"", b"0123456789ABCDEF", b"0123456789abcde", b"0123456789abcdef0", b"\xff" * 16, b"x" * 9000])
def test_a_file_that_holds_no_id_is_replaced(content: bytes, tmp_path: Path) -> None:
    """It is as if it were lost."""
    (tmp_path / NAME).write_bytes(content)
    assert read_install(str(tmp_path)) is None
    assert keep_install(str(tmp_path), known=ID) == read_install(str(tmp_path)) == ID


def test_an_id_with_an_editors_line_end_is_one(tmp_path: Path) -> None:
    """A person may have written it."""
    (tmp_path / NAME).write_text(f"{ID}\r\n")
    assert read_install(str(tmp_path)) == ID


@pytest.mark.parametrize(("point", "is_made"), [("install.written", False), ("install.named", True)])
def test_a_process_killed_at_any_step_leaves_an_id_or_none(point: str, is_made: bool, tmp_path: Path) -> None:
    """The next one goes on with what is there."""
    state, points = tmp_path / "state", tmp_path / "points"
    state.mkdir()
    points.mkdir()
    (points / point).write_text("kill")
    code = "import sys; from agent.store.install import keep_install; print(keep_install(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EVERGAUGE_FAILPOINTS": str(points)}
    command = [sys.executable, "-c", code, str(state)]
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=30)
    left = read_install(str(state))
    assert (killed.returncode, left is not None) == (-signal.SIGKILL, is_made)
    kept = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    assert (kept == left or not is_made, read_install(str(state)), os.listdir(state)) == (True, kept, [NAME])


def test_a_disk_that_refuses_leaves_what_was_there(tmp_path: Path) -> None:
    """The failure is the caller's to tell."""
    with pytest.raises(OSError, match="No such file"):
        keep_install(str(tmp_path / "nowhere"))
