"""A host with a resctrl and pods on it: one in memory with a clock of the test, one mounted with real processes.

The same stories are told on both; what a story may ask of its world is `World`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, Self

import pytest
from fakes.clock import FakeClock
from fakes.memory_resctrl import MemoryResctrl
from fakes.resctrl_mount import EmulatedResctrl
from fakes.thread_table import ThreadTable
from harness.waiting import wait_until

from agent.model.timebase import MS, S
from workers.resctrl.emulator.profile import Profile
from workers.resctrl.filesystem import MountedFilesystem
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.ports import Filesystem
from workers.resctrl.problem import ResctrlError

# A limbo worker looks once a second whether the cache has forgotten an id.
LIMBO_NS = 1100 * MS


class Interposed:
    """A file system before which something happens: `before(operation, path)` may act, or raise an OSError.

    Files named in `answers` are not read but have that content.
    """

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem
        self.before: Callable[[str, str], None] = lambda operation, path: None
        self.calls: list[tuple[str, str]] = []
        self.answers: dict[str, bytes] = {}

    def over(self, filesystem: Filesystem) -> "Interposed":
        """From now on it stands before another one."""
        self._filesystem = filesystem
        return self

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._filesystem, name)
        if not callable(value):
            return value

        def call(path: str = "", *more: Any) -> Any:
            self.calls.append((name, path))
            self.before(name, path)
            if name == "read" and path in self.answers:
                return self.answers[path]
            return value(path, *more) if name in _WITH_PATH else value()

        return call


_WITH_PATH = frozenset({"mkdir", "rmdir", "list_directories", "read", "write", "open", "read_open", "close"})


class Pod(Protocol):
    """Threads that belong together; a `workers.resctrl.ports.ThreadSource`."""

    def threads(self) -> frozenset[int]: ...

    def start_threads(self, count: int) -> None:
        """More threads, made by the pod itself."""
        ...

    def end(self) -> None:
        """All threads end."""
        ...


class World(Protocol):
    """What a story needs. `other` is the view of another program on the same mount."""

    filesystem: Interposed
    other: Filesystem
    groups: MonitoringGroups

    def pod(self, threads: int = 3) -> Pod: ...

    def pass_limbo(self) -> None:
        """Let the cache forget what removed groups held."""
        ...

    def make_groups(self, prefix: str = "pod_", filesystem: Filesystem | None = None) -> MonitoringGroups:
        """Another user of the library on the same mount."""
        ...

    def unmount(self) -> None: ...

    def mount_again(self) -> None: ...

    def make_read_only(self) -> None: ...


class MemoryWorld:
    """Everything by the rules of the emulator, in memory."""

    def __init__(self, profile: Profile | str) -> None:
        self.clock = FakeClock()
        self.table = ThreadTable([1])
        self.resctrl = MemoryResctrl(self.table, self.clock, profile)
        self.filesystem = Interposed(self.resctrl)
        self.other: Filesystem = self.resctrl.view()
        self.groups = self.make_groups()
        self.next_id = 100

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        assert self.resctrl.host.lock_holder is None, "somebody has kept the lock"

    def make_groups(self, prefix: str = "pod_", filesystem: Filesystem | None = None) -> MonitoringGroups:
        return MonitoringGroups(
            filesystem or self.filesystem,
            prefix,
            now_ns=self.clock.now_ns,
            sleep_seconds=lambda seconds: self.clock.advance(round(seconds * S)),
        )

    def pod(self, threads: int = 3) -> "MemoryPod":
        return MemoryPod(self, threads)

    def fork(self, parent: int, *, uid: int = 0) -> int:
        """A thread begins as a copy of another."""
        self.next_id += 1
        self.table.start(self.next_id, uid=uid)
        if self.resctrl.host.emulation is not None:
            self.resctrl.host.emulation.on_fork(parent, self.next_id, self.clock.advance(1))
        return self.next_id

    def exit(self, thread_id: int) -> None:
        """A thread ends."""
        self.table.end(thread_id)
        if self.resctrl.host.emulation is not None:
            self.resctrl.host.emulation.on_exit(thread_id, self.clock.advance(1))

    def pass_limbo(self) -> None:
        self.resctrl.emulation.on_timer(self.clock.advance(LIMBO_NS))

    def unmount(self) -> None:
        self.resctrl.host.unmount()

    def mount_again(self) -> None:
        self.resctrl.host.mount()

    def make_read_only(self) -> None:
        self.resctrl.host.is_read_only = True


class MemoryPod:
    """Threads in the table of a `MemoryWorld`."""

    def __init__(self, world: MemoryWorld, threads: int) -> None:
        self._world = world
        self.living = {world.fork(1)}
        self.start_threads(threads - 1)

    def threads(self) -> frozenset[int]:
        return frozenset(self.living)

    def start_threads(self, count: int) -> None:
        for _thread in range(count):
            self.living.add(self._world.fork(max(self.living)))

    def end(self) -> None:
        for thread_id in self.living:
            self._world.exit(thread_id)
        self.living.clear()


# Reads how many threads to start, answers when they run, and ends with its input.
_PROGRAM = """
import sys, threading
end = threading.Event()
for line in sys.stdin:
    for _ in range(int(line)):
        threading.Thread(target=end.wait, daemon=True).start()
    print("started", flush=True)
