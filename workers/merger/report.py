"""A merger's numbers, lasting problems and events, as its threads write them and its loop reads them. PURE."""

from collections import deque
from collections.abc import Mapping

from msgspec import Struct

from agent.model.message import Note
from workers.merger.effect import OffsetsLost
from workers.merger.outcome import CommitCounts, MarkRegress, Stored

# Events of one commit; and those that wait for the loop, which takes them within a second.
TOLD_PER_COMMIT = 8
NOTES_MAX = 256


Fields = dict[str, str | int | float | bool | None]


class MergerCounts(Struct):
    """Numbers since the start; `lag`, `partitions` and `gathered_bytes` are of now."""

    rows: int = 0
    raw_writes: int = 0
    messages: int = 0
    bytes: int = 0
    stored_bytes: int = 0
    commits: int = 0
    refused: int = 0
    unreadable: int = 0
    offsets_lost: int = 0
    mark_regresses: int = 0
    marks_published: int = 0
    notes_left_out: int = 0
    lag: int = 0
    partitions: int = 0
    gathered_bytes: int = 0


class MergerProblems(Struct):
    """Sentences of what lasts; empty: it does not hold. `offsets`: topics that end before what is stored; `marks`: of the cache."""

    broker: str = ""
    store: str = ""
    offsets: str = ""
    marks: str = ""


class MergerReport:
    """See the module. Each attribute has one writer."""

    def __init__(self) -> None:
        self.counts = MergerCounts()
        self.problems = MergerProblems()
        self.notes: deque[Note] = deque(maxlen=NOTES_MAX)

    def on_stored(self, commit: CommitCounts, stored: Stored) -> None:
        """A commit is in the store."""
        counts = self.counts
        counts.rows += commit.rows
        counts.raw_writes += commit.raw_writes
        counts.messages += commit.messages
        counts.bytes += commit.value_bytes
        counts.stored_bytes += stored.stored_bytes
        counts.commits += 1
        counts.unreadable += commit.unreadable_count
        counts.mark_regresses += len(stored.regresses)
        for message in commit.unreadable[:TOLD_PER_COMMIT]:
            fields: Fields = {"partition": str(message.partition), "offset": message.offset}
            fields |= {"host": message.host, "problem": message.problem}
            self._note(Note("message_unreadable", "warning", fields))
        for regress in stored.regresses[:TOLD_PER_COMMIT]:
            self._note(_regress_note(regress))
        told = min(TOLD_PER_COMMIT, len(commit.unreadable)) + min(TOLD_PER_COMMIT, len(stored.regresses))
        counts.notes_left_out += commit.unreadable_count + len(stored.regresses) - told

    def on_lost(self, lost: OffsetsLost) -> None:
        """The broker has removed what was not stored."""
        self.counts.offsets_lost += lost.next - lost.first
        fields: Fields = {"partition": str(lost.partition), "first_offset": lost.first, "next_offset": lost.next}
        self._note(Note("topic_offsets_lost", "error", fields))

    def on_failed(self, sentence: str) -> None:
        """The store cannot be read or written."""
        self.problems.store = sentence

    def on_answered(self) -> None:
        """It can."""
        self.problems.store = ""

    def on_state(self, broker: str, marks: str, beyond_end: str) -> None:
        """What holds now of the others; empty: nothing."""
        self.problems.broker, self.problems.marks, self.problems.offsets = broker, marks, beyond_end

    def take_notes(self) -> list[Note]:
        """What happened since."""
        taken = []
        while self.notes:
            taken.append(self.notes.popleft())
        return taken

    def stats(self) -> Mapping[str, int]:
        """The numbers by name."""
        counts = self.counts
        return {name: getattr(counts, name) for name in MergerCounts.__struct_fields__}

    def _note(self, note: Note) -> None:
        if len(self.notes) == NOTES_MAX:
            self.counts.notes_left_out += 1
        self.notes.append(note)


def _regress_note(regress: MarkRegress) -> Note:
    fields: Fields = {"table": regress.table, "host": regress.host, "from_ns": regress.from_ns, "to_ns": regress.to_ns}
    return Note("mark_regressed", "warning", fields)
