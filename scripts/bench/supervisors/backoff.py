"""A child that ends at once, always: evergauge's delays against its policy, and how often everybody starts it."""

import itertools
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.config import BACKOFF_BASE, BACKOFF_CEILING, BACKOFF_FACTOR, BACKOFF_JITTER
from supervisors import ours
from supervisors.figures import Check, Row, Section, percentile
from supervisors.kill import all_variants
from supervisors.rival import Bench, Rival, starting

# Each in an agent of its own: what is measured is the delay, not how fast one fork server starts many at once.
LOOPERS = 6
STAGGER_SECONDS = (0.3, 0.6)
RESTLESS = ("systemd, RestartSec=0", "gunicorn")
# How far a delay may be off, in percent. The log tells delays in whole milliseconds, of a hundred at least.
MUST_PERCENT, GOAL_PERCENT = 10, 2


@dataclass(frozen=True, slots=True)
class Delay:
    """The k-th delay of one worker in milliseconds: as ordered, as the policy has it without jitter, and from start to start."""

    number: int
    ordered_ms: float
    full_ms: float
    lived_ms: float

    @property
    def late_ms(self) -> float:
        """How much more than ordered went by."""
        return self.lived_ms - self.ordered_ms

    def late_percent(self, allowed_ms: float) -> float:
        """How far the delay is off, when so much of it is none."""
        return abs(self.late_ms - allowed_ms) / self.full_ms * 100


def measure(bench: Bench) -> list[Section]:
    """Both sections; those that start again at once are let loop after the others, for they keep a processor busy."""
    variants = [variant for variant in all_variants(bench) if not variant.title.startswith("evergauge")]
    restless = [variant for variant in variants if variant.title in RESTLESS]
    patient = [variant for variant in variants if variant not in restless]
    agents = [ours.Agent(bench, 2) for _ in range(LOOPERS)]
    rivals = {variant.title: (variant.looping or variant.make)(bench, 1) for variant in variants}
    starts: dict[str, list[int]] = {"evergauge": []}
    for group, beside in ((patient, agents), (restless, [])):
        bench.say(f"backoff: {'; '.join([*(['evergauge'] if beside else []), *(variant.title for variant in group)])}")
        found = _loop(bench, [rivals[variant.title] for variant in group], beside)
        starts |= {variant.title: found[rivals[variant.title].label] for variant in group}
        if beside:
            delays = _delays(beside, found)
            starts["evergauge"] = found[beside[0].label]
    return [delays, _starts(starts, bench.options.loop_seconds)]


def _loop(bench: Bench, rivals: Sequence[Rival], agents: Sequence[ours.Agent]) -> dict[str, list[int]]:
    """Start all, record every start for a time; gives their moments by the label of the supervisor."""
    for rival in rivals:
        rival.child_environment = {"BENCH_EXIT": "1"}
    for agent in agents:
        agent.child_environment = {"BENCH_EXIT": "1", "BENCH_EXIT_FILES": str(agent.folder)}
    with starting([*rivals, *agents]):
        # The agents begin when everybody has started, one after the other: what is measured is the delay and nothing else.
        begun_ns = {}
        for agent in agents:
            bench.starts.rest(bench.rng.uniform(*STAGGER_SECONDS))
            begun_ns[agent.label] = _let_loop(agent)
        bench.starts.rest(bench.options.loop_seconds)
        # Children that have ended are still in `living`: it is told only of starts.
        found = {rival.label: sorted(start.at_ns for start in rival.living.values()) for rival in rivals}
        for agent in agents:
            looper = sorted(start.at_ns for start in agent.living.values() if start.name == agent.names[0])
            # The death that begins it stands for the start of a child that ends at once.
            found[agent.label] = [begun_ns[agent.label], *looper]
        return found


def _let_loop(agent: ours.Agent) -> int:
    """Kill the first child, whose successors all end at once; gives when. The second goes on, as other workers would."""
    (agent.folder / agent.names[0]).touch()
    (victim,) = [start.pid for start in agent.living.values() if start.name == agent.names[0]]
    del agent.living[victim]
    begun_ns = time.monotonic_ns()
    os.kill(victim, signal.SIGKILL)
    return begun_ns


