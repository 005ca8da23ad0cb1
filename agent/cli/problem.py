"""A problem of the host as `agentctl top` names it, and who causes it. PURE."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Severity(StrEnum):
    """How bad it is; the words are in the JSON document."""

    CALM = "calm"
    """Nothing is wrong: the part of a head line that only informs."""
    NOTICE = "notice"
    """Worth knowing, and normal on many hosts: a process that uses a whole core."""
    WARNING = "warning"
    """Something waits because of it."""
    CRITICAL = "critical"
    """Work is lost or nearly at a standstill."""


ORDER: Mapping[Severity, int] = {severity: rank for rank, severity in enumerate(Severity)}


class Culprit(Struct, frozen=True):
    """Who or what causes a problem. `share` is its part of what the problem is about, 0..1; None: unknown, or it has none."""

    kind: Literal["process", "command", "unit", "device", "interface"]
    name: str
    pid: int | None = None
    start_ticks: int | None = None
    share: float | None = None


class HostProblem(Struct, frozen=True):
    """One problem. `name` is that of its rule; `text` is one sentence without control characters that also says who causes it.

    The words that matter most come first: a narrow screen cuts the rest.
    """

    severity: Severity
    name: str
    text: str
    culprits: tuple[Culprit, ...] = ()


class HeadPart(Struct, frozen=True):
    """A few words of a head line that stand or fall together, and how bad what they say is."""

    text: str
    severity: Severity = Severity.CALM


class HeadLine(Struct, frozen=True):
    """A line of the head: a title of at most four letters and its parts, the most important first; GAP stands between them."""

    title: str
    parts: tuple[HeadPart, ...]


def worst(severities: Iterable[Severity]) -> Severity:
    """The worst of some severities; CALM of none."""
    return max(severities, key=lambda severity: ORDER[severity], default=Severity.CALM)
