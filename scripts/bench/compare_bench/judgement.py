"""When a ratio is a regression. PURE.

A ratio to a reference in the same run is nearly the same on a slow and a fast machine: caches, frequencies and versions of Python
move both parts differently. So each has its own factor, which is beyond what was seen on one machine under load, and below what a
careless change costs. Noise makes a measurement dearer, hardly ever cheaper: the best of some tries tells.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class CannotMeasureError(Exception):
    """This machine lacks what a measurement needs; a sentence."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The kept ratio of one measurement, by which factor it may be exceeded, and why by that."""

    ratio: float
    factor_max: float
    why: str

    @property
    def limit(self) -> float:
        """Beyond this it is a regression."""
        return self.ratio * self.factor_max


@dataclass(frozen=True, slots=True)
class Verdict:
    """One measurement: the ratio of each try, the last of which was the first within the limit, if one was."""

    name: str
    about: str
    baseline: Baseline
    tries: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The best of the tries."""
        return min(self.tries)

    @property
    def is_regression(self) -> bool:
        """Whether none of the tries was within the limit."""
        return self.ratio > self.baseline.limit

    @property
    def sentence(self) -> str:
        """For a person."""
        kept = f"{self.ratio:.3g} times the reference, the baseline is {self.baseline.ratio:.3g}"
        if self.is_regression:
            return (
                f"{self.name}: REGRESSION: {self.about} costs {kept}, and {self.baseline.limit:.3g} is the limit, "
                f"in each of {len(self.tries)} tries; make it cheaper, or say why it must be so and take --update"
            )
        return f"{self.name}: fine: {self.about} costs {kept}"


def judge(name: str, about: str, baseline: Baseline, measure: Callable[[], float], tries_max: int) -> Verdict:
    """Measure until a try is within the limit, at most so often."""
    tries: list[float] = []
    while len(tries) < tries_max and (not tries or tries[-1] > baseline.limit):
        tries.append(measure())
    return Verdict(name, about, baseline, tuple(tries))


def parse_baseline(text: str) -> Baseline:
    """A baseline as it is kept. *Raises:* ValueError with a sentence."""
    try:
        found = json.loads(text)
        baseline = Baseline(float(found["ratio"]), float(found["factor_max"]), str(found["why"]))
    except (KeyError, TypeError, ValueError) as cause:
        raise ValueError("it is no JSON with ratio, factor_max and why") from cause
    if not (baseline.ratio > 0 and baseline.factor_max > 1):
        raise ValueError("its ratio must be above 0, and its factor_max above 1")
    return baseline


def format_baseline(baseline: Baseline) -> str:
    """The kept form."""
    fields = {"ratio": round(baseline.ratio, 3), "factor_max": baseline.factor_max, "why": baseline.why}
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Of the ratios of ours to the reference beside it, the one in the middle: what hits both at once cancels out."""
    ratios = sorted(ours / reference for ours, reference in pairs)
    return ratios[len(ratios) // 2]
