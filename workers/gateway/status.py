"""What the supervisor answers to the gateway's question `status`, checked and typed. PURE."""

from typing import Any

import msgspec
from msgspec import Struct

from agent.model.errors import ProtocolError


class RulesStatus(Struct, frozen=True):
    """The rules in force. *Units:* counts."""

    revision: int
    rules: int = 0
    pods: int = 0


class WorkerStatus(Struct, frozen=True):
    """One worker as the supervisor sees it; None where it could not tell (a worker that is down has no memory)."""

    name: str
    kind: str
    state: str
    restarts: int = 0
    heartbeat_age_seconds: float | None = None
    in_sync: bool | None = None
    cpu_seconds: float | None = None
    rss_bytes: int | None = None
    pss_bytes: int | None = None


class ConditionStatus(Struct, frozen=True):
    """A lasting condition that is active."""

    worker: str
    kind: str
    detail: str = ""
    blocks_ready: bool = False


class Status(Struct, frozen=True):
    """The whole answer; what is not used here is ignored, so that the answer may grow."""

    ready: bool
    reasons: list[str]
    version: str
    uptime_seconds: float
    rules: RulesStatus
    workers: list[WorkerStatus]
    stats: dict[str, dict[str, object] | None] = {}
    conditions: list[ConditionStatus] = []
    counters: dict[str, int] = {}


def parse_status(body: dict[str, Any]) -> Status:
    """*Raises:* ProtocolError naming the part that is not as agreed."""
    try:
        return msgspec.convert(body, type=Status)
    except msgspec.ValidationError as cause:
        raise ProtocolError("the supervisor's status", str(cause)) from cause
