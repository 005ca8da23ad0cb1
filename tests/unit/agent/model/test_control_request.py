"""Requests of the control socket: written, read, and refused where they are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.control import REQUEST_BYTES_MAX
from agent.model.control.request import ControlRequest, parse_request, request_line
from agent.model.errors import ExitCode, MisuseError

LINE = request_line("add-rule", {"rule": {"name": "wëb"}})


def test_a_request_is_one_line_that_reads_back() -> None:
    """The version, the operation, its arguments."""
    assert json.loads(LINE) == {"v": 1, "op": "add-rule", "args": {"rule": {"name": "wëb"}}}
    assert LINE.count(b"\n") == 1
    assert LINE.endswith(b"\n")
    assert parse_request(LINE) == ControlRequest(operation="add-rule", arguments={"rule": {"name": "wëb"}})


def test_version_and_arguments_may_be_left_out() -> None:
    """A person types less."""
    assert parse_request(b'{"op": "status"}') == ControlRequest(operation="status", arguments={})


def test_a_request_that_no_agent_takes_is_not_sent() -> None:
    """The sentence says how long it is and how long it may be."""
    with pytest.raises(MisuseError, match=f"is too long; at most {REQUEST_BYTES_MAX}") as refused:
        request_line("add-rule", {"rule": "x" * REQUEST_BYTES_MAX})
    assert refused.value.code is ExitCode.MISUSE


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"[]", "it is no JSON object"),
        (b'{"v": 2, "op": "status"}', "version 2 is not spoken here, 1 is"),
        (b'{"op": 1}', '"op" must be text and "args" an object'),
        (b'{"op": "status", "args": []}', '"op" must be text and "args" an object'),
        (b'{"op": "status", "arg": {}}', "unknown fields ['arg']"),
        (b'{"op": "\\ud800"}', "surrogates not allowed"),
        (b"{", "Expecting property name"),
        (b"\xff", "codec can't decode"),
    ],
)
def test_a_line_that_is_no_request_is_refused_with_its_reason(line: bytes, problem: str) -> None:
    """The agent answers it with that sentence."""
    with pytest.raises(ValueError) as refused:
        parse_request(line)
    assert problem in str(refused.value)


@pytest.mark.parametrize("end", range(len(LINE) - 1))
def test_every_prefix_is_refused(end: int) -> None:
    """Up to the last brace."""
    with pytest.raises(ValueError):
        parse_request(LINE[:end] if end != len(LINE) - 1 else b"")


@given(st.binary())
def test_foreign_bytes_are_a_request_or_a_refusal(line: bytes) -> None:
    """Nothing else is raised."""
    try:
        parse_request(line)
    except (ValueError, RecursionError):
        return
