"""A worker's stderr over a real pipe: what is logged, what is kept for the record of its death."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.clock import FakeClock

from supervisor.shell.log import EventLog
from supervisor.shell.worker_stderr import LINE_BYTES_MAX, LOGGED_LINES_MAX, TAIL_LINES_MAX, WorkerStderr


class RecordedLog(EventLog):
    """Keeps events as they are written."""

    def __init__(self) -> None:
        super().__init__(FakeClock(), level="debug", form="text", output=_Nowhere())
        self.events: list[tuple[str, dict[str, Any]]] = []

    def write(self, kind: str, severity: str, fields: Any) -> None:
        """Keep it."""
        self.events.append((kind, dict(fields)))


class _Nowhere:
    lost = untold = 0

    def put(self, piece: bytes, *, tells: int = 0) -> None:
        """Drop it."""


class Pipe:
    """A worker's stderr and its reader."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.log = RecordedLog()
        self.stderr = WorkerStderr("writer", self.read_end, self.log)

    def say(self, data: bytes) -> bool:
        """The worker writes, and the reader reads."""
        os.write(self.write_end, data)
        return self.stderr.read()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Both ends."""
    pipe = Pipe()
    yield pipe
    os.close(pipe.read_end)
    os.close(pipe.write_end)


def test_whole_lines_are_logged_and_a_begun_one_is_kept_for_the_tail(pipe: Pipe) -> None:
    """A line that comes in pieces is one line; what a dying worker did not finish is still in its tail."""
    assert not pipe.stderr.read(), "there is nothing yet"
    assert not pipe.say(b"first\nsec")
    assert pipe.stderr.tail() == ("first", "sec")
    pipe.say(b"ond\n\n")
    assert pipe.log.events == [
        ("worker_stderr", {"worker": "writer", "text": "first"}),
        ("worker_stderr", {"worker": "writer", "text": "second"}),
    ]
    assert pipe.stderr.tail() == ("first", "second")


def test_the_end_of_the_stream_is_reported(pipe: Pipe) -> None:
    """The reader need not be called again."""
    pipe.say(b"bye\n")
    os.close(pipe.write_end)
    assert pipe.stderr.read()
    pipe.write_end = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def test_a_flood_is_cut_in_the_log_and_counted(pipe: Pipe) -> None:
    """Until the next report; the tail has the latest lines."""
    count = LOGGED_LINES_MAX + 7
    pipe.say(b"".join(b"line %d\n" % number for number in range(count)))
    assert len(pipe.log.events) == LOGGED_LINES_MAX
    pipe.stderr.report_hidden()
    assert pipe.log.events[-1] == ("worker_stderr_hidden", {"worker": "writer", "hidden_lines": 7})
    assert pipe.stderr.tail() == tuple(f"line {number}" for number in range(count - TAIL_LINES_MAX, count))
    pipe.say(b"again\n")
    assert pipe.log.events[-1] == ("worker_stderr", {"worker": "writer", "text": "again"})


def test_a_line_without_an_end_takes_no_more_than_its_maximum(pipe: Pipe) -> None:
    """However much of it comes; bytes that are no UTF-8 are replaced."""
    for _ in range(3):
        pipe.say(b"\xff" * 2 * LINE_BYTES_MAX)
    (line,) = pipe.stderr.tail()
    assert line == "\ufffd" * LINE_BYTES_MAX
