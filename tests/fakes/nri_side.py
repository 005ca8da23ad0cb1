"""The agent's side of NRI in this process: a link, a plugin, and what the link was told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.model.timebase import MS
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import LinkState, RuntimeWire, StartOutcome
from workers.control_plane.container_runtime.link import GroupSnapshot, RuntimeLink, StartedContainer
from workers.control_plane.container_runtime.start_assignment import ContainerStart, StartAssignment
from workers.control_plane.container_runtime.start_thread import StartWork
from workers.control_plane.nri.plugin import NriPlugin
from workers.control_plane.nri.runtime_socket import RuntimeSocket
from workers.resctrl.filesystem import MountedFilesystem
from workers.runtime.kernel_tree import OpenKernelTree

DEADLINE_MS = 100
# No start waits for so long: for tests of starts that have all the time they need, on a machine that may stand still.
PATIENT_MS, PATIENT_SECONDS = 10_000, 30.0


class ScriptedWork:
    """`StartWork` that does what the test says."""

    def __init__(self) -> None:
        self.tasks: list[ContainerStart] = []
        self.before: Callable[[], object] = lambda: None
        self.outcome = StartOutcome("g", path="mon_groups/pod_g", is_whole=True, threads=3)

    def carry_out(self, task: ContainerStart) -> None:
        """Note it, do what comes before, and say what came of it."""
        self.tasks.append(task)
        self.before()
        task.outcome = self.outcome

    def on_idle(self) -> None:
        """Nothing is held."""


class _ToldLink(RuntimeLink):
    """A link that keeps every state that it was told: the next one may be told before anybody looks."""

    def __init__(self) -> None:
        super().__init__(Binder([]))
        self.told: list[LinkState] = []

    def tell_state(self, state: LinkState) -> None:
        self.told.append(state)
        super().tell_state(state)


class Side:
    """One plugin with its link. `deaths` has the threads that ended by a bug."""

    def __init__(self, path: Path | str, work: StartWork | None, deadline_ms: int) -> None:
        self.link = _ToldLink()
        self.deaths: list[str] = []
        self.outcomes: list[StartedContainer] = []
        self.plugin = NriPlugin(
            self.link,
            SystemClock(),
            RuntimeSocket(str(path), lambda: "containerd"),
            work,
            deadline_ns=deadline_ms * MS,
            rng=Random(1),
            end_process=lambda: self.deaths.append(threading.current_thread().name),
        )

    @property
    def state(self) -> LinkState | None:
        """The state of the connection to the runtime."""
        news = self.link.take()
        self.outcomes += news.outcomes
        return next((state for state in news.states if state.wire is RuntimeWire.NRI), None)

    @property
    def problem(self) -> str:
        """Its sentence; empty while there is none."""
        return "" if (state := self.state) is None else state.problem

    def stats(self) -> dict[str, Any]:
        """The plugin's counts."""
        return self.plugin.stats()

    def wait_problem(self, words: str) -> str:
        """The sentence that had these words, once one was told; by now another one may hold."""
        return wait_until(
            lambda: next((each.problem for each in list(self.link.told) if words in each.problem), ""), f"a sentence with {words!r}"
        )

    def wait_outcomes(self, count: int) -> list[StartOutcome]:
        """What was reported about starts, once there are so many reports."""
        wait_until(lambda: self.state is not None and len(self.outcomes) >= count, f"{count} outcomes, of {self.outcomes}")
        return [each.outcome for each in self.outcomes]


@contextmanager
def running(path: Path | str, work: StartWork | None = None, deadline_ms: int = DEADLINE_MS) -> Iterator[Side]:
    """A plugin that runs until the end of the block; none of its threads may have died of a bug."""
    side = Side(path, work, deadline_ms)
    side.plugin.start()
    try:
        yield side
    finally:
        side.plugin.stop()
    assert side.deaths == []


@contextmanager
def placing(path: Path, mount: Path, cgroup_root: Path, deadline_ms: int = DEADLINE_MS) -> Iterator[Side]:
    """The same with the true fast path over a mounted resctrl and a cgroup tree."""
    filesystem = MountedFilesystem(str(mount))
    snapshots: list[GroupSnapshot] = [GroupSnapshot(Binder([]), {}, is_measured=True)]
    work = StartAssignment(lambda: snapshots[-1], filesystem, OpenKernelTree(str(cgroup_root)), OpenKernelTree("/proc"))
    with running(path, work, deadline_ms) as side:
        side.link.snapshot = snapshots[-1]
        yield side
    filesystem.forget()
