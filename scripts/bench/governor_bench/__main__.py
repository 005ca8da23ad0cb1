"""Runs an agent with a worker that can be told to burn, and judges when that is seen and over."""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.agent_process import UNHURRIED, AgentProcess
from harness.waiting import NotInTime, wait_until
from machine import circumstances

ROOT = Path(__file__).parents[3]
# The limit of the burner: a twentieth of a core.
LIMIT_PERMILLE = 50
SEEN_SECONDS_MAX, OVER_SECONDS_MAX = 2.0, 10.0
# Over: no more than the limit in all of the two seconds that follow.
OVER_SPAN_SECONDS = 2.0
CALM_PERMILLE = 5
CONDITION = "module_over_limit:cpu"


class Burner:
    """The burning worker of an agent."""

    def __init__(self, agent: AgentProcess, order: Path) -> None:
        self._agent = agent
        self._order = order

    def burn(self, permille: int) -> None:
        """From now on, so many thousandths of a core."""
        unfinished = self._order.with_suffix(".new")
        unfinished.write_text(str(permille))
        unfinished.rename(self._order)

    def row(self) -> dict[str, Any]:
        """Its row of list-limits."""
        return next(row for row in self._agent.call("list-limits")["limits"] if row["name"] == "burner")

    def is_over(self) -> bool:
        """Whether its overshoot has been told and has not ended."""
        return "cpu" in self.row()["over"]

    def cpu_ns(self) -> int:
        """By its own clock. *Source:* clock_getcpuclockid(3)."""
        pid = self._agent.workers()["burner"]["pid"]
        return time.clock_gettime_ns((~pid << 3) | 2)


def overshoot(burner: Burner, times: int) -> dict[str, float]:
    """One overshoot of so many times the limit: seconds until it was seen, and until it was over for good."""
    burner.burn(CALM_PERMILLE)
    wait_until(lambda: burner.row()["level"] == 0 and not burner.is_over(), "the burner is calm and whole", seconds=600)
    # What a window still remembers of the calm is part of the question: an overshoot comes out of calm.
    time.sleep(11)
    begun = time.monotonic()
    burner.burn(LIMIT_PERMILLE * times)
    readings: list[tuple[float, int]] = []
    seen: float | None = None
    while (now := time.monotonic() - begun) < OVER_SECONDS_MAX + OVER_SPAN_SECONDS + 1:
        readings.append((now, burner.cpu_ns()))
        if seen is None and burner.is_over():
            seen = time.monotonic() - begun
        time.sleep(0.1)
    burner.burn(CALM_PERMILLE)
    return {"seen_seconds": seen if seen is not None else float("inf"), "over_seconds": over_at(readings)}


def over_at(readings: list[tuple[float, int]]) -> float:
    """From which reading on two seconds of at most the limit follow, and no more after that either. *Range:* infinite: never."""
    last_bad = 0.0
    for index, (at, cpu_ns) in enumerate(readings):
        later = next(((then, then_ns) for then, then_ns in readings[index:] if then - at >= OVER_SPAN_SECONDS), None)
        if later is not None and (later[1] - cpu_ns) > (later[0] - at) * LIMIT_PERMILLE * 1e6:
            last_bad = readings[min(index + 1, len(readings) - 1)][0]
    return last_bad


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/bench/governor")
    parser.add_argument("--times", default="5,20", help="overshoots, in multiples of the limit of a twentieth of a core")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    found: dict[int, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="governor-") as name:
        folder = Path(name)
        kinds, order = folder / "kinds", folder / "order"
        (kinds / "burner").mkdir(parents=True)
        (kinds / "burner" / "__init__.py").touch()
        (kinds / "burner" / "worker.py").write_text((Path(__file__).parent / "burner_kind.py").read_text())
        order.write_text("0")
        program = ("env", "-C", str(ROOT / "tests"), f"EXTRA_KINDS={kinds}", f"BURNER_FILE={order}",
                   sys.executable, "-m", "fakes.extended_agent")  # fmt: skip
        settings = folder / "agentd.toml"
        settings.write_text(f'[worker.burner]\ncpu_limit = "{LIMIT_PERMILLE / 10}%"\n')
        flags = {**UNHURRIED, "--config": str(settings)}
        for times in map(int, options.times.split(",")):
            for number in range(options.repeats):
                # An agent of its own for each: to restore one takes minutes.
                home = folder / f"{times}-{number}"
                home.mkdir()
                with AgentProcess(home, program=program, flags=flags, quick=False) as agent, suppress(NotInTime):
                    found.setdefault(times, []).append(overshoot(Burner(agent, order), times))
                print(f"{times} times the limit: {found.get(times, [])[-1:]}", file=sys.stderr, flush=True)
    return report(found, options.json)


def report(found: dict[int, list[dict[str, float]]], json_path: str | None) -> int:
    """The table, the document, the verdict."""
    document = {"circumstances": circumstances(), "limit_permille": LIMIT_PERMILLE, "overshoots": found}
    if json_path:
        Path(json_path).write_text(json.dumps(document, indent=1) + "\n")
    is_good = bool(found)
    print("| times the limit | runs | seen after, s: median, most | over after, s: median, most |\n|---|---|---|---|")
    for times, runs in found.items():
        cells = []
        for figure, most in (("seen_seconds", SEEN_SECONDS_MAX), ("over_seconds", OVER_SECONDS_MAX)):
            values = [run[figure] for run in runs]
            cells.append(f"{statistics.median(values):.1f}, {max(values):.1f}")
            is_good = is_good and max(values) <= most
        print(f"| {times} | {len(runs)} | {cells[0]} | {cells[1]} |")
    print(f"must: seen within {SEEN_SECONDS_MAX:g} s, over within {OVER_SECONDS_MAX:g} s: {'met' if is_good else 'MISSED'}; "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
