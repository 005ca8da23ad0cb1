"""What the doctor says about one topic. PURE."""

from enum import StrEnum

from msgspec import Struct


class Usability(StrEnum):
    """How well something works for this agent on this host.

    `usable`: a running agent uses it. `unused`: this host has nothing for which the agent would use it, or it is switched off.
    """

    USABLE = "usable"
    LIMITED = "limited"
    MISSING = "missing"
    UNUSED = "unused"


class Finding(Struct, frozen=True):
    """One topic: its state, a detail, and the remedy in one line (empty: there is nothing to do).

    `remark` says in a few words what a reader must know about the numbers of the sampler named like the topic; empty: nothing.
    """

    topic: str
    state: Usability
    detail: str
    remedy: str = ""
    remark: str = ""


# Without these the agent does not run at all. Without any other topic only some columns or names are missing.
ESSENTIAL_TOPICS = frozenset({"processes", "state folder", "shared memory", "python", "packages"})


def lacks_essential(findings: list[Finding]) -> bool:
    """Whether something is missing that the agent cannot run without."""
    return any(finding.state is Usability.MISSING and finding.topic in ESSENTIAL_TOPICS for finding in findings)
