"""`agent.ports.KernelTree`: the real one over a folder and the one in memory answer alike."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.kernel_tree import MemoryTree

from agent.ports import KernelTree
from workers.process.cpu_clock import cpu_clock_of
from workers.runtime.kernel_tree import OpenKernelTree

FILES = {
    "uptime": b"12.34 56.78\n",
    "7/stat": b"7 (seven) S\n",
    "7/empty": b"",
    "7/task/7/stat": b"deep",
    "8/stat": b"8 (eight) R\n",
}
EMPTY_DIRECTORIES = ("9", "7/fd")
MakeTree = Callable[[], KernelTree]


def _memory_tree() -> KernelTree:
    return MemoryTree(FILES | {f"{path}/": b"" for path in EMPTY_DIRECTORIES})


@pytest.fixture(params=["real", "memory"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> KernelTree:
    """Both kinds with the same contents."""
    if request.param == "memory":
        return _memory_tree()
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    for path in EMPTY_DIRECTORIES:
        (tmp_path / path).mkdir(parents=True)
    return OpenKernelTree(str(tmp_path))


def _errno_of(call: Callable[[], object]) -> int | None:
    with pytest.raises(OSError) as refused:
        call()
    return refused.value.errno


def test_names_are_listed_at_the_root_and_below(tree: KernelTree) -> None:
    """Files and directories, in no order, each once."""
    assert sorted(tree.list_names()) == ["7", "8", "9", "uptime"]
    assert sorted(tree.list_names(".")) == ["7", "8", "9", "uptime"]
    assert sorted(tree.list_names("7")) == ["empty", "fd", "stat", "task"]
    assert tree.list_names("9") == []


def test_directories_are_told_from_files(tree: KernelTree) -> None:
    """Only sub-directories, empty ones too."""
    assert sorted(tree.list_directories()) == ["7", "8", "9"]
    assert sorted(tree.list_directories("7")) == ["fd", "task"]
    assert tree.list_directories("8") == []


def test_listing_twice_gives_the_same(tree: KernelTree) -> None:
    """The root stays open between two listings and starts again each time."""
    assert sorted(tree.list_names()) == sorted(tree.list_names())
    assert sorted(tree.list_directories()) == sorted(tree.list_directories())


def test_a_file_is_read_whole_or_up_to_the_bound(tree: KernelTree) -> None:
    """Never more than asked for."""
    assert tree.read("7/stat", 100) == b"7 (seven) S\n"
    assert tree.read("7/stat", 3) == b"7 ("
    assert tree.read("7/task/7/stat", 100) == b"deep"
    assert tree.read("7/empty", 100) == b""
    assert tree.read("7/stat", 0) == b""


def test_an_open_file_is_read_from_its_beginning_each_time(tree: KernelTree) -> None:
    """The position of the last reading does not matter."""
    descriptor = tree.open("7/stat")
    assert tree.read_open(descriptor, 3) == b"7 ("
    assert tree.read_open(descriptor, 100) == b"7 (seven) S\n"
    assert tree.read_open(descriptor, 100) == b"7 (seven) S\n"
    tree.close(descriptor)


def test_clocks_are_read_in_their_order_and_one_that_is_not_there_takes_its_own_place(tree: KernelTree) -> None:
    """What comes before and behind it is read."""
    ours, nobodys = time.CLOCK_PROCESS_CPUTIME_ID, cpu_clock_of((1 << 22) + 1)
    if isinstance(tree, MemoryTree):
        tree.clocks[ours] = 5
    first, missing, last = tree.read_clocks([ours, nobodys, ours])
    assert missing is None
    assert 0 < (first or 0) <= (last or 0)
    assert tree.read_clocks([nobodys, nobodys]) == [None, None]
    assert tree.read_clocks([]) == []


def test_two_descriptors_are_two(tree: KernelTree) -> None:
    """Closing one leaves the other."""
    one, other = tree.open("7/stat"), tree.open("8/stat")
    assert one != other
    tree.close(one)
    assert tree.read_open(other, 100) == b"8 (eight) R\n"
    tree.close(other)


def test_files_and_directories_tell_their_owner(tree: KernelTree) -> None:
    """Who made them; those in memory belong to root unless they are told otherwise."""
    owner = 0 if isinstance(tree, MemoryTree) else os.getuid()
    assert (tree.owner("7/stat"), tree.owner("7")) == (owner, owner)


def test_a_file_system_mounted_below_is_another_device(tree: KernelTree) -> None:
    """All of one file system has one number; what is mounted on a directory of it has its own, and so has what lies below."""
    assert tree.device() == tree.device("7") == tree.device("7/stat")
    root = OpenKernelTree("/")
    assert root.device("proc") == root.device("proc/self/fdinfo") != root.device()
    memory = MemoryTree(FILES)
    memory.devices["7"] = 9
    assert [memory.device(path) for path in (".", "8", "7", "7/stat")] == [0, 0, 9, 9]


@pytest.mark.parametrize("path", ["1/stat", "7/nothing", "nothing"])
def test_what_is_not_there_is_enoent(tree: KernelTree, path: str) -> None:
    """For every call alike."""
    for call in (lambda: tree.open(path), lambda: tree.read(path, 10), lambda: tree.list_names(path),
                 lambda: tree.list_directories(path), lambda: tree.owner(path), lambda: tree.device(path)):  # fmt: skip
        assert _errno_of(call) == errno.ENOENT


def test_a_directory_cannot_be_read_as_a_file(tree: KernelTree) -> None:
    """EISDIR, at the opening or at the reading."""
    assert _errno_of(lambda: tree.read("7", 10)) == errno.EISDIR


def test_a_file_cannot_be_listed(tree: KernelTree) -> None:
    """ENOTDIR."""
    assert _errno_of(lambda: tree.list_names("uptime")) == errno.ENOTDIR
    assert _errno_of(lambda: tree.list_directories("uptime")) == errno.ENOTDIR


def test_a_descriptor_that_was_given_back_is_not_one(tree: KernelTree) -> None:
    """EBADF for everything, a second giving back included."""
    descriptor = tree.open("7/stat")
    tree.close(descriptor)
    for call in (lambda: tree.read_open(descriptor, 10), lambda: tree.close(descriptor)):
        assert _errno_of(call) == errno.EBADF