# ---- starts ----------------------------------------------------------------------------------------


def _starts(starts: dict[str, list[int]], seconds: float) -> Section:
    section = Section("loop", f"a child that ends at once, always: how often it is started in {seconds:g} s", unit="")
    for title, at_ns in starts.items():
        within = [each for each in at_ns if each <= at_ns[0] + seconds * 1e9]
        pauses = [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(within)]
        shown = ", ".join(f"{pause:.2f}" for pause in pauses[:9]) + (", …" if len(pauses) > 9 else "")
        last_at_s = (within[-1] - within[0]) / 1e9 if within else 0.0
        section.rows.append(Row(title, values={"starts": len(within), "last_at_s": last_at_s}, note=shown))
    section.remarks = ["behind the figures: the first pauses between starts, in seconds"]
    return section


# ---- evergauge's delays ----------------------------------------------------------------------------


def _delays(agents: Sequence[ours.Agent], at_ns: dict[str, list[int]]) -> Section:
    """What the policy says is reckoned here, from the settings, and not asked of the agent."""
    section = Section(
        "backoff", "evergauge: k-th delay of a child that ends at once, from start to start, against what was ordered"
    )
    delays = [delay for agent in agents for delay in _delays_of(at_ns[agent.label], agent.events)]
    numbers = sorted({delay.number for delay in delays})
    section.rows = [_row(number, [delay for delay in delays if delay.number == number]) for number in numbers]
    waited = [delay for delay in delays if delay.number > 1]
    # A restart itself takes time, which is no delay.
    restart_ms = percentile([delay.late_ms for delay in waited], 50)
    jitter = BACKOFF_JITTER.default / 100
    # The log's milliseconds are whole.
    outside = sum(not delay.full_ms * (1 - jitter) - 1 <= delay.ordered_ms <= delay.full_ms for delay in waited)
    section.checks = [
        Check("start to start against policy, worst", max(delay.late_percent(0) for delay in waited), "%", MUST_PERCENT, None),
        Check("the delay itself, worst", max(delay.late_percent(restart_ms) for delay in waited), "%", MUST_PERCENT, GOAL_PERCENT),
        Check("delays ordered outside the band of the declared jitter", outside, "", 0, 0),
    ]
    section.remarks = [
        f"{LOOPERS} agents with one such child each, beside one that lives; k = 1 is the immediate restart",
        "late: start to start, less what was ordered",
        f"the delay itself: less what a restart takes (median {restart_ms:.1f} ms); ordered: up to {jitter:.0%} shorter, at random",
    ]
    return section


def _row(number: int, group: list[Delay]) -> Row:
    values = {
        "n": len(group),
        "policy_ms": group[0].full_ms,
        "ordered_least": min(delay.ordered_ms for delay in group),
        "ordered_most": max(delay.ordered_ms for delay in group),
        "late_p50": percentile([delay.late_ms for delay in group], 50),
        "late_max": max(delay.late_ms for delay in group),
    }
    return Row(f"k = {number}", values=values)


def _delays_of(at_ns: list[int], events: list[dict[str, Any]]) -> list[Delay]:
    """Starts of one worker, and the delays that the agent's log says it ordered between them."""
    ordered_ms = {event["failures"]: event["wait_ms"] for event in events if event["event"] == "worker_backoff"}
    found = []
    for number, (earlier, later) in enumerate(itertools.pairwise(at_ns), start=1):
        wait_ms = 0 if number == 1 else ordered_ms[number]
        found.append(Delay(number, wait_ms, _full_ms(number), (later - earlier) / 1e6))
    return found


def _full_ms(number: int) -> float:
    """The policy: none, base, and then each longer by the factor, up to the ceiling."""
    if number == 1:
        return 0.0
    grown_ns = float(BACKOFF_BASE.default * BACKOFF_FACTOR.default ** (number - 2))
    return min(BACKOFF_CEILING.default, grown_ns) / 1e6
