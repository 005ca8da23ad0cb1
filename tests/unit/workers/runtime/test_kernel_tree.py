"""The real tree below one open directory: what only it does. What it shares with the fake is in tests/contract."""

import os
from pathlib import Path

import pytest

from workers.runtime.kernel_tree import READ_BYTES_MAX, OpenKernelTree


def test_a_root_that_is_not_there_is_an_error_of_the_first_use(tmp_path: Path) -> None:
    """Making the tree succeeds; each use fails with the root's name until the root is there."""
    tree = OpenKernelTree(str(tmp_path / "proc"))
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="proc"):
            tree.list_names()
    (tmp_path / "proc").mkdir()
    assert tree.list_names() == []


def test_the_root_is_the_directory_that_was_opened_and_not_its_name(tmp_path: Path) -> None:
    """A folder put in its place later is never read by mistake."""
    root = tmp_path / "proc"
    root.mkdir()
    (root / "old").touch()
    tree = OpenKernelTree(str(root))
    assert tree.list_names() == ["old"]
    root.rename(tmp_path / "moved")
    root.mkdir()
    (root / "new").touch()
    assert tree.list_names() == ["old"]


def test_a_removed_root_is_an_error_and_not_an_empty_listing_of_another(tmp_path: Path) -> None:
    """Nothing can be opened below it any more."""
    root = tmp_path / "proc"
    root.mkdir()
    tree = OpenKernelTree(str(root))
    assert tree.list_names() == []
    root.rmdir()
    root.mkdir()
    (root / "1").touch()
    with pytest.raises(FileNotFoundError):
        tree.read("1", 10)


def test_a_link_to_a_directory_is_no_directory(tmp_path: Path) -> None:
    """A walk that follows none can go in no circle."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    tree = OpenKernelTree(str(tmp_path))
    assert tree.list_directories() == ["real"]
    assert sorted(tree.list_names()) == ["link", "real"]


def test_directories_are_found_wherever_there_are_some(tmp_path: Path) -> None:
    """A directory without any is told by its count of links; a file with two links is no directory."""
    (tmp_path / "leaf").mkdir()
    (tmp_path / "leaf" / "file").touch()
    (tmp_path / "leaf" / "again").hardlink_to(tmp_path / "leaf" / "file")
    tree = OpenKernelTree(str(tmp_path))
    assert (tree.list_directories(), tree.list_directories("leaf")) == (["leaf"], [])
    (tmp_path / "leaf" / "new").mkdir()
    assert tree.list_directories("leaf") == ["new"]
    with pytest.raises(NotADirectoryError):
        tree.list_directories("leaf/file")
    with pytest.raises(FileNotFoundError):
        tree.list_directories("none")


def test_a_file_that_is_given_out_in_parts_is_read_whole() -> None:
    """The kernel hands large files out in pages; `read` goes on until the end or the bound."""
    tree = OpenKernelTree("/proc/self")
    maps = tree.read("smaps", READ_BYTES_MAX)
    assert len(maps) > os.sysconf("SC_PAGE_SIZE")
    assert maps.rstrip().rpartition(b"\n")[2].startswith((b"VmFlags", b"ProtectionKey"))


def test_no_single_reading_is_larger_than_the_bound(tmp_path: Path) -> None:
    """Whatever the caller asks for."""
    (tmp_path / "huge").write_bytes(bytes(READ_BYTES_MAX + 10))
    assert len(OpenKernelTree(str(tmp_path)).read("huge", 10 * READ_BYTES_MAX)) == READ_BYTES_MAX


def test_no_descriptor_is_left_open_by_a_reading_that_fails(tmp_path: Path) -> None:
    """A directory opens, its reading fails, and what was opened is given back."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    tree = OpenKernelTree(str(tmp_path))
    tree.list_names()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            tree.read("directory", 10)
        with pytest.raises(NotADirectoryError):
            tree.list_names("file")
    assert len(os.listdir("/proc/self/fd")) == before
