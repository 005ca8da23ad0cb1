"""Which threads belong into a group: those of a cgroup and of everything below it. PURE.

Threads, not processes: a resctrl group holds threads, and the leaders that `cgroup.procs` lists are a small part of them.
"""

from collections.abc import Sequence
from errno import E2BIG, EACCES, EFBIG, EINVAL, ENODEV, ENOENT, ENOTDIR

from agent.ports import KernelTree

# Cgroup v2 and v1. In a threaded cgroup the first works where `cgroup.procs` answers EOPNOTSUPP.
FILES = ("cgroup.threads", "tasks")
# A systemd inside a container, with user sessions of its own, is seven deep.
DEPTH_MAX = 16
# One pod may fill its part of the tree as it likes; a thousand directories take 20 ms to read.
DIRECTORIES_MAX = 1000
# `workers.runtime.kernel_tree` gives no more; 130,000 threads.
_BYTES_MAX = 1 << 20
# A cgroup that was removed before or while it was read.
_GONE = frozenset({ENOENT, ENODEV, ENOTDIR})


class CgroupThreads:
    """`workers.resctrl.ports.ThreadSource` over one cgroup, with those below it unless `is_recursive` is false.

    `roots` are the hierarchies, as directories of `tree`, in the order of preference: `("",)` for v2 alone, `("systemd",
    "memory", "unified")` on hosts that have several. The first in which the cgroup holds a thread counts; on a host with
    several hierarchies a container is in all of them, or in some and the others have an empty directory, or none.
    """

    def __init__(self, tree: KernelTree, roots: Sequence[str], path: str, *, is_recursive: bool = True) -> None:
        assert roots, "one hierarchy at least"
        self._tree = tree
        self._is_recursive = is_recursive
        self._tops = [_joined(root, path.strip("/")) for root in roots]
        # Which of the two files this hierarchy has, once it is known.
        self._files: dict[str, str] = {}

    def threads(self) -> frozenset[int]:
        """All thread ids in the cgroup and below; empty where nothing runs.

        A thread that is moved from one directory below to another during the listing can be missed: list again.
        *Raises:* OSError ENOENT when the cgroup is in no hierarchy, E2BIG when it is too deep or has too many directories, EFBIG
        when one file lists too many threads, EACCES when the threads are in a PID namespace that is not seen from here.
        """
        exists = False
        for top in self._tops:
            found = self._below(top)
            if found:
                return found
            exists = exists or found is not None
        if not exists:
            raise OSError(ENOENT, "there is no such cgroup", self._tops[0])
        return frozenset()

    def _below(self, top: str) -> frozenset[int] | None:
        """The threads at and below one directory, None when it is not there."""
        found: set[int] = set()
        count = 0
        pending = [(top, 0)]
        while pending:
            path, depth = pending.pop()
            listed = self._in(top, path)
            if listed is None:
                if path == top:
                    return None
                continue
            count += 1
            found |= listed
            pending += [(_joined(path, name), depth + 1) for name in self._names(path)]
            if depth > DEPTH_MAX or count + len(pending) > DIRECTORIES_MAX:
                raise OSError(E2BIG, f"more than {DIRECTORIES_MAX} cgroups below, or deeper than {DEPTH_MAX}", top)
        if found == {0}:
            # An id of 0 is a thread without a name here. Beside others it is one that ends just now.
            raise OSError(EACCES, "its threads are in a PID namespace that is not seen from here (hostPID is needed)", top)
        return frozenset(found - {0})

    def _in(self, top: str, path: str) -> frozenset[int] | None:
        known = self._files.get(top)
        for name in FILES if known is None else (known,):
            try:
                content = self._tree.read(_joined(path, name), _BYTES_MAX)
            except OSError as problem:
                if problem.errno not in _GONE:
                    raise
                continue
            self._files[top] = name
            return _parsed(content, _joined(path, name))
        return None

    def _names(self, path: str) -> list[str]:
        if not self._is_recursive:
            return []
        try:
            return self._tree.list_directories(path or ".")
        except OSError as problem:
            if problem.errno in _GONE:
                return []
            raise


def _parsed(content: bytes, path: str) -> frozenset[int]:
    if len(content) >= _BYTES_MAX:
        # Cut off, perhaps in the middle of an id, which would be somebody else's.
        raise OSError(EFBIG, f"more than {_BYTES_MAX} bytes of thread ids", path)
    words = content.split()
    if words and not b"".join(words).isdigit():
        raise OSError(EINVAL, "not a list of thread ids", path)
    return frozenset(map(int, words))


def _joined(root: str, path: str) -> str:
    return "/".join(part for part in (root, path) if part and part != ".")
