"""Sizes of the L3 caches from sysfs, for mounts without them. *Source:* Documentation/ABI, devices-system-cpu. PURE."""

import re
from collections.abc import Mapping
from errno import ENODEV, ENOENT, ENOTDIR

from agent.ports import KernelTree

ROOT = "/sys/devices/system/cpu"
_CPU = re.compile(r"cpu[0-9]+")
_INDEX = re.compile(r"index[0-9]+")
_SIZE = re.compile(r"([0-9]+)([KM]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}
_FILE_BYTES_MAX = 64
# A CPU that is switched off meanwhile, or has no such cache.
_GONE = frozenset({ENOENT, ENODEV, ENOTDIR})


def sysfs_l3_bytes(tree: KernelTree) -> Mapping[int, int]:
    """The size in bytes of each L3 cache by its id, which is the number of its resctrl domain; `tree` is open on `ROOT`.

    *Absent:* caches without id or size in sysfs, as in most virtual machines. *Raises:* OSError.
    """
    sizes: dict[int, int] = {}
    for cpu in tree.list_directories("."):
        if _CPU.fullmatch(cpu):
            for index in _directories(tree, f"{cpu}/cache"):
                if _INDEX.fullmatch(index):
                    sizes.update(_cache(tree, f"{cpu}/cache/{index}"))
    return dict(sorted(sizes.items()))


def _cache(tree: KernelTree, path: str) -> Mapping[int, int]:
    level, number, size = (_word(tree, f"{path}/{name}") for name in ("level", "id", "size"))
    found = _SIZE.fullmatch(size)
    if level != "3" or not number.isdecimal() or found is None:
        return {}
    return {int(number): int(found[1]) * _UNITS[found[2]]}


def _directories(tree: KernelTree, path: str) -> list[str]:
    try:
        return tree.list_directories(path)
    except OSError as problem:
        if problem.errno in _GONE:
            return []
        raise


def _word(tree: KernelTree, path: str) -> str:
    try:
        return tree.read(path, _FILE_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError as problem:
        if problem.errno in _GONE:
            return ""
        raise
