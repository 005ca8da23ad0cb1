"""Findings of `agentctl neighbours` as one JSON document. PURE."""

from collections.abc import Sequence

from msgspec import to_builtins

from agent.cli.neighbour_name import UnitNames
from agent.cli.neighbour_ranking import VictimFinding
from agent.cli.neighbour_text import Looked
from agent.cli.neighbour_verdict import Verdict


def document_of(looked: Looked, findings: Sequence[VictimFinding], names: UnitNames) -> dict[str, object]:
    """The answer. *Units:* seconds of unix time; pressure as parts of 1; columns as table `unit` has them."""
    return {"looked": to_builtins(looked), "victims": [_victim(found, names) for found in findings]}


def _victim(found: VictimFinding, names: UnitNames) -> dict[str, object]:
    return {
        "unit": found.unit,
        "name": names.name(found.unit),
        "symptom": found.symptom.value,
        "seconds": found.seconds,
        "lost_seconds": found.lost_seconds,
        "culprits": [
            {
                "unit": blame.unit,
                "name": names.name(blame.unit),
                "lost_seconds": blame.lost_seconds,
                "episodes": blame.episodes,
                "seconds": blame.seconds,
            }
            for blame in found.blames
        ],
        "no_culprit_because": None if found.innocence is None else found.innocence.value,
        "episodes": [_episode(verdict, names) for verdict in found.verdicts],
    }


def _episode(verdict: Verdict, names: UnitNames) -> dict[str, object]:
    return {
        "since_s": verdict.begin_s,
        "until_s": verdict.end_s,
        "before": verdict.before,
        "during": verdict.during,
        "limit_of": verdict.limit,
        "no_culprit_because": None if verdict.innocence is None else verdict.innocence.value,
        "culprits": [
            {
                "unit": culprit.unit,
                "name": names.name(culprit.unit),
                "column": culprit.column,
                "before": culprit.before,
                "during": culprit.during,
                "part": culprit.part,
                "began_seconds_before": culprit.lag_seconds,
                "seconds": culprit.seconds,
                "correlation": culprit.correlation,
                "chance": culprit.chance,
            }
            for culprit in verdict.culprits
        ],
    }