"""


class ProcessPod:
    """A real process with real threads."""

    def __init__(self, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.start_threads(threads - 1)

    def threads(self) -> frozenset[int]:
        try:
            return frozenset(map(int, os.listdir(f"/proc/{self.process.pid}/task")))
        except (FileNotFoundError, ProcessLookupError):
            return frozenset()

    def start_threads(self, count: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"%d\n" % count)
        assert self.process.stdout.readline() == b"started\n"

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class EmulatedWorld:
    """A mounted emulator and real processes. With `open_to_all` every user may pass through to the mount."""

    def __init__(self, profile: str = "tiny", *, open_to_all: bool = False) -> None:
        self._profile = profile
        self._ending = ExitStack()
        self._open_to_all = open_to_all

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            folder = Path(ending.enter_context(TemporaryDirectory(prefix="evergauge-")))
            if self._open_to_all:
                folder.chmod(0o755)
            self._emulator = ending.enter_context(EmulatedResctrl(folder, self._profile))
            root = str(self._emulator.mount)
            views = MountedFilesystem(root), MountedFilesystem(root)
            for view in views:
                ending.callback(view.forget)
            self.filesystem = Interposed(views[0])
            self.other: Filesystem = views[1]
            self.groups = self.make_groups()
            self._ending = ending.pop_all()
        return self

    def __exit__(self, *failure: Any) -> None:
        self._ending.__exit__(*failure)

    def make_groups(self, prefix: str = "pod_", filesystem: Filesystem | None = None) -> MonitoringGroups:
        return MonitoringGroups(filesystem or self.filesystem, prefix)

    def pod(self, threads: int = 3) -> ProcessPod:
        pod = ProcessPod(threads)
        self._ending.callback(pod.end)
        return pod

    def pass_limbo(self) -> None:
        wait_until(lambda: not self._emulator.control({"do": "truth"})["rmids"]["limbo"], "no id is in limbo")

    def unmount(self) -> None:
        """Lazily, for the views keep it open; its server ends too."""
        assert self._emulator.end() == 0

    def mount_again(self) -> None:
        self._emulator.start()

    def make_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,bind,ro", self.filesystem.root], check=True)


def outside(world: World, path: str, pod: Pod) -> frozenset[int]:
    """The pod's threads that another program does not see in the group: those that still live in a second look."""
    wanted = pod.threads()
    inside = frozenset(map(int, world.other.read(f"{path}/tasks", 1 << 25).split()))
    return (wanted - inside) & pod.threads()


@contextmanager
def foreign_lock(filesystem: Filesystem) -> Iterator[None]:
    """Another program holds the lock of the root directory."""
    wait_until(filesystem.try_lock, "the lock is free")
    try:
        yield
    finally:
        filesystem.unlock()


@contextmanager
def resting(world: World) -> Iterator[None]:
    """While this lasts no id that rests comes free, however long that takes: the cache has forgotten it below a threshold of 0."""
    place = "info/L3_MON/max_threshold_occupancy"
    usual = world.other.read(place, 100)
    world.other.write(place, b"0\n")
    try:
        yield
    finally:
        world.other.write(place, usual)


MakeWorld = Callable[[str], World]


@contextmanager
def worlds(kind: str) -> Iterator[MakeWorld]:
    """Makes worlds of one kind, `memory` or `emulated`, by the name of a profile; everything in them ends with the context."""
    with ExitStack() as made:

        def make(profile: str) -> World:
            if kind == "memory":
                return made.enter_context(MemoryWorld(profile))
            return made.enter_context(EmulatedWorld(profile))

        yield make


class Told:
    """A thread source that tells what it is told to, one answer after the other; the last one stays."""

    def __init__(self, *answers: frozenset[int] | Callable[[], frozenset[int]] | OSError) -> None:
        self._answers = list(answers)

    def threads(self) -> frozenset[int]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer() if callable(answer) else answer


def refusal_of(operation: Callable[[], object]) -> ResctrlError:
    """The failure in which an operation ends."""
    with pytest.raises(ResctrlError) as caught:
        operation()
    return caught.value
