"""One line per event on stderr: a fixed name and fields, as text or as JSON."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from agent.model.foreign import readable
from agent.model.json_text import json_bytes
from agent.model.timebase import iso_utc
from agent.ports import Clock
from supervisor.core.effect import Noted
from supervisor.shell.stray import Stray

SEVERITIES = ("debug", "info", "warning", "error")
# A pipe takes up to PIPE_BUF bytes, 4,096 on Linux, in one piece (pipe(7)): lines of several writers do not mix.
LINE_BYTES_MAX = 4096
STRAYS_NAMED_MAX = 20
# Until the loop takes them, which it does several times a second.
NOTED_MAX = 64


class LineSink(Protocol):
    """Where lines go; it never waits (`agent.daemon.text_output.TextOutput`)."""

    # How many were lost: in all, and since the last line that reported it.
    lost: int
    untold: int

    def put(self, piece: bytes, *, tells: int = 0) -> None:
        """Take a line; it reports `tells` of the untold losses."""


class EventLog:
    """Writes events from one severity upwards. Lines that could not be written are counted, and the next one that can be says
    how many there were. A closed stderr ends the writing, not the agent.
    """

    def __init__(self, clock: Clock, *, level: str, form: str, output: LineSink) -> None:
        self._clock = clock
        self._least = SEVERITIES.index(level)
        self._form = form
        self._output = output
        # From any thread.
        self._noted: deque[Noted] = deque(maxlen=NOTED_MAX)

    def take_noted(self) -> Iterator[Noted]:
        """What was logged here that is an event too, once."""
        while self._noted:
            yield self._noted.popleft()

    def set_form(self, level: str, form: str) -> None:
        """Another least severity and form from the next line on."""
        self._least, self._form = SEVERITIES.index(level), form

    @property
    def unwritten(self) -> int:
        """How many lines were lost."""
        return self._output.lost

    def write(self, kind: str, severity: str, fields: Mapping[str, Any]) -> None:
        """One event. *Shape:* `time severity kind key=value …`, or one JSON object."""
        if severity in SEVERITIES and SEVERITIES.index(severity) < self._least:
            return
        untold = self._output.untold
        hidden = {"hidden_before": untold} if untold else {}
        self._output.put(self._line(kind, severity, {**fields, **hidden}), tells=untold)

    def note_killed(self, strays: Sequence[Stray]) -> None:
        """Name the processes that were ended as strays: the first of very many, and how many more there were.

        One whose end had begun before, as that of a child which dies with its worker, is nothing to look into.
        """
        for stray in strays[:STRAYS_NAMED_MAX]:
            fields = {"pid": stray.pid, "name": stray.name, "reason": stray.reason}
            if stray.was_ending:
                self.write("stray_killed", "debug", fields)
            else:
                self._note(Noted("stray_killed", "warning", fields))
        if more := strays[STRAYS_NAMED_MAX:]:
            self._note(Noted("strays_killed", "warning", {"more": len(more)}))

    def _note(self, noted: Noted) -> None:
        self.write(noted.kind, noted.severity, noted.fields)
        self._noted.append(noted)

    def _line(self, kind: str, severity: str, fields: Mapping[str, Any]) -> bytes:
        at = iso_utc(self._clock.wall_ns())
        if self._form == "json":
            line = json_bytes({**fields, "at": at, "severity": severity, "event": kind})
            if len(line) >= LINE_BYTES_MAX:
                # A cut line would be no JSON.
                line = json_bytes({"at": at, "severity": severity, "event": kind, "cut_bytes": len(line)})
            return line + b"\n"
        text = " ".join([at, f"{severity:7}", kind, *(f"{key}={_shown(value)}" for key, value in fields.items())])
        return text.encode(errors="replace")[: LINE_BYTES_MAX - 1].decode(errors="ignore").encode() + b"\n"


def _shown(value: object) -> str:
    text = str(value)
    if text and " " not in text and '"' not in text and text.isprintable():
        return text
    # A worker's text must not control the terminal on which the log is read. Backslashes first: the escapes are to stay single.
    return '"' + readable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
