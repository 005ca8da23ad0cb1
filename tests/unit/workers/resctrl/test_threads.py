"""The threads of a cgroup: of every version, recursive, through all the races of a walk."""

import errno
from collections.abc import Callable

import pytest
from fakes.kernel_tree import MemoryTree

from workers.resctrl.threads import DEPTH_MAX, DIRECTORIES_MAX, CgroupThreads

POD = "kubepods/burstable/pod8a7f"
HYBRID = ("systemd", "memory", "unified")


def _lines(*ids: int) -> bytes:
    return b"".join(b"%d\n" % thread_id for thread_id in ids)


def _v2(**more: bytes) -> MemoryTree:
    return MemoryTree(
        {
            "cgroup.controllers": b"cpu memory\n",
            f"{POD}/cgroup.threads": b"",
            f"{POD}/cgroup.procs": _lines(10, 20),
            f"{POD}/{'c' * 64}/cgroup.threads": _lines(10, 11, 12),
            f"{POD}/{'d' * 64}/cgroup.threads": _lines(20),
            "kubepods/cgroup.threads": _lines(999),
        }
        | {f"{POD}/{path}": content for path, content in more.items()}
    )


def test_v2_below_the_pod() -> None:
    """Every thread of every container, not only leaders; nobody of the directories above."""
    assert CgroupThreads(_v2(), ("",), f"/{POD}").threads() == {10, 11, 12, 20}
    assert CgroupThreads(_v2(), ("",), f"/{POD}/{'d' * 64}").threads() == {20}


def test_nested_cgroups_of_a_container() -> None:
    """A container with an init of its own sorts its threads into cgroups below; they all belong to it."""
    tree = _v2(**{
        f"{'c' * 64}/init.scope/cgroup.threads": _lines(30),
        f"{'c' * 64}/system.slice/cron.service/cgroup.threads": _lines(31, 32),
        f"{'c' * 64}/system.slice/cgroup.threads": b"",
    })  # fmt: skip

    assert CgroupThreads(tree, ("",), POD).threads() == {10, 11, 12, 20, 30, 31, 32}


def test_threaded_cgroups() -> None:
    """In a threaded cgroup the list of processes is refused, and the list of threads is not."""
    tree = _v2(**{"workers/cgroup.threads": _lines(40, 41), "workers/cgroup.procs": b""})
    tree.fail(f"{POD}/workers/cgroup.procs", errno.EOPNOTSUPP)

    assert CgroupThreads(tree, ("",), POD).threads() >= {40, 41}


def test_v1_has_another_file() -> None:
    """In a hierarchy of version 1 the threads are in `tasks`."""
    tree = MemoryTree(
        {f"memory/{POD}/tasks": _lines(1), f"memory/{POD}/x/tasks": _lines(2, 3), f"memory/{POD}/cgroup.procs": _lines(1)}
    )

    assert CgroupThreads(tree, ("systemd", "memory"), POD).threads() == {1, 2, 3}


def test_the_first_hierarchy_with_threads_counts() -> None:
    """An engine without systemd leaves the directory in systemd's hierarchy empty, or makes none."""
    files = {f"systemd/{POD}/tasks": b"", f"memory/{POD}/tasks": _lines(5), f"unified/{POD}/cgroup.threads": _lines(6)}

    assert CgroupThreads(MemoryTree(files), HYBRID, POD).threads() == {5}
    assert CgroupThreads(MemoryTree(files), HYBRID[::-1], POD).threads() == {6}
    assert CgroupThreads(MemoryTree({f"unified/{POD}/cgroup.threads": _lines(6)}), HYBRID, POD).threads() == {6}


def test_nobody_yet_and_nothing_there_are_apart() -> None:
    """A container that has not started has an empty cgroup; one that is gone has none, and nobody can know its threads."""
    assert CgroupThreads(MemoryTree({f"systemd/{POD}/tasks": b""}), HYBRID, POD).threads() == frozenset()
    with pytest.raises(FileNotFoundError):
        CgroupThreads(MemoryTree({"systemd/tasks": b"1\n"}), HYBRID, POD).threads()


class RacingTree(MemoryTree):
    """Something happens right before a call."""

    before: Callable[[str, str], None] = staticmethod(lambda call, path: None)

    def read(self, path: str, bytes_max: int) -> bytes:
        self.before("read", path)
        return super().read(path, bytes_max)

    def list_directories(self, path: str = ".") -> list[str]:
        self.before("list", path)
        return super().list_directories(path)


