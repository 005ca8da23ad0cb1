"""Whose turn it is: sealer, removal of old files and compactor never work at the same time. PURE.

They change the same folders: a folder that is empty for a moment must not be removed while a sealer is about to use it, and a
file that is sealed into a day while that day is exchanged would be taken out of it. Sealing comes first, since rows in the
spool are what a full disk loses; compaction can wait for ever.
"""

from enum import Enum, auto

from msgspec import Struct

from agent.model.timebase import MINUTE

# A day that is larger than the time between two seals would never come to its end if each seal ended its compaction.
GIVEN_UP_MAX = 3
# So long the spool then waits: at the smallest `writer.seal_interval` it holds one more seal of some minutes.
PATIENCE_NS = 5 * MINUTE


class Step(Enum):
    """What happens now."""

    WAIT = auto()
    SEAL = auto()
    PRUNE = auto()
    COMPACT = auto()
    # The compactor is ended, so that one of the others can begin.
    GIVE_UP = auto()


class Wishes(Struct, frozen=True):
    """Who is at work, and who wants to be: a segment is due, a round of removal is under way or due, a day is due.

    `is_ending`: the compactor was ended and is not gone yet.
    """

    is_sealing: bool
    is_compacting: bool
    is_ending: bool
    wants_seal: bool
    wants_pruning: bool
    wants_compaction: bool


class Turns:
    """Decides by what it is told, and remembers how often a compaction had to give way."""

    def __init__(self) -> None:
        self._given_up = 0
        self._patient_until_ns: int | None = None

    def decide(self, wishes: Wishes, now_ns: int) -> Step:
        """The next step. GIVE_UP counts: the compactor is ended by it."""
        assert not (wishes.is_sealing and wishes.is_compacting)
        if wishes.is_sealing or wishes.is_ending:
            return Step.WAIT
        if wishes.is_compacting:
            return self._while_compacting(wishes, now_ns)
        if wishes.wants_pruning:
            return Step.PRUNE
        if wishes.wants_seal:
            return Step.SEAL
        return Step.COMPACT if wishes.wants_compaction else Step.WAIT

    def on_compaction_ended(self) -> None:
        """By itself, whatever came of it: the next one has all its tries."""
        self._given_up = 0
        self._patient_until_ns = None

    def deadline_ns(self) -> int | None:
        """When the patience with a compaction ends; None: nobody waits for one."""
        return self._patient_until_ns

    def _while_compacting(self, wishes: Wishes, now_ns: int) -> Step:
        if not (wishes.wants_seal or wishes.wants_pruning):
            return Step.WAIT
        if self._given_up >= GIVEN_UP_MAX:
            if self._patient_until_ns is None:
                self._patient_until_ns = now_ns + PATIENCE_NS
            if now_ns < self._patient_until_ns:
                return Step.WAIT
        self._given_up = self._given_up + 1 if self._given_up < GIVEN_UP_MAX else 0
        self._patient_until_ns = None
        return Step.GIVE_UP
