"""What a measurement gives: rows of a table, and checks against what must hold and what is aimed at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Value = float | int | str | None


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that the given percentage of all does not exceed (nearest rank)."""
    assert samples
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


@dataclass(slots=True)
class Row:
    """One supervisor in one section: samples of one quantity, or single values by their names."""

    who: str
    values: Mapping[str, Value] = field(default_factory=dict)
    samples: list[float] = field(default_factory=list)
    note: str = ""

    def shown(self) -> dict[str, Value]:
        """What the table shows: of samples their number, p50, p99 and maximum."""
        if not self.samples:
            return dict(self.values)
        spread = {
            "n": len(self.samples),
            "p50": percentile(self.samples, 50),
            "p99": percentile(self.samples, 99),
            "max": max(self.samples),
        }
        return {**spread, **self.values}


@dataclass(frozen=True, slots=True)
class Check:
    """A figure that must not exceed `must` and is hoped not to exceed `goal`; None: nothing is asked."""

    what: str
    value: float
    unit: str
    must: float | None
    goal: float | None

    @property
    def verdict(self) -> str:
        """`goal met`, `must met` or `missed`."""
        if self.goal is not None and self.value <= self.goal:
            return "goal met"
        if self.must is None:
            return "goal missed"
        return "must met" if self.value <= self.must else "MISSED"


@dataclass(slots=True)
class Section:
    """One line of the comparison."""

    line: str
    title: str
    unit: str = "ms"
    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON, with every sample."""
        rows = [
            {
                "who": row.who,
                **_rounded(row.shown()),
                **({"note": row.note} if row.note else {}),
                "samples": _microseconds(row.samples),
            }
            for row in self.rows
        ]
        checks = [{**_rounded(asdict(check)), "verdict": check.verdict} for check in self.checks]
        return {"line": self.line, "title": self.title, "unit": self.unit, "rows": rows, "checks": checks, "remarks": self.remarks}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}


def _microseconds(samples: list[float]) -> list[float]:
    return [round(sample, 3) for sample in samples]