@pytest.mark.parametrize("call", ["read", "list"])
@pytest.mark.parametrize("code", [None, errno.ENODEV, errno.ENOENT])
def test_a_cgroup_that_goes_while_it_is_walked_is_left_out(call: str, code: int | None) -> None:
    """A container that ends between listing and reading, however the kernel says so, does not disturb the others."""
    tree = RacingTree({f"{POD}/cgroup.threads": b"", f"{POD}/a/cgroup.threads": _lines(1), f"{POD}/b/cgroup.threads": _lines(2)})

    def end(this_call: str, path: str) -> None:
        if this_call == call and path.startswith(f"{POD}/a"):
            if code is None:
                tree.remove(f"{POD}/a")
            else:
                tree.fail(f"{POD}/a/cgroup.threads" if call == "read" else f"{POD}/a", code)

    tree.before = end
    assert CgroupThreads(tree, ("",), POD).threads() - {1} == {2}


def test_what_nobody_may_read_is_an_error() -> None:
    """Half of a pod is not the pod: no permission for one directory is no permission for the answer."""
    tree = _v2()
    tree.fail(f"{POD}/{'d' * 64}/cgroup.threads", errno.EACCES)

    with pytest.raises(PermissionError):
        CgroupThreads(tree, ("",), POD).threads()


def test_threads_of_another_pid_namespace_are_an_error() -> None:
    """Ids of 0 cannot be written anywhere; beside others such an id is a thread that ends just now."""
    assert CgroupThreads(MemoryTree({"x/tasks": b"0\n7\n0\n"}), ("",), "x").threads() == {7}
    with pytest.raises(PermissionError, match="hostPID"):
        CgroupThreads(MemoryTree({"x/tasks": b"0\n0\n"}), ("",), "x").threads()


@pytest.mark.parametrize(
    ("content", "code"), [(b"1\nx\n", errno.EINVAL), (b"-1\n", errno.EINVAL), (b"1234567\n" * (1 << 17), errno.EFBIG)]
)
def test_a_list_that_is_none_or_does_not_end_is_an_error(content: bytes, code: int) -> None:
    """A cut list could end in half an id, which is the id of somebody else."""
    with pytest.raises(OSError) as caught:
        CgroupThreads(MemoryTree({"x/tasks": content}), ("",), "x").threads()
    assert caught.value.errno == code


def test_a_pod_with_too_many_cgroups_is_an_error() -> None:
    """Anyone who fills his part of the tree hides only himself, and it is said; up to the limit all are read."""
    files = {f"x/{number}/tasks": _lines(number + 1) for number in range(DIRECTORIES_MAX - 1)} | {"x/tasks": b""}
    assert len(CgroupThreads(MemoryTree(files), ("",), "x").threads()) == DIRECTORIES_MAX - 1

    with pytest.raises(OSError, match="more than 1000 cgroups below"):
        CgroupThreads(MemoryTree(files | {"x/more/tasks": b""}), ("",), "x").threads()


def test_a_pod_that_nests_too_deep_is_an_error() -> None:
    """The depth has a limit of its own; up to it all are read."""
    files = {f"x{'/d' * depth}/tasks": _lines(depth + 1) for depth in range(DEPTH_MAX + 1)}
    assert len(CgroupThreads(MemoryTree(files), ("",), "x").threads()) == DEPTH_MAX + 1

    with pytest.raises(OSError, match="deeper than 16"):
        CgroupThreads(MemoryTree(files | {f"x{'/d' * (DEPTH_MAX + 1)}/tasks": b""}), ("",), "x").threads()


def test_each_directory_costs_one_listing_and_one_read() -> None:
    """Hundreds of pods are listed every few seconds; only the first time the file is looked for."""
    tree = MemoryTree({f"memory/{POD}/tasks": _lines(1), f"memory/{POD}/a/tasks": _lines(2), f"memory/{POD}/b/tasks": _lines(3)})
    source = CgroupThreads(tree, ("memory",), POD)
    source.threads()
    tree.calls.clear()

    assert source.threads() == {1, 2, 3}
    assert sorted(call for call, _path in tree.calls) == sorted(["open", "read_open", "list_directories"] * 3)


def test_one_cgroup_without_those_below() -> None:
    """Below a slice there are others' units: asked for alone, it has its own threads only, and nothing below is listed."""
    tree = MemoryTree({"user.slice/tasks": _lines(1, 2), "user.slice/x.scope/tasks": _lines(3)})

    assert CgroupThreads(tree, ("",), "user.slice", is_recursive=False).threads() == {1, 2}
    assert all(call != "list_directories" for call, _path in tree.calls)


def test_a_folder_that_cannot_be_listed_is_an_error() -> None:
    """Threads below it would be missing without a word; one that is gone has none."""
    tree = _v2()
    tree.fail(POD, errno.EACCES)
    with pytest.raises(PermissionError):
        CgroupThreads(tree, ("",), f"/{POD}").threads()
