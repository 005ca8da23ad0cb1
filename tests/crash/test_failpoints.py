"""Every named failpoint, found in the source and killed once in a living agent: whatever the moment, all is well again after it."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from fakes.convergence import assert_converged
from fakes.failpoints import arm, failpoints
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

# Where the disk can fail instead of the process: a refusal there must not harm either.
DURABLE_STEPS = ("document.", "spool.", "sealer.")
STIMULI_ROUNDS_MAX = 6


# Those of monitoring groups need a resctrl, those of the plugin a container runtime, those of compaction a finished day, those of
# exports a sink, those of state files a hub, and others a fleet's store: `test_resctrl_failpoints.py`, `test_nri_failpoints.py`,
# `test_compaction_failpoints.py`, `test_export_failpoints.py`, `test_hub_failpoints.py` and `test_lake_kills.py` kill them. The id
# of an installation is made once: `test_install.py` does so. The keeper is no process of the agent: `test_keeper_crashes.py`.
# Mergers need a broker: `test_merger_failpoints.py`.
ELSEWHERE = (
    *("resctrl.", "compactor.", "install.", "nri.", "keeper.", "cursor.", "snapshot.", "kept.", "keeping.", "object."),
    *("state_file.", "lake.", "compact.", "clean.", "merger.", "kafka."),
)
FAILPOINTS = sorted(point for point in failpoints() if not point.startswith(ELSEWHERE))


class Ordeal:
    """An agent that is pushed through everything it does until it meets a failpoint."""

    def __init__(self, folder: Path) -> None:
        self.points = folder / "points"
        self.points.mkdir()
        # Crashes follow one another: no backoff of seconds here.
        flags = {
            "--supervisor-backoff-base": "5ms",
            "--supervisor-stable-period": "50ms",
            "--outbox-buffer-bytes": "1MiB",
            # So long a worker that hangs in its start is waited for; ten seconds by default.
            "--supervisor-start-timeout": "4s",
        }
        self.agent = AgentProcess(folder, flags=flags, failpoints=self.points)
        self.promised: set[str] = set()
        self._rules = 0

    def arm(self, point: str, order: str) -> Path:
        """Put the order where the first process that passes the point finds it; gives the file that goes when it is met."""
        return arm(self.points, point, order)

    def meet(self, armed: Path) -> None:
        """Do everything there is to do, again and again, until the point is met."""
        stimuli = (
            self._add_rule,
            self._kill_workers,
            self._restart_worker,
            self._rotate,
            self._kill_supervisor,
            self._kill_fork_server,
            self._unname_fork_server,
        )
        for _ in range(STIMULI_ROUNDS_MAX):
            for stimulus in stimuli:
                self._revive()
                # A supervisor that dies in the middle of a question leaves it without an answer.
                with suppress(OSError, ValueError, RuntimeError, KeyError):
                    stimulus()
                if self._is_met(armed):
                    self._revive()
                    return
        raise AssertionError(f"{armed.name} was never passed")

    def _is_met(self, armed: Path) -> bool:
        with suppress(AssertionError):
            wait_until(lambda: not armed.exists(), "met", seconds=0.15)
        return not armed.exists()

    def _revive(self) -> None:
        """Start the supervisor again when it has died, as a service manager would; it may die once more while it starts."""
        assert self.agent.process is not None
        for _ in range(3):
            if self.agent.process.poll() is None:
                with suppress(AssertionError):
                    wait_until(self.agent.is_ready, "ready")
                    self.agent.note_processes()
                    return
            self.agent.process.wait(1.0) if self.agent.process.poll() is not None else None
            self.agent.start(ready=False)
        wait_until(self.agent.is_ready, "ready after a third start")

    def _add_rule(self) -> None:
        self._rules += 1
        name = f"rule-{self._rules}"
        self.agent.call("add-rule", rule={"name": name})
        self.promised.add(name)

    def _kill_workers(self) -> None:
        for name in ("sampler/process", "writer"):
            self.agent.kill_worker(name)

    def _restart_worker(self) -> None:
        self.agent.call("restart-worker", name="gateway")

    def _rotate(self) -> None:
        self.agent.call("rotate")

    def _kill_fork_server(self) -> None:
        self.agent.fork_server().kill()

    def _unname_fork_server(self) -> None:
        for path in (self.agent.runtime_dir / "fork").glob("listener-*"):
            path.unlink()

    def _kill_supervisor(self) -> None:
        assert self.agent.process is not None
        self.agent.process.send_signal(signal.SIGKILL)
        self.agent.process.wait()


@pytest.fixture
def ordeal(tmp_path: Path) -> Iterator[Ordeal]:
    """A living agent; at the end it stops cleanly and leaves nothing behind."""
    ordeal = Ordeal(tmp_path)
    ordeal.agent.start()
    yield ordeal
    ordeal.agent.end()
    ordeal.agent.assert_nothing_left()


def _assert_well(ordeal: Ordeal) -> None:
    assert_converged(ordeal.agent)
    held = {rule["name"] for rule in ordeal.agent.call("list-rules")["rules"]}
    assert ordeal.promised <= held, "a rule that was answered for is in force"


def _duplicates(state_dir: Path) -> list[tuple[Any, ...]]:
    keys: Counter[tuple[Any, ...]] = Counter()
    for path in state_dir.glob("data/process/date=*/*.parquet"):
        table = pyarrow.parquet.ParquetFile(path).read(columns=["timestamp", "pid", "start_ticks"])
        keys.update(zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True))
    return [key for key, count in keys.items() if count > 1]


def test_the_names_of_failpoints_are_unique() -> None:
    """A name stands for one moment, and there are points on both sides and around every durable step."""
    assert [name for name, count in Counter(FAILPOINTS).items() if count > 1] == []
    rooms = {name.partition(".")[0] for name in FAILPOINTS}
    assert {
        "worker",
        "supervisor",
        "launcher",
        "takeover",
        "document",
        "control",
        "spool",
        "writer",
        "sealer",
        "outbox",
    } <= rooms


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_process_that_is_killed_at_this_point_does_no_harm(ordeal: Ordeal, point: str) -> None:
    """Anyone who passes it dies there; then workers, rules and digests are as if nothing had been."""
    ordeal.meet(ordeal.arm(point, "kill"))
    _assert_well(ordeal)
    ordeal.agent.end()
    assert _duplicates(ordeal.agent.state_dir) == []


@pytest.mark.parametrize("point", [name for name in FAILPOINTS if name.startswith(DURABLE_STEPS)])
def test_a_full_disk_at_this_point_does_no_harm(ordeal: Ordeal, point: str) -> None:
    """ENOSPC instead of death: what was not promised may be lost, what was promised is not, and everything goes on."""
    ordeal.meet(ordeal.arm(point, "error ENOSPC"))
    _assert_well(ordeal)
    ordeal.agent.end()
    assert _duplicates(ordeal.agent.state_dir) == []


@pytest.mark.parametrize("point", [name for name in FAILPOINTS if name.startswith("worker.")])
def test_a_worker_that_hangs_at_this_point_is_replaced(ordeal: Ordeal, point: str) -> None:
    """A loop that holds the interpreter, at the same moments."""
    ordeal.meet(ordeal.arm(point, "hang"))
    _assert_well(ordeal)


def test_a_failpoint_costs_nothing_when_none_is_armed() -> None:
    """One comparison: a thousand of them take less than a millisecond, in the best of some rounds."""
    code = "from timeit import repeat; from time import thread_time_ns as t; from agent.failpoint import failpoint as f\n"
    command = [sys.executable, "-c", code + "print(min(repeat(lambda: f('x'), timer=t, number=1000)))"]
    taken = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(taken.stdout) < 1_000_000
