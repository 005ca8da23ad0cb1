"""What a merger counts and announces."""

from agent.model.message import Note
from workers.merger.effect import OffsetsLost, TopicPartition
from workers.merger.outcome import CommitCounts, MarkRegress, Stored, UnreadableMessage
from workers.merger.report import NOTES_MAX, TOLD_PER_COMMIT, MergerProblems, MergerReport

PLACE = TopicPartition("raw", 1)


def commit(unreadable: int = 0) -> CommitCounts:
    """One without rows."""
    told = [UnreadableMessage(PLACE, number, "h", "damaged") for number in range(min(unreadable, TOLD_PER_COMMIT))]
    return CommitCounts(0, 0, 0, 100, unreadable, told)


def test_commits_are_counted_and_their_events_told() -> None:
    """Some of many; the rest is counted."""
    report = MergerReport()
    regresses = tuple(MarkRegress("process", f"h{number}", 2, 1) for number in range(TOLD_PER_COMMIT + 3))
    report.on_stored(commit(), Stored({}, (), 7))
    report.on_stored(commit(TOLD_PER_COMMIT + 5), Stored({}, regresses, 8))
    stats = report.stats()
    assert (stats["commits"], stats["bytes"], stats["stored_bytes"]) == (2, 200, 15)
    assert (stats["unreadable"], stats["mark_regresses"], stats["notes_left_out"]) == (TOLD_PER_COMMIT + 5, TOLD_PER_COMMIT + 3, 8)
    notes = report.take_notes()
    assert notes[0] == Note("message_unreadable", "warning", {"partition": "raw/1", "offset": 0, "host": "h", "problem": "damaged"})
    assert notes[-1].fields == {"table": "process", "host": f"h{TOLD_PER_COMMIT - 1}", "from_ns": 2, "to_ns": 1}
    assert {note.kind for note in notes} == {"message_unreadable", "mark_regressed"}
    assert report.take_notes() == []


def test_lost_offsets_are_an_error() -> None:
    """With where they were."""
    report = MergerReport()
    report.on_lost(OffsetsLost(PLACE, 3, 9))
    assert report.stats()["offsets_lost"] == 6
    assert report.take_notes() == [Note("topic_offsets_lost", "error", {"partition": "raw/1", "first_offset": 3, "next_offset": 9})]


def test_notes_that_nobody_takes_have_a_bound() -> None:
    """What is left out is counted."""
    report = MergerReport()
    for number in range(NOTES_MAX + 4):
        report.on_lost(OffsetsLost(PLACE, number, number + 1))
    assert report.stats()["notes_left_out"] == 4
    assert len(report.take_notes()) == NOTES_MAX


def test_problems_hold_until_they_are_over() -> None:
    """Each of its kind."""
    report = MergerReport()
    assert report.problems == MergerProblems()
    report.on_failed("full")
    report.on_state("away", "", "beyond")
    assert report.problems == MergerProblems(broker="away", store="full", offsets="beyond")
    report.on_answered()
    report.on_state("", "gone", "")
    assert report.problems == MergerProblems(marks="gone")
