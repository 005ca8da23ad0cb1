"""The work of the worker, over a keeper in memory at the other end of a real client's methods."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.keeper_model import KeeperModel
from fakes.kernel_tree import MemoryTree
from fakes.outbox import RecordingOutbox

from agent.config import Config
from agent.model.backoff import Backoff
from agent.model.timebase import MS, S
from agent.ports import Interest, Operation
from workers.keeper.protocol import FromKeeper, Restart, ToKeeper, WorkloadSpec
from workers.unit.schema import UNIT_EVENT
from workers.workloads.core import WorkloadsCore
from workers.workloads.remembered_file import FILE_NAME, RememberedFile
from workers.workloads.restart_policy import RestartPolicy
from workers.workloads.table import WorkloadTable
from workers.workloads.work import KEEPER_SILENCE_NS, WorkloadsWork
from workers.workloads.worker import IDLE, WORKER

POLICY = RestartPolicy(Backoff(100 * MS, 2, 30 * S, 0), 60 * S)


class FakeKeeperClient:
    """What `workers.keeper.client.KeeperClient` shows its owner."""

    def __init__(self, keeper: KeeperModel) -> None:
        self.keeper = keeper
        self.is_connected = False
        self.connections = 0
        self.problem = "no keeper runs"
        self.said: list[FromKeeper] = []
        self.is_reachable = True
        self.is_closed = False

    def send(self, order: ToKeeper) -> bool:
        """The keeper answers at once."""
        assert self.is_connected
        self.said.append(self.keeper.answer(order))
        return True

    def take(self) -> Sequence[FromKeeper]:
        """What it has said."""
        said, self.said = self.said, []
        return said

    def interests(self) -> tuple[Interest, ...]:
        """One descriptor."""
        return (Interest(7),) if self.is_connected else ()

    def next_deadline_ns(self) -> int | None:
        """At once, without a connection."""
        return None if self.is_connected else 0

    def on_timer(self, now_ns: int) -> None:
        """Connect."""
        if not self.is_connected and self.is_reachable:
            self.is_connected = True
            self.connections += 1
            self.problem = ""

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Nothing but what `take` gives."""

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """It is let go."""
        self.is_closed = True


