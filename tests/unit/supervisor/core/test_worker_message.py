"""What workers say is cut to its bounds and checked."""

import pytest

from agent.model.message import Note, Publish
from agent.model.rule import Assignment, Unit, UnitKind, canonical
from supervisor.core.worker_message import (
    NOTE_FIELDS_MAX,
    NOTE_TEXT_MAX,
    NOTE_VALUE_MAX,
    PUBLISH_CHANGES_MAX,
    log_of,
    problem_of_publish,
)

POD = canonical(Assignment(Unit("p", UnitKind.POD, "/kubepods/p"), "own-p", None, 0))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([("pod/p", POD), ("pod/gone", None)], None),
        ([("pod/p", POD), ("rule/a", b"{}")], "key 'rule/a' is not the control plane's"),
        ([("pod/p", None)] * (PUBLISH_CHANGES_MAX + 1), f"{PUBLISH_CHANGES_MAX + 1} changes at once are more than"),
    ],
)
def test_only_pods_are_published_and_not_too_many(changes: list[tuple[str, bytes | None]], problem: str | None) -> None:
    """What goes has no content."""
    found = problem_of_publish(Publish(changes, complete=True))
    assert found == problem or (problem is not None and (found or "").startswith(problem))


def test_a_content_that_is_no_assignment_is_refused() -> None:
    """Other workers would read it."""
    assert "assignment" in (problem_of_publish(Publish([("pod/p", b"{}")], complete=True)) or "")


def test_a_note_is_cut_to_its_bounds() -> None:
    """A defective worker does not fill the history of events."""
    fields = {f"{number:03}" + "k" * 100: "v" * 5_000 for number in range(NOTE_FIELDS_MAX + 5)}
    line = log_of("writer", Note("sealed", "info", {**dict(list(fields.items())[:2]), "rows": 5, **fields}))
    assert (line.kind, line.severity, line.fields["worker"], line.fields["rows"]) == ("sealed", "info", "writer", 5)
    assert len(line.fields) == NOTE_FIELDS_MAX + 1
    assert {len(key) for key in line.fields} <= {NOTE_TEXT_MAX, len("rows"), len("worker")}
    assert max(len(str(value)) for value in line.fields.values()) == NOTE_VALUE_MAX


@pytest.mark.parametrize("kind", ["", "a b", "é", "x" * (NOTE_TEXT_MAX + 1), "9"])
def test_a_note_that_is_no_word_has_no_name(kind: str) -> None:
    """It is kept, with a severity that there is."""
    line = log_of("writer", Note(kind, "loud", {}))
    assert (line.kind, line.severity) == ("unnamed_note", "warning")
