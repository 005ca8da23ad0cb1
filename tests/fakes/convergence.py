"""What must hold after every fault: all workers are up and hold the rules, nobody is left over, nothing has leaked."""

import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple, Self

import psutil
from harness.agent_process import AgentProcess
from harness.control_connection import ControlConnection, Refused
from harness.pressure import FairSpan
from harness.proc import descriptor_kinds
from harness.waiting import DEADLINE_SECONDS, PAUSE_SECONDS, SLOWNESS, wait_until

from agent.config import SPARE_WORKERS

SPARE_NAME = "eg:spare"
# What an answer may take while the world burns; the daily figure is far below and is the benchmark's to hold.
ANSWER_SECONDS_MAX = 0.5 * SLOWNESS
POLL_PAUSE_SECONDS = PAUSE_SECONDS
# So many equal counts in a row, five milliseconds and what a count takes apart: on a busy machine the supervisor may take a
# tenth of a second for the last step with a new process.
CALM_LOOKS = 20


class Census(NamedTuple):
    """What the supervisor and its fork server have: open descriptors by kind, threads, children that are dead and not reaped."""

    descriptors: Counter[str]
    threads: int
    zombies: int

    def excess_over(self, before: "Census") -> dict[str, int]:
        """What there is more than before, by name; empty: nothing has leaked."""
        more = dict(self.descriptors - before.descriptors)
        counts = {"threads": self.threads - before.threads, "zombies": self.zombies - before.zombies}
        return more | {name: count for name, count in counts.items() if count > 0}


def take_census(agent: AgentProcess) -> Census:
    """Count in calm: nobody is missing in the reserve, and nothing changes any more. Compare with it after the storm."""
    _wait_for_reserve(agent)
    seen = [_count(agent)]

    def is_calm() -> bool:
        seen.append(_count(agent))
        return len(seen) > CALM_LOOKS and all(each == seen[-1] for each in seen[-CALM_LOOKS:])

    wait_until(is_calm, "nothing changes any more")
    return seen[-1]


def _wait_for_reserve(agent: AgentProcess) -> None:
    wait_until(lambda: len(spares(agent)) == SPARE_WORKERS.default, "the reserve is complete")


def _count(agent: AgentProcess) -> Census:
    assert agent.process is not None
    supervisor, server = psutil.Process(agent.process.pid), agent.fork_server()
    descriptors: Counter[str] = Counter()
    for role, process in (("supervisor", supervisor), ("fork server", server)):
        for kind, count in descriptor_kinds(process.pid).items():
            descriptors[f"{role} {kind}"] += count
    zombies = [each for each in [*supervisor.children(), *server.children()] if _is_zombie(each)]
    return Census(descriptors, supervisor.num_threads() + server.num_threads(), len(zombies))


def assert_converged(agent: AgentProcess, before: Census | None = None, *, seconds: float = DEADLINE_SECONDS) -> None:
    """Within the time: every worker is up and says itself that it holds the rules in force; no process too many; no leak.

    `before` is a census, taken with as many connections of the test's own.
    """
    wait_until(lambda: not _not_up(agent), f"all workers are up and in sync, not {_not_up(agent)}", seconds=seconds)
    for name in agent.workers():
        assert_holds_the_rules(agent, name)
    strangers = wait_until_only_workers(agent)
    assert strangers == [], f"nobody but the workers lives: {strangers}"
    if before is not None:
        # Without it a leak of as many descriptors as it has would not be seen.
        _wait_for_reserve(agent)
        # Connections of the tests' own that have just been closed are given back at the supervisor's next turn.
        wait_until(lambda: not _count(agent).excess_over(before), f"no leak, not {_count(agent).excess_over(before)}")


def assert_holds_the_rules(agent: AgentProcess, name: str) -> None:
    """A worker itself says that it holds exactly what is in force; rules may be changing meanwhile, so this is waited for."""

    def is_equal() -> bool:
        with suppress(RuntimeError):
            # RuntimeError: not up at this moment.
            return bool(agent.call("worker-state", name=name)["digest"] == agent.call("list-rules")["digest"])
        return False

    wait_until(is_equal, f"{name} holds the rules in force")


