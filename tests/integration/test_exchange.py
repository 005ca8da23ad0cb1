"""The exchange of two folders by the real kernel."""

import errno
import os
from pathlib import Path

import pytest
from fakes.small_disk import mounted

from agent.exchange import exchange, why_impossible


def folder_with(path: Path, name: str) -> Path:
    """A folder that holds one file."""
    path.mkdir()
    (path / name).touch()
    return path


def test_two_folders_change_places(tmp_path: Path) -> None:
    """Each path leads to what the other led to; what was open stays open."""
    first, second = folder_with(tmp_path / "first", "1"), folder_with(tmp_path / "second", "2")
    descriptor = os.open(first, os.O_RDONLY)
    exchange(str(first), str(second))
    assert (os.listdir(first), os.listdir(second), os.listdir(descriptor)) == (["2"], ["1"], ["1"])
    os.close(descriptor)


def test_a_missing_folder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """That is no reason never to try again."""
    first = folder_with(tmp_path / "first", "1")
    with pytest.raises(FileNotFoundError) as refused:
        exchange(str(first), str(tmp_path / "none"))
    assert os.listdir(first) == ["1"]
    assert why_impossible(refused.value) is None


def test_two_file_systems_can_never_exchange(tmp_path: Path) -> None:
    """The reason is said in words."""
    first = folder_with(tmp_path / "first", "1")
    with mounted(tmp_path / "disk", "256k") as disk:
        second = folder_with(disk / "second", "2")
        with pytest.raises(OSError, match="ross-device") as refused:
            exchange(str(first), str(second))
        assert refused.value.errno == errno.EXDEV
        assert why_impossible(refused.value) == "the two folders lie on different file systems"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_what_can_not_be_done_at_all_has_a_reason(number: int) -> None:
    """As the kernel says it."""
    assert why_impossible(OSError(number, "")) is not None
    assert why_impossible(OSError("no number")) is None
