"""Sizes of caches by sysfs."""

import errno

import pytest
from fakes.kernel_tree import MemoryTree

from workers.resctrl.cache import sysfs_l3_bytes


def _cache(cpu: int, index: int, level: str, number: str, size: str) -> dict[str, bytes]:
    path = f"cpu{cpu}/cache/index{index}"
    return {f"{path}/level": f"{level}\n".encode(), f"{path}/id": f"{number}\n".encode(), f"{path}/size": f"{size}\n".encode()}


def test_each_l3_cache_once_by_its_id() -> None:
    """CPUs share caches; the caches of other levels and the other directories of sysfs do not count."""
    files = {"online": b"0-3\n", "cpufreq/boost": b"1\n", "cpu0/topology/core_id": b"0\n"}
    for cpu in range(4):
        files |= _cache(cpu, 2, "2", str(cpu), "1024K") | _cache(cpu, 3, "3", "0" if cpu < 2 else "16", "32768K")

    assert sysfs_l3_bytes(MemoryTree(files)) == {0: 32 << 20, 16: 32 << 20}


@pytest.mark.parametrize("lost", ["id", "size", "level", ""])
def test_a_cache_of_which_sysfs_tells_too_little_is_left_out(lost: str) -> None:
    """Virtual machines show caches without ids, and a CPU that is switched off meanwhile shows nothing."""
    tree = MemoryTree(_cache(0, 3, "3", "0", "32M") | _cache(1, 3, "3", "1", "32M") | {"cpu2/online": b"0\n"})
    tree.remove(f"cpu0/cache/index3/{lost}".rstrip("/"))

    assert sysfs_l3_bytes(tree) == {1: 32 << 20}


@pytest.mark.parametrize("size", ["", "32G", "x", "-1K"])
def test_a_size_of_another_form_is_left_out(size: str) -> None:
    """What is not understood is unknown."""
    assert sysfs_l3_bytes(MemoryTree(_cache(0, 3, "3", "0", size))) == {}


def test_a_sysfs_that_cannot_be_read_is_an_error() -> None:
    """No permission is not the same as no cache."""
    tree = MemoryTree(_cache(0, 3, "3", "0", "32M"))
    tree.fail("cpu0/cache/index3/size", errno.EACCES)

    with pytest.raises(PermissionError):
        sysfs_l3_bytes(tree)


def test_other_folders_beside_the_caches_are_passed_over() -> None:
    """`power` and `uevent` are there too; a folder of caches that cannot be listed is an error."""
    tree = MemoryTree(_cache(0, 3, "3", "0", "32M") | {"cpu0/cache/power/control": b"auto\n"})
    assert sysfs_l3_bytes(tree) == {0: 32 << 20}
    tree.fail("cpu0/cache", errno.EACCES)
    with pytest.raises(PermissionError):
        sysfs_l3_bytes(tree)
