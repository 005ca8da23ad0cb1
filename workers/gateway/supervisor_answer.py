"""What the supervisor answers to the gateway's two questions, `ready` and `status`, checked and typed. PURE."""

from typing import Any

from agent.model.control.document import decode
from agent.model.control.result import AgentStatus, Readiness
from agent.model.errors import ProtocolError

SILENCE = "the supervisor does not answer"


def unready(reason: str) -> Readiness:
    """Not ready, for this one reason."""
    return Readiness(ready=False, reasons=[reason])


def readiness_of(body: dict[str, Any]) -> Readiness:
    """The answer to `ready`; one that cannot be read is a reason why the agent is not ready."""
    if (problem := _problem_of(body)) is not None:
        return unready(problem)
    try:
        return decode(Readiness, body, "the supervisor")
    except ProtocolError as refused:
        return unready(refused.sentence)


def status_of(body: dict[str, Any]) -> AgentStatus | None:
    """The answer to `status`. *Absent:* None where the supervisor refused the question, or its answer cannot be read."""
    if _problem_of(body) is not None:
        return None
    try:
        return decode(AgentStatus, body, "the supervisor")
    except ProtocolError:
        return None


def _problem_of(body: dict[str, Any]) -> str | None:
    """Why the supervisor refused a question; neither document has a field of this name."""
    problem = body.get("problem")
    return None if problem is None else str(problem)
