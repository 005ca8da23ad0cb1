"""Real runs: processes in cgroups of their own beside an agent; one unit makes noise at known times."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neighbours_bench.place import AGENT_GROUP, ROOT, SLICE, Units, agent, place
from neighbours_bench.replay import NOISY, VICTIMS

ORDINARY = 6
MIB = 1 << 20
# All units together, so that memory is short for all of them at once.
MEMORY_LIMIT = 700 * MIB
HELD, TABLE = 560 * MIB, 160 * MIB
# Part of a CPU, and seconds of one request: far less than what is free while it is calm. Who wants all of it waits all the time.
SERVE = ("0.25", "0.01")
# As a pod that asks for a tenth of a CPU: beside others that want all it gets that.
SERVE_WEIGHT = 102
# A session of the machine weighs 1024. Measured at a load of 15: with a weight of 16,384 the victim waited 10 to 30 % of the time
# while it was calm, with this 4 to 15 %, with 262,144 no less; and 0.5 of 2 CPUs were left to the machine beside noise.
WEIGHT = 65_536
WARM_SECONDS, CALM_SECONDS, NOISE_SECONDS = 45, 34, 14
# Behind the noise before, a calm stretch counts from here on.
SETTLE_SECONDS = 10
KINDS = ("cpu", "io", "cpu", "memory", "io")


@dataclass
class Truth:
    """What was done when: noise of a kind, or none, in seconds of unix time."""

    kind: str
    begin_s: int
    end_s: int


def minutes(runs: int) -> int:
    """How long so many noisy runs and as many quiet ones take."""
    return (WARM_SECONDS + CALM_SECONDS + runs * (CALM_SECONDS + NOISE_SECONDS)) // 60 + 1


def alternate(kinds: Sequence[str], calm: Callable[[], None], noise: Callable[[str], None]) -> list[Truth]:
    """A quiet run and a noisy one by turns, a noisy one of each of these kinds."""
    truths = []
    for kind in kinds:
        begin_s = int(time.time())
        calm()
        truths.append(Truth("quiet", begin_s + SETTLE_SECONDS, int(time.time())))
        begin_s = int(time.time())
        noise(kind)
        truths.append(Truth(kind, begin_s, int(time.time()) + 1))
    calm()
    return truths


def judged(folder: Path, options: list[str], truths: Sequence[Truth], keep: str | None) -> dict[str, Any]:
    """What was right, and what the command itself names; `keep` gets a recording."""
    from neighbours_bench.recording import record
    from neighbours_bench.replay import unvaried

    began = time.monotonic()
    answer = _ask(options, truths[0].begin_s, truths[-1].end_s)
    seconds = round(time.monotonic() - began, 1)
    recording, done = folder / "recording.json.gz", [vars(truth) for truth in truths]
    record(folder / "s", done, recording)
    if keep:
        # Other units of the machine are judged too, and are nobody else's business.
        record(folder / "s", done, Path(keep), below=f"/{SLICE}")
    load = {"load_behind": os.getloadavg()[0]}
    return {**load, "command_seconds": seconds, "command_named": _named(answer), **unvaried([recording])}


def _ask(options: list[str], since_s: int, until_s: int) -> dict[str, Any]:
    """The answer about a time."""
    words = ["neighbours", "--json", "--since", _iso(since_s), "--until", _iso(until_s), "--timeout", "600", *options]
    done = subprocess.run([sys.executable, "-m", "agent.cli.main", *words], capture_output=True, cwd=ROOT, check=False)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {"victims": [], "failed": done.stderr.decode()}


def _iso(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def _named(answer: dict[str, Any]) -> list[list[str]]:
    """Who is named for whom by the command itself."""
    pairs = ((victim, culprit) for victim in answer["victims"] for culprit in victim["culprits"])
    return sorted([victim["name"], victim["symptom"], culprit["name"], str(culprit["episodes"])] for victim, culprit in pairs)


def run(runs: int, keep: str | None, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """So many noisy runs, and as many quiet ones; what was named in each."""
    with place() as folder, closing(Units()) as units:
        _populate(units, str(folder))
        with agent(folder) as options:
            time.sleep(WARM_SECONDS)
            wanted = [kinds[number % len(kinds)] for number in range(runs)]
            truths = alternate(
                wanted, lambda: time.sleep(CALM_SECONDS), lambda kind: _noise(units, kind, str(folder), NOISE_SECONDS)
            )
            return judged(folder, options, truths, keep)


def _noise(units: Units, kind: str, scratch: str, seconds: float) -> None:
    """Some seconds of noise."""
    words = {"cpu": ["work", "1.0"], "io": ["flood", scratch], "memory": ["hold", str(HELD)]}[kind]
    count = 1 if kind == "memory" else 2 * (os.cpu_count() or 1)
    processes = [units.start(NOISY, *words) for _ in range(count)]
    time.sleep(seconds)
    for process in processes:
        units.end(process)


def _populate(units: Units, scratch: str) -> None:
    units.make()
    units.limit("memory", SLICE, "memory.limit_in_bytes", MEMORY_LIMIT)
    units.limit("cpu", SLICE, "cpu.shares", WEIGHT)
    units.limit("cpu", AGENT_GROUP, "cpu.shares", WEIGHT)
    names = [f"ordinary-{index}.service" for index in range(ORDINARY)]
    for name in (*(VICTIMS[kind] for kind in ("cpu", "io", "memory")), NOISY, *names):
        units.make(name)
    units.limit("cpu", f"{SLICE}/{VICTIMS['cpu']}", "cpu.shares", SERVE_WEIGHT)
    units.start(VICTIMS["cpu"], "serve", *SERVE)
    units.start(VICTIMS["io"], "store", scratch)
    units.start(VICTIMS["memory"], "reread", scratch, str(TABLE))
    for index, name in enumerate(names):
        units.start(name, "ordinary", scratch, str(index))
