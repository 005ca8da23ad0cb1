"""A bus that keeps what is said on it."""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.message import Condition, Note
from agent.model.rule_state import Change


class Published(Struct, frozen=True):
    """One call of `publish`."""

    changes: list[Change]
    complete: bool


class RecordingBus:
    """`agent.ports.Bus` in the hands of a test; nobody answers."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.conditions: list[Condition] = []
        self.notes: list[Note] = []
        self.requests: list[str] = []
        self.deliveries: list[tuple[int, int]] = []

    def publish(self, changes: Sequence[Change], *, complete: bool) -> None:
        """Keep the changes."""
        self.published.append(Published(list(changes), complete))

    def condition(self, condition: Condition) -> None:
        """Keep the condition."""
        self.conditions.append(condition)

    def note(self, note: Note) -> None:
        """Keep the note."""
        self.notes.append(note)

    def delivered(self, sender: int, have_seq: int) -> None:
        """Keep the answer."""
        self.deliveries.append((sender, have_seq))

    def request(self, what: str) -> int:
        """Keep the question; the numbers given are 1, 2, 3 …"""
        self.requests.append(what)
        return len(self.requests)

    def entries(self) -> dict[str, bytes]:
        """What a supervisor would hold after everything published so far."""
        held: dict[str, bytes] = {}
        for published in self.published:
            for key, content in published.changes:
                if content is None:
                    held.pop(key, None)
                else:
                    held[key] = content
        return held
