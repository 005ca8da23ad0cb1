"""The threads of a container by what its runtime reported: every driver, every kind of host, and its first process at last."""

import errno

import pytest
from fakes.kernel_tree import MemoryTree

from workers.control_plane.container_runtime.container_threads import CgroupRoots, ContainerThreads
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod

UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
ID = "0123456789abcdef" * 4
PLAIN = f"kubepods/besteffort/pod{UID}/{ID}"
SLICE = f"kubepods-besteffort-pod{UID.replace('-', '_')}.slice"
SCOPE = f"kubepods.slice/kubepods-besteffort.slice/{SLICE}/cri-containerd-{ID}.scope"
POD = RuntimePod("s", UID)


def _threads(tree: MemoryTree, path: str = f"/{PLAIN}", pid: int = 0, proc: MemoryTree | None = None) -> ContainerThreads:
    return ContainerThreads(CgroupRoots(tree), proc or MemoryTree(), POD, RuntimeContainer(ID, "s", cgroups_path=path, pid=pid))


V2 = {"cgroup.controllers": b""}
V1 = {"systemd/": b"", "memory/": b""}
HYBRID = {**V1, "unified/": b""}


@pytest.mark.parametrize(
    ("host", "directory", "file"),
    [
        (V2, PLAIN, "cgroup.threads"),
        (V1, f"memory/{PLAIN}", "tasks"),
        (V1, f"systemd/{PLAIN}", "tasks"),
        (HYBRID, f"memory/{PLAIN}", "tasks"),
        (HYBRID, f"unified/{PLAIN}", "cgroup.threads"),
    ],
)
def test_each_kind_of_host(host: dict[str, bytes], directory: str, file: str) -> None:
    """One hierarchy, several, and both; the first that holds a thread counts."""
    tree = MemoryTree({**host, f"{directory}/{file}": b"11\n12\n"})

    assert _threads(tree).threads() == {11, 12}


def test_a_hierarchy_that_only_has_the_directory_does_not_count() -> None:
    """An engine without systemd leaves that one empty."""
    tree = MemoryTree({**V1, f"systemd/{PLAIN}/tasks": b"", f"memory/{PLAIN}/tasks": b"7\n"})

    assert _threads(tree).threads() == {7}


def test_both_drivers() -> None:
    """The path is a directory's, or a slice, a prefix and a name."""
    tree = MemoryTree({**V2, f"{SCOPE}/cgroup.threads": b"21\n"})

    assert _threads(tree, f"{SLICE}:cri-containerd:{ID}").threads() == {21}


def test_nested_cgroups_are_the_containers() -> None:
    """An init system in a container, or crun's own directory below the scope."""
    tree = MemoryTree({**V2, f"{PLAIN}/cgroup.threads": b"", f"{PLAIN}/init.scope/cgroup.threads": b"31\n"})

    assert _threads(tree).threads() == {31}


def test_what_is_found_once_is_not_looked_for_again() -> None:
    """The second pass lists the same place, and threads that are new there."""
    tree = MemoryTree({**V2, f"{PLAIN}/cgroup.threads": b"1\n"})
    threads = _threads(tree)
    assert threads.threads() == {1}
    tree.put(f"{PLAIN}/cgroup.threads", b"1\n2\n")

    assert threads.threads() == {1, 2}


def test_a_container_that_ends_meanwhile_has_no_threads() -> None:
    """That is no failure."""
    tree = MemoryTree({**V2, f"{PLAIN}/cgroup.threads": b"1\n"})
    threads = _threads(tree)
    assert threads.threads() == {1}
    tree.remove(PLAIN)

    assert threads.threads() == frozenset()


def test_the_first_process_shows_the_place_of_an_unknown_form() -> None:
    """By its own file in /proc."""
    place = f"some.slice/some-form.slice/{ID}"
    tree = MemoryTree({**V2, f"{place}/cgroup.threads": b"41\n42\n"})
    proc = MemoryTree({"41/cgroup": f"0::/{place}\n".encode()})

    assert _threads(tree, "unknown:form", 41, proc).threads() == {41, 42}


@pytest.mark.parametrize("text", [b"0::/system.slice/sshd.service\n", b"0::/\n", b"nonsense", b""])
def test_a_process_somewhere_else_is_not_believed(text: bytes) -> None:
    """Only a directory of the container's own is taken: the threads of others stay where they are."""
    tree = MemoryTree({**V2, "cgroup.threads": b"1\n", "system.slice/sshd.service/cgroup.threads": b"2\n"})

    assert _threads(tree, "", 5, MemoryTree({"5/cgroup": text})).threads() == frozenset()


@pytest.mark.parametrize("pid", [0, -1, 99])
def test_without_any_place_there_is_no_thread(pid: int) -> None:
    """It is pending; the next look at the tree finds it."""
    assert _threads(MemoryTree(V2), pid=pid).threads() == frozenset()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_tree_that_cannot_be_read_is_a_failure(code: int) -> None:
    """With its own reason; nobody takes it for an empty container."""
    tree = MemoryTree({**V2, f"{PLAIN}/cgroup.threads": b"1\n"})
    tree.fail(f"{PLAIN}/cgroup.threads", code)

    with pytest.raises(OSError) as failure:
        _threads(tree).threads()
    assert failure.value.errno == code


def test_a_process_that_cannot_be_looked_at_is_a_failure() -> None:
    """Not one that is gone."""
    proc = MemoryTree({"5/cgroup": b""})
    proc.fail("5/cgroup", errno.EACCES)

    with pytest.raises(PermissionError):
        _threads(MemoryTree(V2), "", 5, proc).threads()


def test_a_host_without_cgroups_is_a_failure_until_there_are_some() -> None:
    """The choice is made once there is one to be made."""
    tree = MemoryTree({"other/": b""})
    roots = CgroupRoots(tree)
    with pytest.raises(FileNotFoundError):
        roots.get()
    tree.put("cgroup.controllers")

    assert roots.get() == (".",)


def test_on_a_hybrid_host_the_unified_one_comes_last() -> None:
    """There it is systemd's copy of its own."""
    assert CgroupRoots(MemoryTree(HYBRID)).get() == ("systemd", "memory", "unified")
