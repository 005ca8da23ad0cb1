"""What a validator says: a goal, a figure against its limit, and the evidence in a sentence. PURE."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from scenarios.shapes import GOALS


@dataclass(frozen=True, slots=True)
class Judgement:
    """One figure. *Absent:* `figure` and `limit` None where yes or no is the answer; `goal` None where it serves none."""

    validator: str
    goal: str | None
    what: str
    is_good: bool
    evidence: str
    figure: float | None = None
    limit: float | None = None
    unit: str = ""
    at_least: bool = False


def below(validator: str, goal: str | None, what: str, figure: float, limit: float, evidence: str, unit: str = "%") -> Judgement:
    """A figure that may be at most so large."""
    return Judgement(validator, goal, what, figure <= limit, evidence, figure, limit, unit)


def above(validator: str, goal: str | None, what: str, figure: float, limit: float, evidence: str, unit: str = "") -> Judgement:
    """A figure that must be at least so large."""
    return Judgement(validator, goal, what, figure >= limit, evidence, figure, limit, unit, at_least=True)


def missing(validator: str, goal: str | None, what: str, reason: str) -> Judgement:
    """What could not be measured is no success."""
    return Judgement(validator, goal, what, False, f"not measured: {reason}")


@dataclass(slots=True)
class ScenarioResult:
    """One run. `failures`: what kept it from being run to its end; `circumstances`: machine, kernel, load."""

    scenario: str
    about: str
    platform: str
    workload: str = ""
    configuration: str = ""
    judgements: list[Judgement] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    circumstances: dict[str, Any] = field(default_factory=dict)
    series: dict[str, list[list[float]]] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)

    @property
    def has_passed(self) -> bool:
        """It was run to its end, something was judged, and all of that is good."""
        return not self.failures and bool(self.judgements) and all(each.is_good for each in self.judgements)

    def only(self, goals: Sequence[str]) -> "ScenarioResult":
        """The same run with the judgements of these goals alone."""
        kept = [each for each in self.judgements if each.goal in goals]
        copy = {name: getattr(self, name) for name in self.__slots__}
        return ScenarioResult(**(copy | {"judgements": kept}))

    def of_goal(self, goal: str) -> bool | None:
        """Whether a goal holds by this run. *Absent:* None where it was not judged."""
        found = [each.is_good for each in self.judgements if each.goal == goal]
        return (all(found) and not self.failures) if found else None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found = {name: getattr(self, name) for name in self.__slots__ if name != "judgements"}
        goals = {goal: verdict for goal in GOALS if (verdict := self.of_goal(goal)) is not None}
        return found | {"passed": self.has_passed, "goals": goals, "judgements": [asdict(each) for each in self.judgements]}


def from_document(document: Mapping[str, Any]) -> ScenarioResult:
    """What `document` wrote, such as a guest's."""
    names = [name for name in ScenarioResult.__slots__ if name != "judgements"]
    known = {name: document[name] for name in names if name in document}
    return ScenarioResult(**known, judgements=[Judgement(**each) for each in document["judgements"]])


def coverage(results: Iterable[ScenarioResult]) -> dict[tuple[str, str, str], bool]:
    """Whether a goal holds, by goal, scenario and platform; of several runs of one all must."""
    found: dict[tuple[str, str, str], bool] = {}
    for result in results:
        for goal in GOALS:
            verdict = result.of_goal(goal)
            if verdict is not None:
                key = (goal, result.scenario, result.platform)
                found[key] = found.get(key, True) and verdict
    return found
