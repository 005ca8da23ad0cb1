"""The plugin against a runtime at a real socket: registration, starts with their deadline, and every end of a connection."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes.nri_dialect import container_of, pod_of
from fakes.nri_runtime import NriRuntime
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.model.timebase import MS
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import LinkState, RuntimeWire, StartOutcome
from workers.control_plane.container_runtime.link import RuntimeLink
from workers.control_plane.container_runtime.start_assignment import ContainerStart
from workers.control_plane.nri.plugin import NriPlugin
from workers.control_plane.nri.runtime_socket import RuntimeSocket

DEADLINE_MS = 100


class ScriptedWork:
    """`StartWork` that does what the test says."""

    def __init__(self) -> None:
        self.tasks: list[ContainerStart] = []
        self.before: Callable[[], object] = lambda: None
        self.outcome = StartOutcome("g", path="mon_groups/pod_g", is_whole=True, threads=3)

    def carry_out(self, task: ContainerStart) -> None:
        """Note it, wait as told, and say what came of it."""
        self.tasks.append(task)
        self.before()
        task.outcome = self.outcome

    def on_idle(self) -> None:
        """Nothing is held."""


class Side:
    """One agent's side: its link, its plugin, and what the link was told."""

    def __init__(self, path: Path, work: ScriptedWork | None = None, deadline_ms: int = DEADLINE_MS) -> None:
        self.link = RuntimeLink(Binder([]))
        self.deaths: list[str] = []
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
        """How the way to the runtime stands."""
        return next((state for state in self.link.take().states if state.wire is RuntimeWire.NRI), None)

    @property
    def problem(self) -> str:
        """Its sentence; empty while there is none."""
        return "" if self.state is None else self.state.problem

    def stats(self) -> dict[str, Any]:
        """The plugin's counts."""
        return self.plugin.stats()

    def wait_problem(self, words: str) -> str:
        """The sentence, once it has these words."""
        wait_until(lambda: words in self.problem, f"{words!r} in the sentence, which is {self.problem!r}")
        return self.problem


@contextmanager
def running(path: Path, work: ScriptedWork | None = None, deadline_ms: int = DEADLINE_MS) -> Iterator[Side]:
    """A plugin that runs until the end of the block; none of its threads may have died of a bug."""
    side = Side(path, work, deadline_ms)
    side.plugin.start()
    try:
        yield side
    finally:
        side.plugin.stop()
    assert side.deaths == []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the runtime listens."""
    return tmp_path / "nri.sock"


def test_everything_that_there_is_comes_at_registration(path: Path) -> None:
    """Pods and containers from before are known once the runtime has taken the plugin."""
    with NriRuntime(path) as runtime:
        pods = [pod_of(number) for number in range(3)]
        for pod in pods:
            runtime.start_pod(pod, container_of(pod, 0))
        with running(path) as side:
            runtime.wait_plugin()
            wait_until(lambda: len(side.link.pods()) == 3, "three pods")

            assert {str(pod.uid) for pod in pods} == set(side.link.pods())
            assert side.state == LinkState(RuntimeWire.NRI, is_connected=True, runtime="containerd 2.4.2")
            assert side.stats()["stage"] == "connected"
        assert runtime.failed_operations == []
