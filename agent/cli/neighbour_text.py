"""Findings of `agentctl neighbours` as people read them: a table, and a sentence for each victim. PURE."""

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo

from msgspec import Struct

from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_ranking import VictimFinding
from agent.cli.neighbour_unit import BANDWIDTH, CPU, IO_BYTES, IO_OPERATIONS, LLC, MEMORY
from agent.cli.neighbour_verdict import Innocence, NoisyNeighbour
from agent.cli.render import ABSENT, TextColumn, bytes_of, counted, seconds_of

Name = Callable[[str], str]

COLUMNS = (
    TextColumn("VICTIM", yields=True),
    TextColumn("SUFFERS"),
    TextColumn("SINCE"),
    TextColumn("TIME", right=True),
    TextColumn("SHARE", right=True),
    TextColumn("CULPRIT", yields=True),
    TextColumn("PART", right=True),
    TextColumn("USED", right=True),
)
NOBODY = "nobody"
_SUFFERS = {
    Symptom.CPU: "waited for a CPU {} of the time{}",
    Symptom.MEMORY: "waited for memory {} of the time{}",
    Symptom.IO: "waited for I/O {} of the time{}",
    Symptom.THROTTLED: "was held back by its CPU limit {} of the time{}",
    Symptom.CACHE: "lacked {} of the last-level cache that it usually holds{}",
}
_WHY = {
    Innocence.OWN_LIMIT: "its own limit held it back, so no neighbour is at fault",
    Innocence.OWN_LOAD: "it wanted more itself, and its neighbours together did not want more than it",
    Innocence.LESS_WORK: "it worked less itself, and so needed less cache",
    Innocence.NO_SHORTAGE: "the host had enough of it, and no limit that it shares with others was hit",
    Innocence.NOTHING_ROSE: "no other unit used clearly more in the same seconds",
    Innocence.NO_UNIT: "what rose belongs to no unit: `agentctl top --at` shows the processes of that time",
    Innocence.TOO_LITTLE: "too few seconds before it are known to tell what is usual",
}


class Looked(Struct, frozen=True):
    """What was looked at: the seconds between two moments, in how many of them there is data, how many units and episodes.

    `unjudged` episodes, the smallest ones, were found and not looked into.
    """

    since_s: int
    until_s: int
    ticks: int
    units: int
    episodes: int
    unjudged: int = 0


def table_rows(findings: Sequence[VictimFinding], name: Name, zone: tzinfo) -> list[tuple[str, ...]]:
    """A line for each victim and culprit. The sentences have the dates."""
    rows: list[tuple[str, ...]] = []
    for found in findings:
        worst = found.worst
        head = (
            name(found.unit),
            found.symptom.value,
            moment_text(worst.begin_s, zone)[-8:],
            seconds_of(found.seconds),
            f"{_percent(worst.before)} to {_percent(worst.during)}",
        )
        for place, blame in enumerate(found.blames):
            lead = head if place == 0 else ("", "", "", "", "")
            culprit = blame.worst
            rows.append((*lead, name(blame.unit), _percent(culprit.part), _used(culprit)))
        if not found.blames:
            why = (found.innocence or Innocence.NOTHING_ROSE).value.replace("_", " ")
            rows.append((*head, f"{NOBODY}: {why}", ABSENT, ABSENT))
    return rows


def sentence_of(found: VictimFinding, name: Name, zone: tzinfo) -> str:
    """What happened to a victim and who caused it, in plain words."""
    worst = found.worst
    when = f"for {worst.seconds} s from {moment_text(worst.begin_s, zone)}"
    before = "" if worst.before is None else f" (before: {_percent(worst.before)})"
    told = f"{name(found.unit)} {_SUFFERS[found.symptom].format(_percent(worst.during), before)} {when}"
    if worst.culprits:
        cause = " and ".join(_did(culprit, name) for culprit in worst.culprits)
        under = f", below the memory limit of {name(worst.limit)}" if worst.limit else ""
        told = f"{told}: {cause}{under}"
    else:
        told = f"{told}: no culprit seen; {_WHY[worst.innocence or Innocence.NOTHING_ROSE]}"
    others = len(found.verdicts) - 1
    return f"{told}. {_further(found, others)}" if others else f"{told}."


def _further(found: VictimFinding, others: int) -> str:
    named = sum(bool(verdict.culprits) for verdict in found.verdicts)
    times = counted(others, "further time")
    return f"It suffered {times}; a neighbour is named in {named} of {others + 1}." if found.blames else f"It suffered {times}."


def _did(culprit: NoisyNeighbour, name: Name) -> str:
    when = "in the same second" if abs(culprit.lag_seconds) <= 1 else _lag(culprit.lag_seconds)
    part = f"{_percent(culprit.part)} of all that rose"
    return f"{name(culprit.unit)} {_USED[culprit.column]} {_used(culprit)}, beginning {when}, {part}"


def _lag(seconds: int) -> str:
    return f"{seconds} s before" if seconds > 0 else f"{-seconds} s after"


_USED = {
    CPU: "went in CPU from",
    MEMORY: "went in memory from",
    IO_BYTES: "went in I/O from",
    IO_OPERATIONS: "went in I/O operations from",
    LLC: "went in cache from",
    BANDWIDTH: "went in memory bandwidth from",
}


def _used(culprit: NoisyNeighbour) -> str:
    before, during = (amount_of(culprit.column, value) for value in (culprit.before, culprit.during))
    number, _, unit = before.partition(" ")
    return f"{number} to {during}" if during.endswith(f" {unit}") else f"{before} to {during}"


def amount_of(column: str, value: float) -> str:
    """A value of a column with its unit."""
    match column:
        case "cpu_cores":
            return f"{value:.2f} cores"
        case "io_operations_per_second":
            return f"{value:.0f}/s"
        case "io_bytes_per_second" | "mbm_total_bytes_per_second":
            return f"{bytes_of(value)}/s"
    return bytes_of(value)


def _percent(part: float | None) -> str:
    return ABSENT if part is None else f"{100 * part:.0f}%"


def moment_text(at_s: int, zone: tzinfo) -> str:
    """A moment of local time, to the second."""
    return datetime.fromtimestamp(at_s, zone).strftime("%Y-%m-%d %H:%M:%S")


def looked_lines(looked: Looked, findings: Sequence[VictimFinding], zone: tzinfo) -> list[str]:
    """What was looked at, and what of it is missing."""
    seconds = looked.until_s - looked.since_s
    since, until = moment_text(looked.since_s, zone), moment_text(looked.until_s, zone)
    victims = len({found.unit for found in findings})
    lines = [
        f"looked at {counted(looked.units, 'unit')} from {since} to {until} ({seconds_of(seconds)}, {looked.ticks} s with rows): "
        f"{counted(looked.episodes, 'episode')} of {counted(victims, 'unit')}"
    ]
    if looked.unjudged:
        lines.append(f"{counted(looked.unjudged, 'smaller episode')} not looked into: ask for a shorter time, or for one --unit")
    return lines
