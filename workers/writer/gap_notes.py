"""Announces rows of table `gap`: event `data_gap`, once a second at most, with all since the one before. PURE."""

from collections import Counter
from collections.abc import Sequence

from agent.model.message import Note
from agent.model.timebase import S
from workers.writer.gap import REASON_CHARACTERS_MAX, Gap

NOTE_NS = 1 * S
# A sender chooses its own words; more than these are told together.
NAMED_MAX = 12
_OTHERS = "others"


class GapNotes:
    """Gathers what was stored of losses until it is told."""

    def __init__(self) -> None:
        self._told_at_ns: int | None = None
        self._gap_rows = self._rows = self._ticks = 0
        self._reasons: Counter[str] = Counter()
        self._workers: Counter[str] = Counter()

    def add(self, gaps: Sequence[Gap]) -> None:
        """These rows are in the spool."""
        for gap in gaps:
            self._gap_rows += 1
            self._rows += gap.rows or 0
            self._ticks += gap.ticks or 0
            _count(self._reasons, gap.reason[:REASON_CHARACTERS_MAX])
            _count(self._workers, gap.who.worker[:REASON_CHARACTERS_MAX])

    def due_at_ns(self) -> int | None:
        """When `take` gives a note. *Absent:* there is nothing to tell."""
        if not self._gap_rows:
            return None
        return 0 if self._told_at_ns is None else self._told_at_ns + NOTE_NS

    def take(self, now_ns: int) -> Note | None:
        """The note that is due: the rows of `gap`, the rows and ticks that they say are missing as far as that is known, how many
        there are for each reason and worker. *Absent:* none is due."""
        due_ns = self.due_at_ns()
        if due_ns is None or now_ns < due_ns:
            return None
        self._told_at_ns = now_ns
        fields: dict[str, str | int | float | bool | None] = {
            "gap_rows": self._gap_rows,
            "rows": self._rows,
            "ticks": self._ticks,
            "reasons": _listed(self._reasons),
            "workers": _listed(self._workers),
        }
        self._gap_rows = self._rows = self._ticks = 0
        self._reasons.clear()
        self._workers.clear()
        return Note("data_gap", "warning", fields)


def _count(counter: Counter[str], word: str) -> None:
    counter[word if word in counter or len(counter) < NAMED_MAX else _OTHERS] += 1


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{word} {number}" for word, number in counter.most_common())
