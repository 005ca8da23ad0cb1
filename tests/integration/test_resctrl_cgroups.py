"""Threads of real cgroups: nested, threaded, of version 1 and 2; and of a storm of forks while they are put into a group."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from fakes.cgroup import ROOT, group
from fakes.resctrl_world import EmulatedWorld, ProcessPod
from harness.waiting import wait_until

from workers.resctrl.threads import CgroupThreads
from workers.runtime.kernel_tree import OpenKernelTree

HYBRID = ("systemd", "pids", "unified")
# Forks without pause. Most children end soon, and some of them fork before; every fifth tells its id and stays: once it runs,
# the counter of forks has seen it, and it can be looked for as long as one likes.
_STORM = """
import os, signal, time
count = 0
while True:
    count += 1
    if os.fork() == 0:
        if count % 5 == 0:
            os.write(1, b"%d\\n" % os.getpid())
            signal.pause()
        if count % 3 == 0:
            os.fork()
        time.sleep(0.01)
        os._exit(0)
    time.sleep(0.004)
    while os.waitpid(-1, os.WNOHANG)[0]:
        pass
"""
STORMS = 2


def _source(folder: Path) -> CgroupThreads:
    path = "/".join(folder.relative_to(ROOT).parts[1:])
    return CgroupThreads(OpenKernelTree(str(ROOT)), HYBRID, path)


@contextmanager
def _unified_group() -> Iterator[Path]:
    """A new group of version 2, with the ones below it; their processes go back to the root."""
    if os.geteuid() != 0 or not (ROOT / "unified" / "cgroup.procs").exists():
        pytest.skip(f"needs root and the hierarchy {ROOT / 'unified'}")
    folder = ROOT / "unified" / f"evergauge-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
    finally:
        # A process of threaded groups is listed by the group at their top.
        for pid in (folder / "cgroup.procs").read_text().split():
            (ROOT / "unified" / "cgroup.procs").write_text(pid)
        for directory, _names, _files in os.walk(folder, topdown=False):
            wait_until(partial(_removed, directory), f"{directory} is empty")


def _removed(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except OSError:
        return False
    return True


@contextmanager
def _pods(*threads: int) -> Iterator[list[ProcessPod]]:
    with ExitStack() as ending:
        pods = []
        for count in threads:
            pods.append(pod := ProcessPod(count))
            ending.callback(pod.end)
        yield pods


def test_nested_groups_of_version_1() -> None:
    """All threads of the processes in the group and in two depths below, and nobody else; each is listed as long as it lives."""
    with group("pids", f"nested-{uuid.uuid4().hex[:8]}") as folder, ExitStack() as ending:
        inner = folder / "system.slice" / "x.service"
        inner.mkdir(parents=True)
        ending.callback(inner.parent.rmdir)
        ending.callback(inner.rmdir)
        with _pods(1, 30, 5) as (top, below, stranger):
            (folder / "cgroup.procs").write_text(str(top.process.pid))
            (inner / "cgroup.procs").write_text(str(below.process.pid))
            source = _source(folder)

            assert source.threads() == top.threads() | below.threads()
            assert len(source.threads()) == 31
            assert not source.threads() & stranger.threads()
            below.start_threads(4)
            assert len(source.threads()) == 35
            below.end()
            wait_until(lambda: source.threads() == top.threads(), "the ended process is no longer listed")
        wait_until(lambda: source.threads() == frozenset(), "nobody is left")


def test_an_empty_group_and_none() -> None:
    """Before a container starts its group is empty; when it is over there is none, which is an error."""
    with group("pids", f"empty-{uuid.uuid4().hex[:8]}") as folder:
        source = _source(folder)
        assert source.threads() == frozenset()
    with pytest.raises(FileNotFoundError):
        source.threads()


def test_threaded_groups_of_version_2() -> None:
    """A process may deal its threads out to groups below; there the kernel refuses the list of processes, and all threads count."""
    with _unified_group() as folder, _pods(8) as (pod,):
        workers = folder / "workers"
        workers.mkdir()
        (folder / "cgroup.procs").write_text(str(pod.process.pid))
        (workers / "cgroup.type").write_text("threaded")
        dealt = sorted(pod.threads())[3:]
        for thread_id in dealt:
            (workers / "cgroup.threads").write_text(str(thread_id))

        with pytest.raises(OSError, match="not supported"):
            (workers / "cgroup.procs").read_text()
        assert _source(workers).threads() == set(dealt)
        assert _source(folder).threads() == pod.threads()


def test_groups_that_come_and_go_while_they_are_listed() -> None:
    """Whatever happens below, listing never fails, and threads that stay in the group are always listed."""
    with group("pids", f"coming-{uuid.uuid4().hex[:8]}") as folder, _pods(3) as (pod,):
        (folder / "cgroup.procs").write_text(str(pod.process.pid))
        done = threading.Event()

        def come_and_go() -> None:
            while not done.is_set():
                (folder / "a").mkdir()
                (folder / "a" / "b").mkdir()
                (folder / "a" / "b").rmdir()
                (folder / "a").rmdir()

        meddler = threading.Thread(target=come_and_go)
        meddler.start()
        try:
            source = _source(folder)
            assert all(source.threads() == pod.threads() for _ in range(300))
        finally:
            done.set()
            meddler.join()


@contextmanager
def _storms(folder: Path) -> Iterator[Callable[[], set[int]]]:
    """Storms in a cgroup; what they give tells which ids have been told so far, all of them alive until the end."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    command = [sys.executable, "-S", "-E", "-c", _STORM]
    told: set[int] = set()

    def listen() -> set[int]:
        # Shorter than PIPE_BUF, each number was written whole; and all are read in one go, or the rest the next time.
        with suppress(BlockingIOError):
            told.update(map(int, os.read(read, 1 << 16).split()))
        return told

    with ExitStack() as ending:
        ending.callback(os.close, read)
        for _storm in range(STORMS):
            storm = subprocess.Popen(
                command, stdout=write, start_new_session=True, preexec_fn=lambda: (folder / "cgroup.procs").write_text("0")
            )
            ending.callback(storm.wait)
            ending.callback(os.killpg, storm.pid, signal.SIGKILL)
        os.close(write)
        yield listen


def test_a_storm_of_forks_is_caught_while_it_blows() -> None:
    """Once a pass was clean, every running thread is in the group, whether it started before or after that."""
    with (
        group("pids", f"storm-{uuid.uuid4().hex[:8]}") as folder,
        EmulatedWorld("tiny") as world,
        _storms(folder) as told,
    ):
        wait_until(lambda: len(told()) > 10, "the storm blows")
        before = frozenset(told())
        path = world.groups.create_group("storm")

        result = world.groups.reconcile_group(path, _source(folder), max_passes=100)

        assert result.is_clean
        assert result.assigned > len(before)
        looks = 0
        while len(told()) < len(before) + 60 or looks < 10:
            running = frozenset(told())
            assert running - world.groups.list_group_tasks(path) == frozenset()
            looks += 1
