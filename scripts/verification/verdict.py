"""What a judge says of a goal: holds or not, with figures against limits in one line. PURE."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

GOAL_TITLES = {
    "G-1": "schemas only grow",
    "G-2": "the host pays little",
    "G-3": "sketches are right",
    "G-4": "named rows hold enough",
    "G-5": "everything adds up",
    "G-6": "every breaker and fallback is told",
    "G-7": "everything is in the runbook",
    "G-8": "all tests pass",
    "G-9": "the law of the architecture holds",
    "G-10": "every remedy is proven",
}
EVIDENCE_LETTERS = 2000


@dataclass(slots=True)
class GoalVerdict:
    """One goal. `details`: what is not good, or further evidence, a sentence each; `took_seconds`: to gather and judge."""

    goal: str
    is_good: bool
    evidence: str
    details: list[str] = field(default_factory=list)
    took_seconds: float = 0.0

    def line(self) -> str:
        """`G-2 pass  CPU of the agent 1.4 % (<= 2 %) …`."""
        words = " ".join(self.evidence.split())
        return f"{self.goal:4} {'pass' if self.is_good else 'FAIL'}  {words[:EVIDENCE_LETTERS]}"


def all_hold(verdicts: Iterable[GoalVerdict]) -> bool:
    """Whether something was judged, and all of it holds."""
    found = [each.is_good for each in verdicts]
    return bool(found) and all(found)


def verdict_document(verdicts: Iterable[GoalVerdict], about: dict[str, Any]) -> dict[str, Any]:
    """As JSON; `about` says when, where and of what."""
    found = list(verdicts)
    goals = [asdict(each) | {"title": GOAL_TITLES[each.goal]} for each in found]
    return about | {"passed": all_hold(found), "goals": goals}


def verdict_page(verdicts: Iterable[GoalVerdict], about: dict[str, Any]) -> str:
    """As Markdown."""
    found = list(verdicts)
    lines = ["# Verification", "", ", ".join(f"{name} {value}" for name, value in about.items() if not isinstance(value, dict)), ""]
    lines += [
        f"{sum(each.is_good for each in found)} of {len(found)} goals hold.",
        "",
        "| goal | | verdict | evidence |",
        "|---|---|---|---|",
    ]
    for each in found:
        words = " ".join(each.evidence.split()).replace("|", "\\|")
        lines.append(f"| {each.goal} | {GOAL_TITLES[each.goal]} | {'pass' if each.is_good else '**FAIL**'} | {words} |")
    for each in found:
        if each.details:
            lines += ["", f"## {each.goal}: {GOAL_TITLES[each.goal]}", "", *(f"- {detail}" for detail in each.details)]
    return "\n".join(lines) + "\n"
