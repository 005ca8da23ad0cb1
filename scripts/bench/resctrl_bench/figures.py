"""What a part of the benchmark gives: figures against what must hold and what is aimed at, every sample, remarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from supervisors.figures import percentile

Samples = Sequence[float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. *Absent:* `must` and `goal` where nothing is asked; `value` where it could not be measured."""

    what: str
    value: float | None
    unit: str = ""
    must: float | None = None
    goal: float | None = None
    # Whether more is better.
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """`goal met`, `must met`, `MISSED`; empty where nothing is asked."""
        if self.must is None and self.goal is None:
            return ""
        if self.value is None:
            return "NOT MEASURED"
        if self.goal is not None and self._reaches(self.value, self.goal):
            return "goal met"
        if self.must is not None and not self._reaches(self.value, self.must):
            return "MISSED"
        return "must met"

    def _reaches(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit

    def document(self) -> dict[str, Any]:
        """As JSON."""
        asked = {"must": self.must, "goal": self.goal, "at_least": self.at_least, "verdict": self.verdict} if self.verdict else {}
        return {"what": self.what, "value": self.value, "unit": self.unit, **asked}


@dataclass(slots=True)
class Section:
    """One part: its table, its samples by their names, and what is to be kept in mind."""

    part: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    further: dict[str, Any] = field(default_factory=dict)

    @property
    def missed(self) -> list[str]:
        """The figures that do not reach their must."""
        return [figure.what for figure in self.figures if figure.verdict in ("MISSED", "NOT MEASURED")]

    def document(self) -> dict[str, Any]:
        """As JSON, with every sample."""
        return {
            "part": self.part,
            "title": self.title,
            "figures": [figure.document() for figure in self.figures],
            "remarks": self.remarks,
            **self.further,
            "samples": {name: [round(sample, 4) for sample in samples] for name, samples in self.samples.items()},
        }


def spread(samples: Samples) -> Mapping[str, float | None]:
    """p50, p99 and the largest; None of nothing."""
    if not samples:
        return {"p50": None, "p99": None, "max": None}
    return {"p50": median(samples), "p99": percentile(samples, 99), "max": max(samples)}
