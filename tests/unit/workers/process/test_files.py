"""Files of processes that stay open, and what is opened for each reading."""

import errno

import pytest
from fakes.kernel_tree import MemoryTree

from workers.process.files import ProcFiles, side_read


def world(*names: str) -> tuple[MemoryTree, ProcFiles]:
    tree = MemoryTree({f"{name}/{file}": f"{name} {file}".encode() for name in names for file in ("stat", "schedstat", "io")})
    return tree, ProcFiles(tree, lambda: None)


def test_a_kept_file_is_opened_once() -> None:
    """Each further reading is one call."""
    tree, files = world("7")
    files.keep("7")
    tree.calls.clear()
    assert [files.read_stat("7"), files.read_stat("7")] == [b"7 stat"] * 2
    assert [call for call, _ in tree.calls] == ["read_open"] * 2


def test_what_is_not_kept_is_opened_for_each_reading() -> None:
    """Nothing stays open behind it."""
    tree, files = world("7")
    assert (files.read_stat("7"), files.is_kept("7"), tree.open_descriptors) == (b"7 stat", False, 0)


def test_a_kept_file_never_shows_another_process_of_that_number() -> None:
    """The descriptor stays with the process that it was opened for, and answers ESRCH after its end."""
    tree, files = world("7")
    files.keep("7")
    tree.remove("7")
    tree.put("7/stat", b"another one")
    with pytest.raises(OSError) as gone:
        files.read_stat("7")
    assert gone.value.errno == errno.ESRCH


def test_everything_of_a_process_is_given_back_together() -> None:
    """Of others nothing is."""
    tree, files = world("7", "8")
    for name in ("7", "8"):
        files.keep(name)
        files.read_schedstat(name)
        files.word_of(f"{name}/io")
    assert (tree.open_descriptors, files.kept) == (6, 6)
    files.give_back("7")
    assert (tree.open_descriptors, files.is_kept("7"), files.is_kept("8")) == (3, False, True)
    files.close()
    assert tree.open_descriptors == 0


def test_a_side_reader_gets_the_descriptor_or_else_the_path() -> None:
    """Both are read in the same way; a file that cannot be opened keeps its path, so that its reading has the reason."""
    tree, files = world("7")
    read = side_read(tree, 64)
    word = files.word_of("7/io")
    assert word.isdecimal()
    assert read(word) == read("7/io") == b"7 io"
    tree.fail("8/io", errno.EACCES)
    assert files.word_of("8/io") == "8/io"
    with pytest.raises(PermissionError):
        read("8/io")
