"""Pods as the kernel sees them: real processes with real threads, in cgroups laid out as a kubelet does."""

import os
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes.cgroup import enter, group, is_removed
from harness.waiting import wait_until

# Starts as many threads as it is told, one of which copies memory when it is told to, more than a cache of a few megabytes holds,
# and ends with its input.
_PROGRAM = """
import sys, threading
end = threading.Event()
def compute():
    source, target = bytearray(32 << 20), bytearray(32 << 20)
    while not end.is_set():
        target[:] = source
threads, busy = int(sys.argv[1]), sys.argv[2] == "busy"
for number in range(threads - 1):
    threading.Thread(target=compute if busy and number == 0 else end.wait, daemon=True).start()
print("running", flush=True)
sys.stdin.read()
end.set()
"""
CONTAINER = "c" * 64


class Pod:
    """One pod with one container and one process in it."""

    def __init__(self, kubepods: Path, uid: str, threads: int, *, is_busy: bool = False, cpus: Collection[int] = ()) -> None:
        self.uid = uid
        self.folder = kubepods / f"pod{uid}"
        self.container = self.folder / CONTAINER
        self.container.mkdir(parents=True)
        pinned = ["taskset", "--cpu-list", ",".join(map(str, sorted(cpus)))] if cpus else []
        self.process = subprocess.Popen(
            [*pinned, sys.executable, "-S", "-E", "-c", _PROGRAM, str(threads), "busy" if is_busy else "idle"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        enter(self.container, self.process.pid)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"running\n"

    def threads(self) -> set[int]:
        """All thread ids of the pod, as its cgroup lists them."""
        # Version 2 names the file in another way.
        file = next(path for path in (self.container / "cgroup.threads", self.container / "tasks") if path.exists())
        return {int(line) for line in file.read_text().split()}

    def end(self) -> None:
        """The process ends and the cgroups go."""
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        if self.container.exists():
            wait_until(lambda: is_removed(self.container), "the container is empty and removed")
            self.folder.rmdir()


class Node:
    """A cgroup hierarchy of a test's own, with the pods that run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kubepods = root / "kubepods" / "besteffort"
        self._kubepods.mkdir(parents=True)
        self.pods: list[Pod] = []

    def run(self, number: int, threads: int = 3, *, is_busy: bool = False, cpus: Collection[int] = ()) -> Pod:
        """A pod starts; its uid begins with the number. Its threads run on these CPUs only, where any are named."""
        pod = Pod(self._kubepods, f"{number:08x}-1f2e-4d3c-8b5a-697887960a5b", threads, is_busy=is_busy, cpus=cpus)
        self.pods.append(pod)
        return pod

    def close(self) -> None:
        """All pods end and all cgroups below go."""
        ending = [threading.Thread(target=pod.end) for pod in self.pods]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()
        self._kubepods.rmdir()
        self._kubepods.parent.rmdir()


@contextmanager
def node(name: str) -> Iterator[Node]:
    """A node whose cgroups lie below the version 1 hierarchy of process numbers, or on version 2; only root can."""
    with group("pids", f"{name}-{os.getpid()}") as root:
        made = Node(root)
        try:
            yield made
        finally:
            made.close()
