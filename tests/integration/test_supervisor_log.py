"""The supervisor's log: one line per event, over memory and over real pipes that nobody reads."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fakes.clock import FakeClock

from agent.daemon.text_output import TextOutput
from agent.model.timebase import S
from supervisor.shell.log import LINE_BYTES_MAX, EventLog, LineSink
from supervisor.shell.stray import Stray

WALL_NS = 1_800_000_000 * S
AT = "2027-01-15T08:00:00.000Z"
DEADLINE_SECONDS = 30.0


class Lines:
    """Takes every line."""

    def __init__(self) -> None:
        self.text = ""
        self.lost = 0
        self.untold = 0

    def put(self, piece: bytes, *, tells: int = 0) -> None:
        """Keep it."""
        self.text += piece.decode()


def _log(output: LineSink, *, level: str = "debug", form: str = "text") -> EventLog:
    return EventLog(FakeClock(wall_ns=WALL_NS), level=level, form=form, output=output)


def _written(fields: dict[str, object], *, form: str = "text") -> str:
    lines = Lines()
    _log(lines, form=form).write("worker_up", "info", fields)
    return lines.text


@contextmanager
def _pipe(*, is_full: bool = False) -> Iterator[tuple[int, TextOutput]]:
    """The read end of a pipe, and an output with room for two lines behind the other."""
    read, write = os.pipe()
    if is_full:
        _fill(write)
    output = TextOutput(write, queue_bytes_max=2 * LINE_BYTES_MAX)
    try:
        yield read, output
    finally:
        _take(read)
        assert output.close(DEADLINE_SECONDS)
        os.close(read)
        os.close(write)


def _fill(write: int) -> None:
    """Write empty lines until the pipe takes no byte more."""
    os.set_blocking(write, False)
    for piece in (b"\n" * 4096, b"\n"):
        with suppress(BlockingIOError):
            while True:
                os.write(write, piece)
    os.set_blocking(write, True)


def _take(read: int) -> bytes:
    """What is in the pipe now."""
    os.set_blocking(read, False)
    taken = b""
    try:
        while data := os.read(read, 1 << 20):
            taken += data
    except BlockingIOError:
        return taken
    return taken


def test_a_line_of_text_has_time_severity_name_and_fields() -> None:
    """Values with spaces, quotes or line breaks are quoted, and stay on their line."""
    assert _written({"worker": "sampler/process", "took_ms": 1.5}) == f"{AT} info    worker_up worker=sampler/process took_ms=1.5\n"
    assert _written({}) == f"{AT} info    worker_up\n"
    quoted: dict[str, object] = {"a": "two words", "b": 'a "b"', "c": "x\ny", "d": "", "e": "back\\slash", "f": "both \\ \n"}
    expected = r'a="two words" b="a \"b\"" c="x\ny" d="" e=back\slash f="both \\ \n"'
    assert _written(quoted) == f"{AT} info    worker_up {expected}\n"


def test_a_line_of_json_is_one_document() -> None:
    """The same event for machines."""
    line = _written({"worker": "w", "text": 'a "b"\nc', "n": 3, "none": None}, form="json")
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "at": AT, "severity": "info", "event": "worker_up", "worker": "w", "text": 'a "b"\nc', "n": 3, "none": None,
    }  # fmt: skip


def test_what_is_below_the_level_is_not_written() -> None:
    """A severity that nobody knows is."""
    lines = Lines()
    log = _log(lines, level="warning")
    for severity in ("debug", "info", "warning", "error", "strange"):
        log.write(severity, severity, {})
    assert [line.split()[2] for line in lines.text.splitlines()] == ["warning", "error", "strange"]


def test_a_stream_that_is_closed_ends_the_writing_and_nothing_else() -> None:
    """Counted, never raised."""
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    output = TextOutput(write)
    log = _log(output)
    log.write("a", "info", {})
    log.write("b", "info", {})
    assert output.close(DEADLINE_SECONDS)
    assert log.unwritten == 2


def test_a_reader_that_has_gone_is_counted() -> None:
    """A broken pipe behind stderr; what could not be written is not tried again."""
    read, write = os.pipe()
    os.close(read)
    output = TextOutput(write)
    log = _log(output)
    log.write("a", "info", {})
    assert output.drain(DEADLINE_SECONDS)
    assert log.unwritten == 1
    assert output.close(DEADLINE_SECONDS)
    os.close(write)


def test_a_reader_that_does_not_read_is_not_waited_for() -> None:
    """The pipe is full and so is the queue: lines are counted, those that were taken come in order, and the next one says how
    many are hidden."""
    with _pipe(is_full=True) as (read, output):
        log = _log(output)
        while not log.unwritten:
            log.write("filler", "info", {"text": "x" * 1000})
        log.write("lost", "info", {"text": "x" * 4000})
        assert log.unwritten == 2
        taken = b""
        while not output.drain(0.01):
            taken += _take(read)
        taken += _take(read)
        assert {line.split()[2] for line in taken.splitlines() if line} == {b"filler"}
        log.write("seen", "info", {"a": 1})
        assert output.drain(DEADLINE_SECONDS)
        assert _take(read).decode() == f"{AT} info    seen a=1 hidden_before=2\n"
        log.write("next", "info", {})
        assert output.drain(DEADLINE_SECONDS)
        assert _take(read).decode() == f"{AT} info    next\n"


def test_a_line_that_told_of_losses_and_is_lost_itself_leaves_them_to_the_next() -> None:
    """No loss is forgotten because its news was lost."""
    read, write = os.pipe()
    os.close(read)
    output = TextOutput(write)
    log = _log(output)
    for name in ("a", "b", "c"):
        log.write(name, "info", {})
        assert output.drain(DEADLINE_SECONDS)
    assert (log.unwritten, output.untold) == (3, 3)
    assert output.close(DEADLINE_SECONDS)
    os.close(write)


def test_a_stream_that_another_program_made_non_blocking_loses_nothing() -> None:
    """A program that shares a terminal may do so; a full stream is then waited for, by the thread alone."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    output = TextOutput(write, queue_bytes_max=256 << 10)
    piece = b"x" * 40_000
    for _ in range(4):
        output.put(piece)
    taken = b""
    while not output.drain(0.01):
        taken += _take(read)
    assert len(taken + _take(read)) == 4 * len(piece)
    assert output.close(DEADLINE_SECONDS)
    assert output.lost == 0
    os.close(read)
    os.close(write)


def test_a_line_never_has_more_bytes_than_a_pipe_takes_in_one_piece() -> None:
    """Cut at a character."""
    line = _written({"text": "é" * LINE_BYTES_MAX})
    assert LINE_BYTES_MAX - 1 <= len(line.encode()) <= LINE_BYTES_MAX
    assert line.endswith("é\n")


def test_a_name_that_is_no_utf8_is_written_in_both_forms() -> None:
    """A foreign byte or a control character neither ends the supervisor nor reaches a terminal."""
    fields: dict[str, object] = {"path": "/x\udcff\x1b[2J y"}
    assert _written(fields) == f'{AT} info    worker_up path="/x\\xff\\x1b[2J y"\n'
    assert json.loads(_written(fields, form="json"))["path"] == "/x\\xff\x1b[2J y"


def test_a_stray_that_was_ending_anyway_alarms_nobody() -> None:
    """It is named for those who want to see everything."""
    strays = [Stray(7, "python", "left behind", was_ending=True), Stray(8, "sleep", "left behind")]
    for level, pids in {"debug": ("7", "8"), "info": ("8",)}.items():
        lines = Lines()
        _log(lines, level=level).note_killed(strays)
        assert re.findall(r"stray_killed pid=(\d+)", lines.text) == list(pids)
