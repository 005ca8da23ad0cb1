"""Events as `agentctl` shows them: one line each, with how long what a condition began has held."""

from collections.abc import Iterable, Sequence

from agent.cli.render import ABSENT, TextColumn, seconds_of, text_of
from agent.model.control.result import ConditionRow, DiagnosticRow

EVENT_COLUMNS = (
    TextColumn("AT"),
    TextColumn("SEVERITY"),
    TextColumn("WORKER"),
    TextColumn("EVENT"),
    TextColumn("PHASE"),
    TextColumn("HELD"),
    TextColumn("FIELDS", yields=True),
)
STILL_HOLDS = "still holds"
_BEGIN, _END = "begin", "end"

# Which condition of which worker, and since when.
Stay = tuple[str, str, str]


def fields_of(fields: dict[str, object]) -> str:
    """Fields of an event as `name=value` words."""
    return text_of(" ".join(f"{name}={text_of(item)}" for name, item in fields.items()))


def announced_kind(row: DiagnosticRow) -> str:
    """The kind, with the subject behind it where there is one."""
    return row.kind if row.subject is None else f"{row.kind}:{row.subject}"


def event_cells(row: DiagnosticRow, held: str = ABSENT) -> tuple[str, ...]:
    """One line of the table of events."""
    fields = {name: value for name, value in row.fields.items() if name != "held_seconds"}
    held = held_text(row) if held == ABSENT else held
    kind, phase = announced_kind(row), row.phase
    return text_of(row.at), text_of(row.severity), text_of(row.worker), text_of(kind), text_of(phase), held, fields_of(fields)


def held_text(row: DiagnosticRow) -> str:
    """How long a condition had held by then, as the event itself says."""
    seconds = row.fields.get("held_seconds")
    return seconds_of(float(seconds)) if isinstance(seconds, int | float) else ABSENT


def stays(rows: Iterable[DiagnosticRow], holding: Sequence[ConditionRow]) -> dict[Stay, str]:
    """How long each condition held whose end is among the events, and which of them still hold."""
    found = {_stay(row): held_text(row) for row in rows if row.phase == _END}
    for condition in holding:
        if condition.since is not None:
            found[condition.worker, condition.kind, condition.since] = STILL_HOLDS
    return found


def paired_cells(row: DiagnosticRow, lengths: dict[Stay, str]) -> tuple[str, ...]:
    """One line; a beginning says how long it held, or that it still holds."""
    return event_cells(row, lengths.get(_stay(row), ABSENT) if row.phase == _BEGIN else ABSENT)


def _stay(row: DiagnosticRow) -> Stay:
    return row.worker or "supervisor", announced_kind(row), row.since or ""
