"""Checks messages of workers before they are used: a worker does not decide on their size and form. PURE."""

from agent.model.errors import FormatError
from agent.model.message import Note, Publish
from agent.model.rule import decode_assignment
from supervisor.core.effect import Log

# What a worker may announce at once; the control plane's first look at a full host is far below.
PUBLISH_CHANGES_MAX = 20_000
# Notes are short; a defective worker must not fill the event history.
NOTE_FIELDS_MAX = 32
NOTE_TEXT_MAX = 64
NOTE_VALUE_MAX = 2_000


def log_of(worker: str, note: Note) -> Log:
    """A worker's note as a log line, its name and fields cut to their maximum size."""
    kind = note.kind if len(note.kind) <= NOTE_TEXT_MAX and note.kind.isidentifier() and note.kind.isascii() else "unnamed_note"
    severity = note.severity if note.severity in ("debug", "info", "warning", "error") else "warning"
    fields = {key[:NOTE_TEXT_MAX]: _cut(value) for key, value in list(note.fields.items())[:NOTE_FIELDS_MAX]}
    return Log(kind, severity, {**fields, "worker": worker})


def _cut(value: str | int | float | bool | None) -> str | int | float | bool | None:
    return value[:NOTE_VALUE_MAX] if isinstance(value, str) else value


def problem_of_publish(message: Publish) -> str | None:
    """Why this is nothing that a worker may publish. *Absent:* it may."""
    if len(message.changes) > PUBLISH_CHANGES_MAX:
        return f"{len(message.changes)} changes at once are more than {PUBLISH_CHANGES_MAX}"
    for key, content in message.changes:
        if not key.startswith("pod/"):
            return f"key {key[:64]!r} is not the control plane's"
        if content is not None:
            try:
                decode_assignment(content)
            except FormatError as cause:
                return cause.sentence
    return None
