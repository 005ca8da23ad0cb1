"""Failures carried out on a running agent: each is an order at a time, and where it lasts another one that ends it."""

import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from fakes.failpoints import arm
from fakes.small_disk import fill
from harness import proc
from harness.agent_process import run_agentctl
from harness.waiting import NotInTime, wait_until

from scenarios.agent_under_scenario import AgentUnderScenario
from scenarios.definition import Failure
from scenarios.evidence import ClockStep, Replacement
from scenarios.program_failing import ProgramFailing
from scenarios.receiver import Receiver
from scenarios.shapes import Argument
from scenarios.stage import NotPossible, remove_group

BACK_SECONDS = 30.0
SEALER = "eg:sealer"
MEMORY = Path("/sys/fs/cgroup/memory")
CPU = Path("/sys/fs/cgroup/cpu")
QUOTA_PERIOD_US = 100_000
COST_SECONDS = 5.0
Say = Callable[[str], None]
Values = Mapping[str, Argument]


@dataclass(frozen=True, slots=True)
class Action:
    """What is done so many seconds after the window began."""

    at_seconds: float
    what: str
    do: Callable[[], None]


@dataclass(slots=True)
class Failing:
    """The failures of one run. `replacements` fills; `groups` are cgroups that the failures made, for the end."""

    agent: AgentUnderScenario
    say: Say
    receiver: Receiver | None = None
    programs: ProgramFailing | None = None
    replacements: list[Replacement] = field(default_factory=list)
    groups: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    step: ClockStep | None = None
    # Percent of a core of a worker before it was first limited.
    costs: dict[str, float] = field(default_factory=dict)

    def end(self) -> None:
        """The cgroups of limits are removed, after the agent, and what is wrong with programs is healed."""
        if self.programs is not None:
            self.programs.end()
        for group in self.groups:
            remove_group(group)

    def actions(self, failure: Failure) -> list[Action]:
        """An order, and where it lasts its end."""
        kind, values, at = failure.kind.name, failure.kind.values, failure.at_seconds
        until, part = at + float(values.get("lasts", 0)), str(values.get("part", ""))
        if failure.programs:
            assert self.programs is not None
            what, begin, end = self.programs.steps(failure)
            return [Action(at, what, begin), Action(until, f"{what} is over", end)]
        return list(getattr(self, f"_plan_{kind}")(at, until, part, values))

    def _plan_kill(self, at: float, _until: float, part: str, values: Values) -> Iterator[Action]:
        yield Action(at, f"{values['signal']} to {part}", lambda: self._kill(part, str(values["signal"])))

    def _plan_restart_agent(self, at: float, _until: float, _part: str, _values: Values) -> Iterator[Action]:
        yield Action(at, "the agent is restarted", self._restart)

    def _plan_limit_memory(self, at: float, until: float, _part: str, values: Values) -> Iterator[Action]:
        yield Action(at, "memory is limited", lambda: self._limit_memory(int(values["bytes"])))
        yield Action(until, "memory is free again", lambda: self._limit_memory(-1))

    def _plan_limit_cpu(self, at: float, until: float, _part: str, values: Values) -> Iterator[Action]:
        yield Action(at, "CPU is limited", lambda: self._limit_cpu(float(values["percent"])))
        yield Action(until, "CPU is free again", lambda: self._limit_cpu(None))

    def _plan_limit_descriptors(self, at: float, until: float, part: str, values: Values) -> Iterator[Action]:
        yield Action(at, f"descriptors of {part} are limited", lambda: self._limit_descriptors(part, int(values["most"])))
        yield Action(until, "they are free again", lambda: self._limit_descriptors(part, None))

    def _plan_corrupt(self, at: float, _until: float, _part: str, values: Values) -> Iterator[Action]:
        yield Action(at, f"damage to {values['what']}", lambda: self._corrupt(str(values["what"])))

    def _plan_fill_disk(self, at: float, until: float, _part: str, _values: Values) -> Iterator[Action]:
        yield Action(at, "the disk is full", lambda: fill(self._filler))
        yield Action(until, "there is room again", lambda: self._filler.unlink(missing_ok=True))

    def _plan_freeze_disk(self, at: float, until: float, _part: str, _values: Values) -> Iterator[Action]:
        yield Action(at, "the disk does not answer", lambda: self._freeze("--freeze"))
        yield Action(until, "the disk answers again", lambda: self._freeze("--unfreeze"))

    def _plan_step_clock(self, at: float, _until: float, _part: str, values: Values) -> Iterator[Action]:
        yield Action(at, "the wall clock jumps", lambda: self._step_clock(float(values["seconds"])))

    def _step_clock(self, seconds: float) -> None:
        self.step = ClockStep(time.time_ns(), round(seconds * 1e9))
        step_clock(seconds)

    def _plan_slow_network(self, at: float, until: float, _part: str, values: Values) -> Iterator[Action]:
        yield from self._network(at, until, float(values["delay"]))

    def _plan_partition(self, at: float, until: float, _part: str, _values: Values) -> Iterator[Action]:
        yield from self._network(at, until, None)

    def _plan_failpoint(self, at: float, _until: float, _part: str, values: Values) -> Iterator[Action]:
        point, order = str(values["point"]), str(values["order"])
        yield Action(at, f"failpoint {point}: {order}", lambda: self._arm(point, order))

    def _plan_set_limit(self, at: float, _until: float, part: str, values: Values) -> Iterator[Action]:
        percent = float(values["cpu"])
        yield Action(at, f"{part} may use {percent:g} %", lambda: self._tighten(part, percent))

    def _plan_relax_limit(self, at: float, _until: float, part: str, values: Values) -> Iterator[Action]:
        percent, factor = float(values["cpu"]), float(values["factor"])
        yield Action(at, f"{part} may use {percent:g} %", lambda: self._relax(part, percent, factor))

    # ---- parts ---------------------------------------------------------------------------------------

    def _kill(self, part: str, name: str) -> None:
        number = signal.Signals[f"SIG{name}"]
        begin = time.monotonic()
        try:
            self._kill_part(part, number)
            self.replacements.append(Replacement(part, time.monotonic() - begin))
        except NotInTime as late:
            self.say(f"{part}: {late}")
            self.replacements.append(Replacement(part, None))

    def _kill_part(self, part: str, number: int) -> None:
        agent = self.agent
        match part:
            case "supervisor":
                assert agent.process is not None
                agent.process.send_signal(number)
                agent.process.wait(BACK_SECONDS)
                agent.start()
            case "fork-server":
                before = agent.fork_server()
                before.send_signal(number)
                wait_until(lambda: self._has_other_server(before), "another fork server runs", seconds=BACK_SECONDS)
            case "standby":
                (spare, *_) = wait_until(agent.spares, "a standby process", seconds=BACK_SECONDS)
                spare.send_signal(number)
                wait_until(lambda: agent.spares() and spare not in agent.spares(), "another standby process", seconds=BACK_SECONDS)
            case "sealer":
                self._kill_sealer(number)
            case _:
                row = agent.kill_worker(part, number)
                agent.wait_for_replacement(row, seconds=BACK_SECONDS)

    def _has_other_server(self, before: psutil.Process) -> bool:
        with suppress(AssertionError, OSError, ValueError):
            return self.agent.fork_server() != before and all(row["state"] == "up" for row in self.agent.workers().values())
        return False

    def _kill_sealer(self, number: int) -> None:
        """While it works; the files that the next one makes are the replacement."""
        rotation = threading.Thread(target=self._rotate, daemon=True)
        rotation.start()
        (pid, *_) = wait_until(
            lambda: [pid for pid in self.agent.pids() if "workers.writer.sealer" in _words(pid)], "a sealer", pause_seconds=0.001
        )
        os.kill(pid, number)
        rotation.join(BACK_SECONDS)
        self.agent.wait_sealed("process_scan")

    def _rotate(self) -> None:
        with suppress(OSError, ValueError, RuntimeError):
            self.agent.call("rotate")

    def _restart(self) -> None:
        begin = time.monotonic()
        self.agent.end()
        self.agent.start()
        self.replacements.append(Replacement("agent, by SIGTERM", time.monotonic() - begin))

    # ---- limits ---------------------------------------------------------------------------------------

    def _group(self, hierarchy: Path) -> Path:
        """A cgroup in a hierarchy of its own, with the agent in it; of version 2 it is the one that it is in."""
        if not hierarchy.exists():
            return self.agent.group
        folder = hierarchy / f"{self.agent.group.parent.name}"
        if not folder.exists():
            folder.mkdir()
            self.groups.append(folder)
        for pid in self.agent.pids():
            with suppress(ProcessLookupError):
                (folder / "cgroup.procs").write_text(str(pid))
        return folder

    def _limit_memory(self, size: int) -> None:
        group = self._group(MEMORY)
        for name, word in (("memory.limit_in_bytes", str(size)), ("memory.max", "max" if size < 0 else str(size))):
            if (group / name).exists():
                (group / name).write_text(word)

    def _limit_cpu(self, percent: float | None) -> None:
        group = self._group(CPU)
        quota = -1 if percent is None else round(percent / 100 * QUOTA_PERIOD_US)
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{'max' if quota < 0 else quota} {QUOTA_PERIOD_US}")

    def _limit_descriptors(self, part: str, most: int | None) -> None:
        with suppress(ProcessLookupError):
            pid = self.agent.worker_pid(part)
            _soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard if most is None else most, hard))

    def _set_limit(self, part: str, percent: float) -> None:
        ended = run_agentctl("--runtime-dir", str(self.agent.runtime_dir), "set-limit", part, "--cpu", f"{percent:g}%")
        if ended.returncode != 0:
            raise NotPossible(f"agentctl set-limit {part} --cpu {percent:g}%: {ended.stderr.strip()}")

    def _tighten(self, part: str, percent: float) -> None:
        """A limit; what the worker costs without it is measured before."""
        if part not in self.costs:
            pid = self.agent.worker_pid(part)
            before = proc.cpu_ns(pid)
            time.sleep(COST_SECONDS)
            self.costs[part] = 100 * (proc.cpu_ns(pid) - before) / COST_SECONDS / 1e9
            self.notes.append(f"{part} costs {self.costs[part]:.2f} % of a core before it is limited")
        self._set_limit(part, percent)

    def _relax(self, part: str, percent: float, factor: float) -> None:
        cost = self.costs.get(part, 0.0)
        limit = percent if cost <= percent else factor * cost
        if limit > percent:
            self.notes.append(
                f"{part} costs more than {percent:g} % on this machine: the second limit is {factor:g} times its cost, "
                f"{limit:.2f} %, {limit - percent:.2f} points above {percent:g} %"
            )
        self._set_limit(part, limit)

    # ---- data, disk, network ---------------------------------------------------------------------------

    @property
    def _filler(self) -> Path:
        return self.agent.state_dir / "filler"

    def _freeze(self, order: str) -> None:
        ended = subprocess.run(["fsfreeze", order, str(self.agent.state_dir)], capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise NotPossible(f"fsfreeze {order}: {ended.stderr.strip()}")

    def _arm(self, point: str, order: str) -> None:
        arm(self.agent.points, point, order)

    def _corrupt(self, what: str) -> None:
        match what:
            case "spool_record":
                (path, *_) = sorted((self.agent.state_dir / "spool").glob("*"), key=lambda path: -path.stat().st_mtime)
                _flip(path, path.stat().st_size // 2)
            case "sealed_file":
                path = self.agent.wait_sealed("process_scan")[0]
                _flip(path, path.stat().st_size // 2)
            case "rules":
                path = self.agent.state_dir / "rules.json"
                path.write_text("{ this is not JSON")
        self.say(f"damaged {path.relative_to(self.agent.folder)}")

    def _network(self, at: float, until: float, delay: float | None) -> Iterator[Action]:
        receiver = self.receiver
        if receiver is None:
            raise NotPossible("needs a receiver of exports: add `sink: true` to the scenario")
        word = "answers nobody" if delay is None else f"answers after {delay:g} s"
        yield Action(at, f"the receiver {word}", lambda: receiver.set_delay(delay))
        yield Action(until, "the receiver answers again", lambda: receiver.set_delay(0.0))


def _words(pid: int) -> str:
    """The command line of a process; empty for one that has gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def step_clock(seconds: float) -> None:
    """Set the wall clock of a guest. The clock of a machine is everybody's. *Raises:* NotPossible outside of a guest."""
    if os.environ.get("SCENARIO_GUEST") != "1":
        raise NotPossible("the wall clock belongs to the whole machine: run this on a guest, --platform guest-6.12")
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)


def _flip(path: Path, at: int) -> None:
    """One byte is another one."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


def check_programs(failures: tuple[Failure, ...]) -> None:
    """*Raises:* NotPossible before anything is started, where a program or a right is missing."""
    for each in failures:
        if each.kind.name == "freeze_disk" and shutil.which("fsfreeze") is None:
            raise NotPossible("needs fsfreeze; on Debian: apt-get install util-linux")
        if each.kind.name == "step_clock" and os.environ.get("SCENARIO_GUEST") != "1":
            raise NotPossible("the wall clock belongs to the whole machine: run this on a guest, --platform guest-6.12")
