"""A worker's stderr: each line goes to the log, the last ones are kept for the record of its death."""

import os
from collections import deque

from supervisor.shell.log import EventLog

TAIL_LINES_MAX = 64
LINE_BYTES_MAX = 400
READ_BYTES = 64 << 10
# A traceback of every thread fits; a worker in a loop of complaints does not fill the log.
LOGGED_LINES_MAX = 200


class WorkerStderr:
    """The read end of one worker's stderr, non-blocking; the descriptor belongs to the caller."""

    def __init__(self, worker: str, descriptor: int, log: EventLog) -> None:
        self._worker = worker
        self._descriptor = descriptor
        self._log = log
        self._lines: deque[str] = deque(maxlen=TAIL_LINES_MAX)
        self._partial = b""
        self._lines_since_report = 0

    def read(self) -> bool:
        """Log what has arrived, and keep its last lines. True at the end of the stream. *Raises:* OSError."""
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            return True
        *lines, partial = (self._partial + data).split(b"\n")
        self._partial = partial[-LINE_BYTES_MAX:]
        for line in lines:
            for text in _text_of(line):
                self._lines.append(text)
                self._pass_on(text)
        return False

    def tail(self) -> tuple[str, ...]:
        """The last lines, the last one perhaps unfinished. *Range:* at most `TAIL_LINES_MAX` lines of `LINE_BYTES_MAX` bytes."""
        return tuple([*self._lines, *_text_of(self._partial)][-TAIL_LINES_MAX:])

    def report_hidden(self) -> None:
        """Log how many lines were kept out of the log since the last call, and let lines through again."""
        hidden = self._lines_since_report - LOGGED_LINES_MAX
        if hidden > 0:
            self._log.write("worker_stderr_hidden", "warning", {"worker": self._worker, "hidden_lines": hidden})
        self._lines_since_report = 0

    def _pass_on(self, text: str) -> None:
        self._lines_since_report += 1
        if self._lines_since_report <= LOGGED_LINES_MAX:
            self._log.write("worker_stderr", "info", {"worker": self._worker, "text": text})


def _text_of(line: bytes) -> list[str]:
    text = line[:LINE_BYTES_MAX].decode("utf-8", "replace").rstrip()
    return [text] if text else []
