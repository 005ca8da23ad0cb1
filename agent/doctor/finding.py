"""What the doctor says about one topic. PURE."""

from enum import StrEnum

from msgspec import Struct


class Usability(StrEnum):
    """How well something works for this agent on this host.

    `usable` means that a running agent uses it; `unused`: whether it is there or not, nothing of this version does.
    """

    USABLE = "usable"
    LIMITED = "limited"
    MISSING = "missing"
    UNUSED = "unused"


class Finding(Struct, frozen=True):
    """One topic: how it is, in which detail, and the remedy in one line (empty: there is nothing to do).

    `remark` is what is to be known of the numbers of the sampler that is named as the topic, in a few words; empty: nothing.
    """

    topic: str
    state: Usability
    detail: str
    remedy: str = ""
    remark: str = ""


# Without these the agent does not run at all; everything else costs columns or names.
ESSENTIAL_TOPICS = frozenset({"processes", "state folder", "shared memory", "python", "packages"})


def lacks_essential(findings: list[Finding]) -> bool:
    """Whether something is missing without which the agent does not run."""
    return any(finding.state is Usability.MISSING and finding.topic in ESSENTIAL_TOPICS for finding in findings)
