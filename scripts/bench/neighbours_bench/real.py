"""Real runs: processes in cgroups of their own beside an agent; one unit makes noise at known times."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
LOAD = Path(__file__).with_name("load.py")
CGROUPS = Path("/sys/fs/cgroup")
SLICE = "evergauge-bench-neighbours.slice"
CONTROLLERS = ("cpu", "cpuacct", "memory", "blkio", "pids", "unified")
AGENT_GROUP = "evergauge-bench-agent"
ORDINARY = 6
MIB = 1 << 20
# All units together, so that memory is short for all of them at once.
MEMORY_LIMIT = 700 * MIB
HELD, TABLE = 560 * MIB, 160 * MIB
# Other work of the machine must not drown them: weight against its processes.
WEIGHT = 262_144
# Version 1 of cgroups counts I/O only where a rule may throttle it: one that never does.
NEVER_THROTTLED = 100_000_000_000
WARM_SECONDS, CALM_SECONDS, NOISE_SECONDS = 45, 34, 14
KINDS = ("cpu", "io", "cpu", "memory", "io")
VICTIMS = {"cpu": "worker.service", "io": "store.service", "memory": "reader.service"}
NOISY = "noisy.service"


@dataclass
class Truth:
    """What was done when: noise of a kind, or none, in seconds of unix time."""

    kind: str
    begin_s: int
    end_s: int


class Units:
    """Cgroups of services in a slice of the bench, and the processes in them. All of them are gone behind it."""

    def __init__(self) -> None:
        self.hierarchies = [CGROUPS / name for name in CONTROLLERS if (CGROUPS / name).is_dir()] or [CGROUPS]
        self._made: list[Path] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def make(self, *names: str) -> None:
        """Make the cgroup of the slice, or of a service in it."""
        for hierarchy in self.hierarchies:
            path = hierarchy.joinpath(SLICE, *names)
            path.mkdir(exist_ok=True)
            self._made.append(path)
            if hierarchy.name == "blkio":
                for device in Path("/sys/block").glob("*/dev"):
                    with suppress(OSError):
                        (path / "blkio.throttle.write_bps_device").write_text(f"{device.read_text().strip()} {NEVER_THROTTLED}")

    def start(self, name: str, *words: str) -> "subprocess.Popen[bytes]":
        """Start a process in a service."""
        paths = [str(hierarchy / SLICE / name / "cgroup.procs") for hierarchy in self.hierarchies]

        def join() -> None:
            for path in paths:
                Path(path).write_text("0")

        process = subprocess.Popen([sys.executable, str(LOAD), *words], preexec_fn=join)
        self._processes.append(process)
        return process

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """End a process."""
        process.kill()
        process.wait()

    def close(self) -> None:
        """End all processes and remove all cgroups."""
        for process in self._processes:
            self.end(process)
        for path in (*reversed(self._made), CGROUPS / "cpu" / AGENT_GROUP):
            for _ in range(50):
                with suppress(OSError):
                    path.rmdir()
                    break
                time.sleep(0.1)


@contextmanager
def agent(folder: Path) -> Iterator[list[str]]:
    """A running agent; gives the options that name its folders."""
    options = ["--runtime-dir", str(folder / "r"), "--state-dir", str(folder / "s")]
    command = [str(Path(sys.executable).with_name("agentd")), *options, "--gateway-port", "0"]
    # On a busy machine its ticks would be late; it is no unit, and what it uses belongs to none.
    join = CGROUPS / "cpu" / AGENT_GROUP / "cgroup.procs"
    with open(folder / "log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT) as process:
        with suppress(OSError):
            join.write_text(str(process.pid))
        try:
            yield options
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def ask(options: list[str], since_s: int, until_s: int) -> dict[str, Any]:
    """The answer about a time."""
    words = ["neighbours", "--json", "--since", _iso(since_s), "--until", _iso(until_s), "--timeout", "600", *options]
    done = subprocess.run([sys.executable, "-m", "agent.cli.main", *words], capture_output=True, cwd=ROOT, check=False)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {"victims": [], "failed": done.stderr.decode()}


def _iso(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def noise(units: Units, kind: str, scratch: str) -> Truth:
    """Some seconds of noise."""
    words = {"cpu": ["work", "1.0"], "io": ["flood", scratch], "memory": ["hold", str(HELD)]}[kind]
    count = 1 if kind == "memory" else 2 * (os.cpu_count() or 1)
    begin_s = int(time.time())
    processes = [units.start(NOISY, *words) for _ in range(count)]
    time.sleep(NOISE_SECONDS)
    for process in processes:
        units.end(process)
    return Truth(kind, begin_s, int(time.time()) + 1)


def run(runs: int, keep: str | None, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """So many noisy runs, and as many quiet ones; what was named in each."""
    from neighbours_bench.recording import record
    from neighbours_bench.replay import unvaried

    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        folder, units = Path(name), Units()
        try:
            _populate(units, name)
            with agent(folder) as options:
                time.sleep(WARM_SECONDS)
                truths = []
                for place in range(runs):
                    begin_s = int(time.time())
                    time.sleep(CALM_SECONDS)
                    truths.append(Truth("quiet", begin_s + 10, int(time.time())))
                    truths.append(noise(units, kinds[place % len(kinds)], name))
                time.sleep(CALM_SECONDS)
                began = time.monotonic()
                answer = ask(options, truths[0].begin_s, truths[-1].end_s)
                seconds = round(time.monotonic() - began, 1)
                recording = Path(keep or folder / "recording.json.gz")
                record(folder / "s", [vars(truth) for truth in truths], recording)
        finally:
            units.close()
    return {"command_seconds": seconds, "command_named": _named(answer), **unvaried([recording])}


def _named(answer: dict[str, Any]) -> list[list[str]]:
    """Who is named for whom by the command itself."""
    pairs = ((victim, culprit) for victim in answer["victims"] for culprit in victim["culprits"])
    return sorted([victim["name"], victim["symptom"], culprit["name"], str(culprit["episodes"])] for victim, culprit in pairs)


def _populate(units: Units, scratch: str) -> None:
    units.make()
    limits = (
        ("memory", SLICE, "memory.limit_in_bytes", MEMORY_LIMIT),
        ("cpu", SLICE, "cpu.shares", WEIGHT),
        ("cpu", AGENT_GROUP, "cpu.shares", WEIGHT),
    )
    for controller, group, file, value in limits:
        with suppress(OSError):
            path = CGROUPS / controller / group
            path.mkdir(exist_ok=True)
            (path / file).write_text(str(value))
    names = [f"ordinary-{index}.service" for index in range(ORDINARY)]
    for name in (*VICTIMS.values(), NOISY, *names):
        units.make(name)
    # What is free of the CPUs while it is calm, which is more than its part beside noise. One that wants more waits all the time.
    for _ in range(os.cpu_count() or 1):
        units.start(VICTIMS["cpu"], "work", "0.45")
    units.start(VICTIMS["io"], "store", scratch)
    units.start(VICTIMS["memory"], "reread", scratch, str(TABLE))
    for index, name in enumerate(names):
        units.start(name, "ordinary", scratch, str(index))
