"""The supervisor's log: one line per event, over memory and over real pipes that nobody reads."""

import io
import json
import os
import select

from fakes.clock import FakeClock

from agent.model.timebase import S
from supervisor.shell.log import LINE_BYTES_MAX, EventLog

WALL_NS = 1_800_000_000 * S
AT = "2027-01-15T08:00:00.000Z"


def _log(stream: io.TextIOBase, *, level: str = "debug", form: str = "text") -> EventLog:
    return EventLog(FakeClock(wall_ns=WALL_NS), level=level, form=form, stream=stream)  # type: ignore[arg-type]


def _written(fields: dict[str, object], *, form: str = "text") -> str:
    stream = io.StringIO()
    _log(stream, form=form).write("worker_up", "info", fields)
    return stream.getvalue()


def test_a_line_of_text_has_time_severity_name_and_fields() -> None:
    """Values with spaces, quotes or line breaks are quoted, and stay on their line."""
    assert _written({"worker": "sampler/process", "took_ms": 1.5}) == f"{AT} info    worker_up worker=sampler/process took_ms=1.5\n"
    assert _written({}) == f"{AT} info    worker_up\n"
    quoted = {"a": "two words", "b": 'a "b"', "c": "x\ny", "d": "", "e": "back\\slash", "f": "both \\ \n"}
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
    stream = io.StringIO()
    log = _log(stream, level="warning")
    for severity in ("debug", "info", "warning", "error", "strange"):
        log.write(severity, severity, {})
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["warning", "error", "strange"]


def test_a_closed_stream_ends_the_writing_and_nothing_else() -> None:
    """Counted, never raised."""
    stream = io.StringIO()
    stream.close()
    log = _log(stream)
    log.write("a", "info", {})
    log.write("b", "info", {})
    assert log.unwritten == 2


def test_a_reader_that_has_gone_is_counted() -> None:
    """A broken pipe behind stderr."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", buffering=1, closefd=False) as stream:
        log = _log(stream)
        log.write("a", "info", {})
        assert log.unwritten == 1
        # What could not be written must not be tried again when the stream is closed.
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), write)
    os.close(write)


def test_a_reader_that_does_not_read_is_not_waited_for() -> None:
    """The pipe is full: lines are counted; when there is room again the next line says how many are hidden."""
    read, write = os.pipe()
    with open(write, "w", buffering=1) as stream:
        log = _log(stream)
        while not log.unwritten:
            log.write("filler", "info", {"text": "x" * 1000})
        log.write("lost", "info", {})
        assert log.unwritten == 2
        while select.select([read], [], [], 0)[0]:
            os.read(read, 1 << 20)
        log.write("seen", "info", {"a": 1})
        assert os.read(read, 1 << 20).decode() == f"{AT} info    seen a=1 hidden_before=2\n"
        log.write("next", "info", {})
        assert os.read(read, 1 << 20).decode() == f"{AT} info    next\n"
    os.close(read)


def test_a_line_never_has_more_bytes_than_a_writable_pipe_takes() -> None:
    """Cut at a character."""
    line = _written({"text": "é" * LINE_BYTES_MAX})
    assert LINE_BYTES_MAX - 1 <= len(line.encode()) <= LINE_BYTES_MAX
    assert line.endswith("é\n")


def test_a_name_that_is_no_utf8_is_written_in_both_forms() -> None:
    """A foreign byte or a control character neither ends the supervisor nor reaches a terminal."""
    fields: dict[str, object] = {"path": "/x\udcff\x1b[2J y"}
    assert _written(fields) == f'{AT} info    worker_up path="/x\\xff\\x1b[2J y"\n'
    assert json.loads(_written(fields, form="json"))["path"] == "/x\\xff\x1b[2J y"
