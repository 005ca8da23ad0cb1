"""Answers of the control socket, whole and damaged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.control.answer import AnsweredError, ControlError, answer_line, parse_answer
from agent.model.control.result import Readiness, SealedFileRow
from agent.model.errors import EvergaugeError, ExitCode, ProtocolError

RESULT = b'{"v": 1, "ok": true, "result": {"a": 1}}\n'


def test_a_result_is_handed_on() -> None:
    """The result's object is given as it is."""
    assert parse_answer("status", RESULT) == {"a": 1}


def test_an_error_keeps_its_sentence_and_its_exit_code() -> None:
    """What the agent says is what the user reads, and its code is ours."""
    error = {"v": 1, "ok": False, "error": {"code": "no_such_worker", "sentence": "x: no such worker", "exit": 64}}
    with pytest.raises(AnsweredError, match=r"^x: no such worker$") as failure:
        parse_answer("worker-state", json.dumps(error).encode())
    assert failure.value.code is ExitCode.MISUSE


@pytest.mark.parametrize("number", [0, 12345, None, "64", [], True])
def test_an_error_never_ends_as_success(number: object) -> None:
    """An exit code that nobody knows is a plain failure."""
    error = {"v": 1, "ok": False, "error": {"sentence": "no", "exit": number}}
    with pytest.raises(AnsweredError) as failure:
        parse_answer("status", json.dumps(error).encode())
    assert failure.value.code is ExitCode.FAILED


@pytest.mark.parametrize("end", range(len(RESULT) - 2))
def test_a_cut_answer_is_told(end: int) -> None:
    """Every prefix of an answer is refused."""
    with pytest.raises(ProtocolError):
        parse_answer("status", RESULT[:end])


VALUES = st.recursive(st.none() | st.integers() | st.text(), st.lists)


@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_foreign_bytes_are_a_failure_with_a_sentence(line: bytes) -> None:
    """Whatever comes, nothing but a failure of ours is raised."""
    with pytest.raises(EvergaugeError):
        parse_answer("status", line)


def test_an_answer_line_is_read_back() -> None:
    """A result under `result`, an error under `error`, each on one line."""
    line = answer_line(Readiness(ready=True, reasons=[]))
    assert line == b'{"v":1,"ok":true,"result":{"ready":true,"reasons":[]}}\n'
    assert parse_answer("ready", line) == {"ready": True, "reasons": []}
    with pytest.raises(AnsweredError, match=r"^no$"):
        parse_answer("ready", answer_line(ControlError(code="refused", sentence="no", exit=64)))


def test_what_json_cannot_hold_is_no_answer() -> None:
    """A worker's own part of a result came over a protocol that has more types."""
    with pytest.raises(TypeError):
        answer_line(SealedFileRow(table="t", path="p", rows=object()))  # type: ignore[arg-type]
    assert b'"path":"a\\\\xff"' in answer_line(SealedFileRow(table="t", path="a\udcff", rows=1))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "is not JSON"),
        (b"[]", "is not of version 1 of the control protocol"),
        (b'{"v": 2, "ok": true, "result": {}}', "is not of version 1 of the control protocol"),
        (b'{"v": 1, "ok": true, "error": {}}', "holds neither a result nor an error"),
        (b'{"v": 1, "ok": false, "result": {}}', "holds neither a result nor an error"),
        (b'{"v": 1, "ok": true, "result": []}', "holds neither a result nor an error"),
    ],
)
def test_what_is_no_answer_is_told_by_what_is_wrong_with_it(line: bytes, problem: str) -> None:
    """Another version, another shape, no JSON at all."""
    with pytest.raises(ProtocolError, match=problem):
        parse_answer("status", line)
