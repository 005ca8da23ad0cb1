"""Answers of the control socket: one line of JSON each. PURE; `parse_answer` is light, `answer_line` needs msgspec."""

import json

from agent.model.control import PROTOCOL_VERSION
from agent.model.control.document import Document
from agent.model.errors import EvergaugeError, ExitCode, ProtocolError

ONE_VERSION = "agentctl and agentd must be of one version"


class ControlError(Document):
    """Why an operation did not happen: a code for programs, a sentence for people, the exit code for agentctl."""

    code: str
    sentence: str
    exit: int


class AnsweredError(EvergaugeError):
    """The agent answered with an error: its sentence, and the exit code that it names."""

    def __init__(self, operation: str, error: dict[str, object]) -> None:
        sentence = error.get("sentence")
        super().__init__("", sentence if isinstance(sentence, str) and sentence else f"{operation} failed without a reason")
        number = error.get("exit")
        known = {int(code): code for code in ExitCode if code is not ExitCode.DONE}
        self.code = known.get(number, ExitCode.FAILED) if isinstance(number, int) else ExitCode.FAILED


def answer_line(outcome: Document) -> bytes:
    """The line that answers a request with its result, or with a ControlError.

    *Raises:* TypeError where a result holds a value that JSON cannot: a worker's own part of it may.
    """
    from agent.model.json_text import json_bytes

    is_done = not isinstance(outcome, ControlError)
    document = {"v": PROTOCOL_VERSION, "ok": is_done, "result" if is_done else "error": outcome}
    return json_bytes(document) + b"\n"


def parse_answer(operation: str, line: bytes) -> dict[str, object]:
    """The result in one line, as it came. *Raises:* ProtocolError, or AnsweredError where the agent answered with an error."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as cause:
        raise _foreign(operation, "is not JSON") from cause
    if not isinstance(answer, dict) or answer.get("v") != PROTOCOL_VERSION:
        raise _foreign(operation, f"is not of version {PROTOCOL_VERSION} of the control protocol")
    body = answer.get("result" if answer.get("ok") is True else "error")
    if not isinstance(body, dict):
        raise _foreign(operation, "holds neither a result nor an error")
    if answer.get("ok") is not True:
        raise AnsweredError(operation, body)
    return body


def _foreign(operation: str, problem: str) -> ProtocolError:
    return ProtocolError(operation, f"the agent's answer {problem}", ONE_VERSION)
