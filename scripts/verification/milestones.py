"""The milestones: scanner, Top-N sampler, sketches, OTLP exporter, watchdog; each with what proves it and its last result."""

from collections.abc import Callable
from dataclasses import dataclass

SCENARIO = "scenario "


@dataclass(frozen=True, slots=True)
class Milestone:
    """A part of the agent, its modules, and the tests and scenarios that prove it."""

    name: str
    modules: tuple[str, ...]
    proofs: tuple[str, ...]


MILESTONES = (
    Milestone(
        "scanner",
        ("workers/process/process_table.py", "workers/process/pid_sequence.py"),
        ("scenario process_scanner_perf", "tests/integration/test_process_table.py"),
    ),
    Milestone(
        "Top-N sampler",
        ("workers/samplers/process.py", "workers/process/top_n.py", "workers/process/tail.py"),
        ("scenario tail_aggregation", "scenario pid_churn", "tests/integration/test_process_sampler.py"),
    ),
    Milestone(
        "sketches",
        ("agent/model/sketch.py", "workers/process/sketches.py"),
        ("scenario ddsketch_accuracy", "scenario key_explosion"),
    ),
    Milestone(
        "OTLP exporter",
        ("workers/export/otlp", "workers/exporters/otlp.py"),
        ("tests/integration/test_otlp_collector.py", "scenario bad_network"),
    ),
    Milestone(
        "watchdog",
        ("supervisor/core/watchdog.py", "supervisor/core/governance.py"),
        ("scenario breakers", "scenario failover", "tests/integration/test_governor_agent.py", "tests/sim/test_worlds.py"),
    ),
)


def milestone_lines(outcome: Callable[[str], str]) -> list[str]:
    """A line for each; `outcome` says the last result of a proof in words."""
    lines = []
    for each in MILESTONES:
        lines.append(f"{each.name}: {', '.join(each.modules)}")
        lines += [f"  {proof}: {outcome(proof)}" for proof in each.proofs]
    return lines
