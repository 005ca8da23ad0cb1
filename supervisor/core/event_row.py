"""Events as rows of table `diag`. PURE, bounded.

What a worker wrote to stderr is in no row: it may hold anything. The log and `agentctl diag` have it.
"""

import json
from typing import Any

from agent.model.foreign import readable
from agent.model.message import SUPERVISOR
from agent.model.table import Row
from supervisor.core.event_history import DiagnosticEvent

# In this order the first that is there is the sentence of an event.
SENTENCES = ("detail", "problem", "sentence")
NOT_STORED = frozenset({"stderr_tail", "held_seconds"})
DETAIL_CHARACTERS_MAX = 2_000
# A text of a field; a worker's note has at most 32 fields.
TEXT_CHARACTERS_MAX = 500


def event_row(event: DiagnosticEvent, *, run: str, seq: int, wall_offset_ns: int) -> Row:
    """The row of an event, in the order of the columns. `wall_offset_ns`: wall time minus monotonic time."""
    detail = next((str(event.fields[name]) for name in SENTENCES if event.fields.get(name)), None)
    rest = {name: _stored(value) for name, value in event.fields.items() if name not in NOT_STORED and name not in SENTENCES}
    return (
        event.at_ns + wall_offset_ns,
        run,
        seq,
        event.kind,
        event.subject,
        None if event.phase is None else str(event.phase),
        event.worker or SUPERVISOR,
        event.severity,
        None if detail is None else readable(detail[:DETAIL_CHARACTERS_MAX]),
        json.dumps(rest) if rest else None,
        None if event.since_ns is None else event.since_ns + wall_offset_ns,
        event.count,
    )


def _stored(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return readable(str(value)[:TEXT_CHARACTERS_MAX])
