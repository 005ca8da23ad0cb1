"""Has processes killed for lack of memory, in every way that a limit can be hit, and says what it did.

    python oom_injector.py ROOT KILLS SEED [HOST_KILLS]

Run by its path: it imports nothing but the standard library. It makes cgroups below ROOT, a cgroup of version 2 with the memory
controller enabled. Before each kill it writes `made PATH...` and waits for a line; behind it `killed JSON`, a list of
[path, verdict, culprit, kills]. Every second cgroup is removed in the same moment that its last process is reaped.
"""

import json
import mmap
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

MIB = 1 << 20
LIMIT, EATEN, PIECE = 4 * MIB, 64 * MIB, 16 * MIB
# Of the machine's memory, when all of it is to be used.
LEFT, HUGE_PAGE = 256 * MIB, 2 * MIB


def write(path: Path, text: str) -> None:
    """Into a file of a cgroup."""
    with open(path, "w") as file:
        file.write(text)


def eat(cgroup: Path, size: int, *, waits: bool = False) -> int:
    """A process in the cgroup that uses more and more memory, or only waits; its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        write(cgroup / "cgroup.procs", "0")
        write(Path("/proc/self/oom_score_adj"), "1000")
        if waits:
            while True:
                signal.pause()
        # In pieces: the kernel refuses one that is more than the machine has.
        pieces = []
        for _ in range(0, size, PIECE):
            # The kernel's reaper frees private memory at once, and shared memory only when the process has ended.
            pieces.append(mmap.mmap(-1, PIECE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            for at in range(0, PIECE, 4096):
                pieces[-1][at] = 1
    finally:
        os._exit(1)


@contextmanager
def most_set_aside() -> Iterator[None]:
    """Leave little of the machine's memory: what waits as huge pages need not be touched before nothing is left."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = (int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    huge = Path("/proc/sys/vm/nr_hugepages")
    before = huge.read_text()
    write(huge, str(max(0, available - LEFT) // HUGE_PAGE))
    try:
        yield
    finally:
        write(huge, before)


def reap(*pids: int) -> int:
    """How many of them were killed."""
    return sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL for pid in pids)


class Injector:
    """One scene after the other, each in cgroups of its own."""

    def __init__(self, root: str, seed: int) -> None:
        self._root = Path(root)
        self._random = Random(seed)
        self._scenes = 0

    def run(self, kills: int, host_kills: int) -> None:
        """Until so many kills were made."""
        scenes = [self._own, self._ancestor, self._far_ancestor, self._inside, self._group, self._two_levels, self._two_at_once]
        done = 0
        while done < kills:
            done += self._scene(scenes[self._scenes % len(scenes)])
        for _ in range(host_kills):
            self._scene(self._host)
        print("done", flush=True)

    def _scene(self, scene: object) -> int:
        self._scenes += 1
        self._pod = self._made(self._root / f"pod{self._scenes}")
        killed = scene()  # type: ignore[operator]  # one of the methods below
        print(
            "killed",
            json.dumps(
                [[self._path(path), verdict, culprit and self._path(culprit), kills] for path, verdict, culprit, kills in killed]
            ),
            flush=True,
        )
        self._remove(self._pod)
        return sum(kills for *_, kills in killed)

    def _made(self, path: Path, limit: int | None = None) -> Path:
        path.mkdir()
        if path.parent != self._root or path.name.startswith("pod"):
            with suppress(OSError):
                write(path / "cgroup.subtree_control", "+memory")
        if limit is not None:
            write(path / "memory.max", str(limit))
        return path

    def _tell(self, *paths: Path) -> None:
        print("made", *map(self._path, paths), flush=True)
        sys.stdin.readline()

    @staticmethod
    def _path(path: Path) -> str:
        return "/" + str(path.relative_to("/sys/fs/cgroup"))

    def _leaf(self, name: str, parent: Path, limit: int | None = None) -> Path:
        path = parent / name
        path.mkdir()
        if limit is not None:
            write(path / "memory.max", str(limit))
        return path

    def _remove(self, path: Path) -> None:
        for folder, _, _ in os.walk(path, topdown=False):
            with suppress(FileNotFoundError):
                os.rmdir(folder)

    def _removed_perhaps(self, path: Path) -> None:
        if self._random.random() < 0.5:
            self._remove(path)

    def _own(self) -> list[tuple[Path, str, Path | None, int]]:
        unit = self._leaf("c", self._pod, LIMIT)
        self._tell(unit)
        kills = reap(eat(unit, EATEN))
        self._removed_perhaps(unit)
        return [(unit, "own_limit", None, kills)]

    def _ancestor(self) -> list[tuple[Path, str, Path | None, int]]:
        write(self._pod / "memory.max", str(LIMIT))
        unit = self._leaf("c", self._pod)
        self._tell(unit)
        kills = reap(eat(unit, EATEN))
        self._removed_perhaps(unit)
        return [(unit, "ancestor", self._pod, kills)]

    def _far_ancestor(self) -> list[tuple[Path, str, Path | None, int]]:
        # A pod in a pod.
        write(self._pod / "memory.max", str(LIMIT))
        inner = self._made(self._pod / "inner", 16 * LIMIT)
        unit = self._leaf("c", inner, 8 * LIMIT)
        self._tell(unit)
        kills = reap(eat(unit, EATEN))
        self._removed_perhaps(unit)
        return [(unit, "ancestor", self._pod, kills)]

    def _inside(self) -> list[tuple[Path, str, Path | None, int]]:
        unit = self._made(self._pod / "c")
        self._tell(unit)
        inner = self._leaf("inner", unit, LIMIT)
        kills = reap(eat(inner, EATEN))
        self._removed_perhaps(inner)
        return [(unit, "own_limit", None, kills)]

    def _group(self) -> list[tuple[Path, str, Path | None, int]]:
        unit = self._leaf("c", self._pod, LIMIT)
        write(unit / "memory.oom.group", "1")
        self._tell(unit)
        others = [eat(unit, 0, waits=True) for _ in range(2)]
        while len((unit / "cgroup.procs").read_text().split()) < len(others):
            os.sched_yield()
        assert reap(*others, eat(unit, EATEN)) == len(others) + 1
        # The kernel counts the process that it chose and then, with the whole group, perhaps once more.
        events = dict(line.split() for line in (unit / "memory.events").read_text().splitlines())
        self._removed_perhaps(unit)
        return [(unit, "own_limit", None, int(events["oom_kill"]))]

    def _two_levels(self) -> list[tuple[Path, str, Path | None, int]]:
        # One by its own limit, beside one by that of the pod.
        write(self._pod / "memory.max", str(4 * LIMIT))
        first, second = self._leaf("a", self._pod, LIMIT), self._leaf("b", self._pod)
        self._tell(first, second)
        pids = eat(first, EATEN), eat(second, EATEN)
        kills = [reap(pid) for pid in pids]
        self._removed_perhaps(first)
        self._removed_perhaps(second)
        return [(first, "own_limit", None, kills[0]), (second, "ancestor", self._pod, kills[1])]

    def _two_at_once(self) -> list[tuple[Path, str, Path | None, int]]:
        first, second = self._leaf("a", self._pod, LIMIT), self._leaf("b", self._pod, LIMIT)
        self._tell(first, second)
        pids = eat(first, EATEN), eat(second, EATEN)
        kills = [reap(pid) for pid in pids]
        self._removed_perhaps(first)
        self._removed_perhaps(second)
        return [(first, "own_limit", None, kills[0]), (second, "own_limit", None, kills[1])]

    def _host(self) -> list[tuple[Path, str, Path | None, int]]:
        unit = self._leaf("c", self._pod)
        self._tell(unit)
        with most_set_aside():
            kills = reap(eat(unit, 8 << 30))
        self._removed_perhaps(unit)
        return [(unit, "host", None, kills)]


if __name__ == "__main__":
    Injector(sys.argv[1], int(sys.argv[3])).run(int(sys.argv[2]), int(sys.argv[4]) if len(sys.argv) > 4 else 0)
