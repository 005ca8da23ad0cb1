"""One line per event on stderr: a fixed name and fields, as text or as JSON."""

import io
import select
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from agent.model.foreign import readable
from agent.model.json_text import json_bytes
from agent.model.timebase import iso_utc
from agent.ports import Clock

SEVERITIES = ("debug", "info", "warning", "error")
# A pipe that poll(2) calls writable takes at least PIPE_BUF bytes without blocking, 4,096 on Linux (pipe(7)).
LINE_BYTES_MAX = 4096


class EventLog:
    """Writes events of at least one severity, and never waits: a reader that has stopped reading (a full pipe, Ctrl-S in a
    terminal) would else stop supervision. What could not be written is counted, and the next line that can be says how many.
    A closed stderr ends the writing, not the agent.
    """

    def __init__(self, clock: Clock, *, level: str, form: str, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._least = SEVERITIES.index(level)
        self._form = form
        self._stream = stream or sys.stderr
        self._poll = _writability(self._stream)
        self._unwritten_in_a_row = 0
        self.unwritten = 0

    def write(self, kind: str, severity: str, fields: Mapping[str, Any]) -> None:
        """One event. *Shape:* `time severity kind key=value …`, or one JSON object."""
        if severity in SEVERITIES and SEVERITIES.index(severity) < self._least:
            return
        hidden = {"hidden_before": self._unwritten_in_a_row} if self._unwritten_in_a_row else {}
        line = self._line(kind, severity, {**fields, **hidden})
        try:
            if self._poll is not None and not self._poll.poll(0):
                raise BlockingIOError("nobody reads")
            self._stream.write(line)
            self._stream.flush()
            self._unwritten_in_a_row = 0
        except (OSError, ValueError):
            self.unwritten += 1
            self._unwritten_in_a_row += 1

    def _line(self, kind: str, severity: str, fields: Mapping[str, Any]) -> str:
        at = iso_utc(self._clock.wall_ns())
        if self._form == "json":
            line = json_bytes({**fields, "at": at, "severity": severity, "event": kind})
            if len(line) >= LINE_BYTES_MAX:
                # Cut, it would be no JSON any more.
                line = json_bytes({"at": at, "severity": severity, "event": kind, "cut_bytes": len(line)})
            return line.decode() + "\n"
        text = " ".join([at, f"{severity:7}", kind, *(f"{key}={_shown(value)}" for key, value in fields.items())])
        return text.encode()[: LINE_BYTES_MAX - 1].decode(errors="ignore") + "\n"


def _writability(stream: TextIO) -> "select.poll | None":
    """A poll object that tells whether a write would block; None where nothing can block (a stream in memory, or closed)."""
    try:
        descriptor = stream.fileno()
    except (io.UnsupportedOperation, ValueError):
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll


def _shown(value: object) -> str:
    text = str(value)
    if text and " " not in text and '"' not in text and text.isprintable():
        return text
    # What a worker says must not steer the terminal of whoever reads the log. Backslashes first: the escapes are to stay single.
    return '"' + readable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
