"""What a soak has found, as one document and as text for a person."""

import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import agent
from soaking.agent_under_test import SETTINGS, AgentUnderTest
from soaking.chaos import Chaos
from soaking.endurance import Moment, Terms, judge_losses, judge_moments
from soaking.endurance_report import moment_rows, slopes
from soaking.judgement import (
    MIB,
    SLOPE_PER_KILLS,
    Point,
    Verdict,
    growth_of,
    judge_count,
    judge_memory,
    quantiles,
    slope_of,
)
from soaking.samples import Sample, Stored

COUNTS: dict[str, Callable[[Sample], float]] = {
    "descriptors": lambda sample: sample.descriptors.total(),
    "threads": lambda sample: sample.threads,
    "zombies": lambda sample: sample.zombies,
}
MEMORY: dict[str, Callable[[Sample], float]] = {"rss": lambda sample: sample.rss_bytes, "pss": lambda sample: sample.pss_bytes}
LISTED_MAX = 20
MARKS = {True: "ok  ", False: "FAIL", None: "?   "}


class Findings:
    """Everything that a soak has seen; `verdicts` follow from it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.samples: list[Sample] = []
        self.calms = 0
        self.not_calm: list[str] = []
        self.exit_code: int | None = None
        self.left_behind: list[int] = []
        self.stored = Stored()
        self.problem = ""
        self.moments: list[Moment] = []
        self.terms = Terms()

    @property
    def roles(self) -> list[str]:
        """Whose samples there are."""
        return sorted({sample.role for sample in self.samples})

    def points(self, role: str, figure: Callable[[Sample], float]) -> list[Point]:
        """One figure of one role in the order of time."""
        return [Point(each.pid, each.kills, figure(each)) for each in self.samples if each.role == role]


def verdicts(findings: Findings, chaos: Chaos) -> list[Verdict]:
    """What holds and what does not."""
    judged = [
        Verdict("the soak ran to its end", not findings.problem, findings.problem or f"{findings.seconds:.0f} s"),
        Verdict(
            "all up, rules equal by the workers' own digests",
            not findings.not_calm and findings.calms > 0,
            "; ".join(findings.not_calm[:LISTED_MAX]) or f"in each of {findings.calms} calm moments",
        ),
        _none("false kills", chaos.false_kills, f"{chaos.hangs_seen} hangs seen, {chaos.kills['hang']} caused"),
        _none("worker over its limit", chaos.degradations),
        _none("workers that ended otherwise than they were ended", chaos.bugs, ", ".join(_counted(chaos.exits)) or "no exit"),
        _none("rows stored twice", [f"{name}: {count}" for name, count in findings.stored.duplicates.items() if count]),
        _none("processes left behind", findings.left_behind, f"exit code {findings.exit_code}"),
        Verdict("exit code of the agent", findings.exit_code == 0, str(findings.exit_code)),
    ]
    for role in findings.roles:
        judged += [judge_count(f"{name} of the {role}", findings.points(role, figure)) for name, figure in COUNTS.items()]
        # Not by PSS: that grows when another process ends with which pages were shared.
        judged.append(judge_memory(f"RSS of the {role}", findings.points(role, MEMORY["rss"])))
    stored, terms = findings.stored, replace(findings.terms, kills=chaos.killed)
    judged += judge_moments(findings.moments, terms)
    return judged + judge_losses(stored.gaps, stored.missed, stored.ticks_due, terms)


def document(findings: Findings, chaos: Chaos, agent_under_test: AgentUnderTest, options: dict[str, Any]) -> dict[str, Any]:
    """The report."""
    host = {"processors": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    return {
        "version": agent.__version__,
        "host": {**host, "load_average": [round(each, 1) for each in os.getloadavg()]},
        "options": options,
        "settings": SETTINGS,
        "seconds": round(findings.seconds, 1),
        "kills": {"sum": chaos.killed, **dict(sorted(chaos.kills.items()))},
        "rule_changes": chaos.rule_changes,
        "lives": {role: len({each.pid for each in findings.samples if each.role == role}) for role in findings.roles},
        "took_ms": {cause: quantiles(values) for cause, values in sorted(chaos.took_ms.items()) if cause},
        "control_ms": quantiles(agent_under_test.control_ms),
        "hangs": {"caused": chaos.kills["hang"], "seen": chaos.hangs_seen, "false": chaos.false_kills[:LISTED_MAX]},
        "exits": dict(sorted(chaos.exits.items())),
        "growth": {role: _growth(findings, role) for role in findings.roles},
        "stored": {
            "rows": findings.stored.rows,
            "duplicates": findings.stored.duplicates,
            "gaps": findings.stored.gaps,
            "rows_told_as_missing": findings.stored.gap_rows,
            "ticks_missed": findings.stored.missed,
            "ticks_due": findings.stored.ticks_due,
            "segments_not_sealed": findings.stored.waiting_segments,
        },
        "slopes_per_hour": slopes(findings.moments, findings.terms.warm_up_seconds),
        "verdicts": [{"name": each.name, "is_good": each.is_good, "found": each.found} for each in verdicts(findings, chaos)],
        "samples": [_sample_row(each) for each in findings.samples],
        "moments": moment_rows(findings.moments),
    }


def text(report: dict[str, Any]) -> str:
    """The report for a person: what was done, how fast it was mended, what has grown, and the verdicts."""
    kills = ", ".join(f"{name} {count}" for name, count in report["kills"].items())
    lines = [
        f"soaked for {report['seconds']} s, options {_pairs(report['options'])}",
        f"settings: {_pairs(report['settings'])}",
        f"kills: {kills}; rule changes {report['rule_changes']}",
        "until a successor is ready, ms:",
        *(f"  {cause:20} {_pairs(found)}" for cause, found in report["took_ms"].items()),
        f"list-workers, ms:      {_pairs(report['control_ms'])}",
        f"rows: {_pairs(report['stored']['rows'])}; gaps: {_pairs(report['stored']['gaps']) or 'none'}, "
        f"{report['stored']['rows_told_as_missing']} rows are told as missing",
    ]
    for role, growth in report["growth"].items():
        lines.append(f"{role} ({report['lives'][role]} lives): {_pairs(growth)}")
    lines += [f"{MARKS[each['is_good']]} {each['name']}: {each['found']}" for each in report["verdicts"]]
    return "\n".join(lines)


def _growth(findings: Findings, role: str) -> dict[str, Any]:
    """Counts per hundred kills, memory per ten thousand; what kinds of descriptors there are more of."""
    growth: dict[str, Any] = {}
    for name, figure in COUNTS.items():
        slope = slope_of(findings.points(role, figure), warm_up_kills=0)
        growth[f"{name}_per_100_kills"] = None if slope is None else round(slope.per_kill * 100, 4)
    for name, figure in MEMORY.items():
        points = findings.points(role, figure)
        slope = slope_of(points)
        growth[f"{name}_mib_per_{SLOPE_PER_KILLS}_kills"] = (
            None if slope is None else round(slope.per_kill * SLOPE_PER_KILLS / MIB, 3)
        )
        growth[f"{name}_mib"] = [round(each.value / MIB, 2) for each in (points[0], points[-1])]
    growth["more"] = _more_kinds(findings, role)
    return growth


def _more_kinds(findings: Findings, role: str) -> dict[str, float]:
    kinds = sorted({kind for each in findings.samples if each.role == role for kind in each.descriptors})
    grown = {kind: growth_of(findings.points(role, partial(_descriptors_of, kind))) for kind in kinds}
    return {kind: more for kind, more in grown.items() if more > 0}


def _descriptors_of(kind: str, sample: Sample) -> int:
    return sample.descriptors[kind]


def _none(name: str, found: Sequence[object], otherwise: str = "none") -> Verdict:
    listed = "; ".join(str(each) for each in found[:LISTED_MAX])
    return Verdict(f"no {name}", not found, f"{len(found)}: {listed}" if found else otherwise)


def _counted(counter: Counter[str]) -> list[str]:
    return [f"{name} {count}" for name, count in sorted(counter.items())]


def _pairs(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name.lstrip('-')} {value}" for name, value in fields.items() if value not in (None, {}))


def _sample_row(sample: Sample) -> dict[str, Any]:
    return {
        "role": sample.role,
        "pid": sample.pid,
        "at_seconds": sample.at_seconds,
        "kills": sample.kills,
        "descriptors": dict(sorted(sample.descriptors.items())),
        "threads": sample.threads,
        "zombies": sample.zombies,
        "rss_bytes": sample.rss_bytes,
        "pss_bytes": sample.pss_bytes,
    }
