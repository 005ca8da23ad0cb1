"""One line per event on stderr: a fixed name and fields, as text or as JSON."""

import sys
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec

from agent.model.timebase import iso_utc
from agent.ports import Clock

SEVERITIES = ("debug", "info", "warning", "error")


class EventLog:
    """Writes events of at least one severity. A closed stderr ends the writing, not the agent."""

    def __init__(self, clock: Clock, *, level: str, form: str, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._least = SEVERITIES.index(level)
        self._form = form
        self._stream = stream or sys.stderr
        self.unwritten = 0

    def write(self, kind: str, severity: str, fields: Mapping[str, Any]) -> None:
        """One event. *Shape:* `time severity kind key=value …`, or one JSON object."""
        if severity in SEVERITIES and SEVERITIES.index(severity) < self._least:
            return
        at = iso_utc(self._clock.wall_ns())
        if self._form == "json":
            line = msgspec.json.encode({"at": at, "severity": severity, "event": kind, **fields}).decode()
        else:
            line = " ".join([at, f"{severity:7}", kind, *(f"{key}={_shown(value)}" for key, value in fields.items())])
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.unwritten += 1


def _shown(value: object) -> str:
    text = str(value)
    if text and " " not in text and '"' not in text and text.isprintable():
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