class WorkStory:
    """A work and its surroundings."""

    def __init__(self, folder: Path, described: dict[str, WorkloadSpec] | None = None) -> None:
        self.clock = FakeClock(1 * S)
        self.bus = RecordingBus()
        self.outbox = RecordingOutbox()
        self.keeper = KeeperModel()
        self.client = FakeKeeperClient(self.keeper)
        self.tree = MemoryTree()
        self.file = RememberedFile(str(folder))
        remembered, _problem = self.file.read()
        table = WorkloadTable(described or {}, POLICY, Random(1), remembered, self.keeper.boot_id)
        self.work = WorkloadsWork(
            WorkloadsCore(table),
            self.client,  # type: ignore[arg-type]  # it has what the work uses
            self.file,
            clock=self.clock,
            bus=self.bus,
            outbox=self.outbox,
            tree=lambda: self.tree,
        )
        self.numbers = 0

    def turn(self) -> None:
        """The loop turns until nothing more is said."""
        for _ in range(5):
            self.work.on_readable(7, self.clock.now_ns())

    def ask(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """An operation and its answer."""
        self.numbers += 1
        assert self.work.on_operation(Operation(self.numbers, operation, arguments), self.clock.now_ns()) is None
        self.turn()
        ((number, body),) = self.work.take_answers()
        assert number == self.numbers
        return body


@pytest.fixture
def story(tmp_path: Path) -> WorkStory:
    """A work that has started."""
    made = WorkStory(tmp_path)
    made.work.on_start(made.clock.now_ns())
    made.turn()
    return made


def test_run_list_end_and_forget(story: WorkStory, tmp_path: Path) -> None:
    """The end is a row and an event, and what is told is remembered."""
    assert story.ask("run-workload", workload={"name": "a", "argv": ["x"]})["state"] == "running"
    story.tree.put("evergauge-workloads/a.workload/cpu.stat", b"usage_usec 2500000\nuser_usec 1\n")
    story.tree.put("evergauge-workloads/a.workload/memory.current", b"4096\n")
    (row,) = story.ask("list-workloads")["workloads"]
    assert (row["cpu_seconds"], row["memory_bytes"]) == (2.5, 4096)
    story.client.said.append(story.keeper.end("a", code=3))
    story.turn()
    start, end = story.outbox.records(UNIT_EVENT)
    assert (start["event"], start["unit"], start["sequence"]) == ("started", end["unit"], 1)
    assert (end["event"], end["exit_code"], end["sequence"]) == ("ended", 3, 1)
    assert [note.kind for note in story.bus.notes] == ["workload_started", "workload_ended"]
    assert json.loads((tmp_path / FILE_NAME).read_bytes()) == {"told": {"a": 1}, "held": {}}
    assert story.work.stats()["states"] == {"ended": 1}
    assert story.ask("forget-workload", name="a")["state"] == "forgotten"
    assert json.loads((tmp_path / FILE_NAME).read_bytes()) == {"told": {}, "held": {}}


def test_a_use_that_cannot_be_read_is_absent(story: WorkStory) -> None:
    """It may just have ended, or its kernel has no such file for it."""
    story.ask("run-workload", workload={"name": "a", "argv": ["x"]})
    story.tree.put("evergauge-workloads/a.workload/cpu.stat", b"nonsense")
    (row,) = story.ask("list-workloads")["workloads"]
    assert (row["cpu_seconds"], row["memory_bytes"]) == (None, None)


def test_a_keeper_that_is_silent_is_a_condition(tmp_path: Path) -> None:
    """After a moment, with the reason; it ends with the connection, and what waits for a start is started."""
    story = WorkStory(tmp_path, {"web": WorkloadSpec("web", ("serve",), restart=Restart.ALWAYS)})
    story.client.is_reachable = False
    story.work.on_start(story.clock.now_ns())
    story.clock.advance(KEEPER_SILENCE_NS)
    story.work.on_timer(story.clock.now_ns())
    (condition,) = story.bus.conditions
    assert (condition.kind, condition.active, condition.blocks_ready) == ("keeper", True, False)
    assert "no keeper runs" in condition.detail
    story.client.is_reachable = True
    story.turn()
    assert not story.bus.conditions[-1].active
    assert "web" in story.keeper.processes


def test_a_lost_keeper_is_listed_again(story: WorkStory) -> None:
    """What it did meanwhile is known then."""
    story.ask("run-workload", workload={"name": "a", "argv": ["x"], "restart": "always"})
    story.client.is_connected = False
    story.client.is_reachable = False
    story.turn()
    story.keeper.end("a", code=1)
    story.client.is_reachable = True
    story.turn()
    assert story.keeper.records["a"].incarnation == 2


def test_what_cannot_be_started_or_has_changed_is_a_condition(tmp_path: Path) -> None:
    """With the sentence; neither makes the agent unready."""
    story = WorkStory(tmp_path, {"web": WorkloadSpec("web", ("gone",))})
    story.keeper.missing.add("gone")
    story.work.on_start(story.clock.now_ns())
    story.turn()
    assert [(each.kind, each.blocks_ready) for each in story.bus.conditions] == [("workload_refused", False)]
    story.keeper.missing.clear()
    story.clock.advance(1 * S)
    story.work.on_timer(story.clock.now_ns())
    story.turn()
    assert not story.bus.conditions[-1].active
    later = WorkStory(tmp_path, {"web": WorkloadSpec("web", ("gone", "--fast"))})
    later.keeper.records, later.keeper.processes = story.keeper.records, story.keeper.processes
    later.work.on_start(later.clock.now_ns())
    later.turn()
    assert [each.kind for each in later.bus.conditions] == ["workload_changed"]


def test_rows_that_do_not_fit_are_counted(story: WorkStory) -> None:
    """A full buffer loses them, and says so."""
    story.ask("run-workload", workload={"name": "a", "argv": ["x"]})
    story.outbox.is_full = True
    story.client.said.append(story.keeper.end("a", code=0))
    story.turn()
    assert story.work.stats()["lost_rows"] == 1


def test_the_end_of_the_worker_is_not_the_end_of_workloads(story: WorkStory) -> None:
    """The keeper is let go, and nothing is told to it."""
    story.ask("run-workload", workload={"name": "a", "argv": ["x"]})
    story.work.on_stop(story.clock.now_ns(), for_good=True)
    assert (story.client.is_closed, story.work.is_done(), "a" in story.keeper.processes) == (True, True, True)
    assert (story.work.next_deadline_ns(), story.work.interests()) == (None, ())
    story.work.on_timer(story.clock.now_ns())


def test_a_file_that_cannot_be_written_is_a_condition(tmp_path: Path) -> None:
    """Workloads run nevertheless."""
    (tmp_path / f"{FILE_NAME}.new").mkdir()
    story = WorkStory(tmp_path)
    story.work.on_start(story.clock.now_ns())
    story.turn()
    story.ask("run-workload", workload={"name": "a", "argv": ["x"]})
    story.ask("stop-workload", name="a")
    assert [each.kind for each in story.bus.conditions if each.active] == ["workloads_not_remembered"]
    assert story.keeper.stopping == {"a"}


def test_damage_of_the_file_is_told_and_starts_from_nothing(tmp_path: Path) -> None:
    """Endings are written once more, under the same keys."""
    file = RememberedFile(str(tmp_path))
    assert file.read()[1] == ""
    (tmp_path / FILE_NAME).write_bytes(b"{")
    assert FILE_NAME in file.read()[1]
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    assert "cannot be read" in file.read()[1]


def test_the_worker_sleeps_without_descriptions_and_records(tmp_path: Path) -> None:
    """A record of an earlier run wakes it at the agent's start."""
    config = Config({"state_dir": str(tmp_path)})
    assert WORKER.idle_reason(config) == IDLE
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "keeper.log").touch()
    assert WORKER.idle_reason(config) == IDLE
    (tmp_path / "workloads" / "a.json").touch()
    assert WORKER.idle_reason(config) == ""
    assert WORKER.idle_reason(Config({"state_dir": "/nowhere"}, {"a": {"command": ["x"]}})) == ""
