"""Verdicts put together by victim, and the neighbours of each ranked by what they cost it. PURE."""

from collections.abc import Iterable

from msgspec import Struct

from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_verdict import Innocence, NoisyNeighbour, Verdict


class NeighbourBlame(Struct, frozen=True):
    """A neighbour in all episodes of a victim.

    `lost_seconds` is its part of what the victim lost, `episodes` in how many it is named, `seconds` how long it was up in them;
    `worst` is its part in the episode in which it cost most.
    """

    unit: str
    lost_seconds: float
    episodes: int
    seconds: int
    worst: NoisyNeighbour


class VictimFinding(Struct, frozen=True):
    """What a unit suffered from in all its episodes, the longest loss first, and who caused it, the worst first.

    `innocence` is why nobody is named, in the episode that cost most of those without a culprit. *Absent:* None where each has one.
    """

    unit: str
    symptom: Symptom
    lost_seconds: float
    verdicts: tuple[Verdict, ...]
    blames: tuple[NeighbourBlame, ...]
    innocence: Innocence | None

    @property
    def seconds(self) -> int:
        """How long it suffered."""
        return sum(verdict.seconds for verdict in self.verdicts)

    @property
    def worst(self) -> Verdict:
        """The episode that is told: that which cost most, of those with a culprit where there is any."""
        return next((verdict for verdict in self.verdicts if verdict.culprits), self.verdicts[0])


def findings_of(verdicts: Iterable[Verdict]) -> list[VictimFinding]:
    """A finding for each unit and symptom: those with a culprit first, then by what was lost."""
    by_victim: dict[tuple[str, Symptom], list[Verdict]] = {}
    for verdict in verdicts:
        by_victim.setdefault((verdict.unit, verdict.symptom), []).append(verdict)
    findings = [_finding(unit, symptom, of_victim) for (unit, symptom), of_victim in by_victim.items()]
    return sorted(findings, key=lambda found: (not found.blames, -found.lost_seconds, found.unit, found.symptom))


def _finding(unit: str, symptom: Symptom, verdicts: list[Verdict]) -> VictimFinding:
    ordered = sorted(verdicts, key=lambda verdict: (-verdict.lost_seconds, verdict.begin_s))
    innocence = next((verdict.innocence for verdict in ordered if not verdict.culprits), None)
    lost = sum(verdict.lost_seconds for verdict in ordered)
    return VictimFinding(unit, symptom, lost, tuple(ordered), tuple(_blames(ordered)), innocence)


def _blames(verdicts: Iterable[Verdict]) -> list[NeighbourBlame]:
    parts: dict[str, list[tuple[float, NoisyNeighbour]]] = {}
    for verdict in verdicts:
        for culprit in verdict.culprits:
            parts.setdefault(culprit.unit, []).append((verdict.lost_seconds * culprit.part, culprit))
    blames = [
        NeighbourBlame(
            unit,
            sum(lost for lost, _ in found),
            len(found),
            sum(culprit.seconds for _, culprit in found),
            max(found, key=lambda each: each[0])[1],
        )
        for unit, found in parts.items()
    ]
    return sorted(blames, key=lambda blame: (-blame.lost_seconds, blame.unit))