def spares(agent: AgentProcess) -> list[psutil.Process]:
    """The processes that wait to take the place of a worker that dies."""
    with suppress(psutil.NoSuchProcess, ValueError):
        # ValueError: there is no fork server at this moment, or a second one.
        return [each for each in agent.fork_server().children() if _name(each) == SPARE_NAME]
    return []


def wait_until_only_workers(agent: AgentProcess, *, seconds: float = DEADLINE_SECONDS) -> list[str]:
    """Who, after this time at the latest, lives below the supervisor and is neither fork server nor worker nor in reserve."""
    end = time.monotonic() + seconds
    while (strangers := _strangers(agent)) and time.monotonic() < end:
        time.sleep(POLL_PAUSE_SECONDS)
    return strangers


class Pollster:
    """Asks list-workers all the time while it is entered, over one connection; remembers the last and the slowest answer.

    Its connection is a descriptor of the supervisor: a census that is to be compared is taken without it, or with it twice.
    """

    def __init__(self, agent: AgentProcess, *, pause_seconds: float = POLL_PAUSE_SECONDS) -> None:
        self._pause_seconds = pause_seconds
        self._path = str(agent.runtime_dir / "control.sock")
        assert agent.process is not None
        self._pid = agent.process.pid
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pollster")
        self.answers = 0
        self.rows: dict[str, dict[str, Any]] = {}
        self.slowest_seconds = 0.0
        self.problem: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.answers or self.problem, "the first answer")
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        self._ends.set()
        self._thread.join(DEADLINE_SECONDS)
        if kind is None:
            assert self.problem is None, f"a question was not answered: {self.problem!r}"
            assert self.answers > 0
            assert self.slowest_seconds < ANSWER_SECONDS_MAX, f"the slowest answer took {self.slowest_seconds:.3f} s"

    def _run(self) -> None:
        try:
            with ControlConnection(self._path) as connection:
                while not self._ends.wait(self._pause_seconds):
                    self._ask(connection)
        except (OSError, ValueError, Refused) as problem:
            self.problem = problem

    def _ask(self, connection: ControlConnection) -> None:
        span = FairSpan(self._pid)
        result = connection.call("list-workers")
        self.slowest_seconds = max(self.slowest_seconds, span.seconds())
        self.rows = {row["name"]: row for row in result["workers"]}
        self.answers += 1


def wait_until_up(agent: AgentProcess, name: str, *, spell_seconds: float = 0.0) -> dict[str, Any]:
    """The row of a worker that is up, and (by the time since its start) for this long."""

    def is_up() -> dict[str, Any] | None:
        row = agent.workers()[name]
        # Up, and no pid: its word on the bus was quicker than the launcher's.
        return row if row["state"] == "up" and row["pid"] is not None and row["uptime_seconds"] >= spell_seconds else None

    row: dict[str, Any] = wait_until(is_up, f"{name} is up for {spell_seconds} s")
    return row


def rss_bytes(pid: int) -> int:
    """The resident memory of a process now."""
    return int(psutil.Process(pid).memory_info().rss)


def events(agent: AgentProcess, kind: str) -> list[dict[str, Any]]:
    """The diagnostic events of a kind that are still kept, the newest last."""
    return [event for event in agent.call("diag", limit=512)["events"] if event["kind"] == kind]


def deaths(agent: AgentProcess) -> dict[str, dict[str, Any]]:
    """The last death of each worker in the tally that `status` shows."""
    return {death["worker"]: death for death in agent.call("status")["deaths"]}


def _not_up(agent: AgentProcess) -> dict[str, str]:
    return {name: row["state"] for name, row in agent.workers().items() if row["state"] != "up" or not row["in_sync"]}


def _strangers(agent: AgentProcess) -> list[str]:
    assert agent.process is not None
    known = {row["pid"] for row in agent.workers().values()}
    with suppress(psutil.NoSuchProcess, ValueError):
        server = agent.fork_server()
        below = {*psutil.Process(agent.process.pid).children(recursive=True), *server.children(recursive=True)}
        return [f"{each.pid} {_words(each)}" for each in below if each.pid not in known and each != server and not _is_spare(each)]
    return ["the fork server has just ended"]


def _words(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return f"{process.name()} ({process.status()})"
    return "(gone)"


def _name(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return str(process.name())
    return ""


def _is_spare(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.name() == "eg:spare")
    return False


def _is_zombie(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return False
