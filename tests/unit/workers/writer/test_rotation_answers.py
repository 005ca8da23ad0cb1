"""An ask for a rotation is answered once, when all it waits for is sealed."""

from workers.writer.report import SealedFile, SealReport
from workers.writer.rotation_answers import WAITS_MAX, RotationAnswers


def report(segment: str, rows: int) -> SealReport:
    """A segment that became one file."""
    return SealReport(segment, (SealedFile("process", f"/{segment}", rows),), rows, 0, torn=False)


def test_an_ask_without_segments_is_answered_at_once() -> None:
    """There is nothing to wait for."""
    answers = RotationAnswers()
    assert (answers.wait_for(frozenset()), answers.take_replies()) == ({"files": [], "rows": 0}, [])


def test_an_ask_is_answered_when_all_its_segments_are_sealed() -> None:
    """With the files of all of them; those of a later segment belong to the later ask."""
    answers = RotationAnswers()
    assert answers.wait_for(frozenset({"a", "b"})) is None
    answers.on_sealed("a", report("a", 1))
    assert answers.take_replies() == []
    assert answers.wait_for(frozenset({"b", "c"})) is None
    answers.on_sealed("b", report("b", 2))
    ((what, body),) = answers.take_replies()
    assert (what, [file["path"] for file in body["files"]], body["rows"]) == ("rotate", ["/a", "/b"], 3)
    answers.on_sealed("c", report("c", 4))
    ((_, later),) = answers.take_replies()
    assert ([file["path"] for file in later["files"]], answers.take_replies()) == (["/b", "/c"], [])


def test_a_flood_of_asks_ends() -> None:
    """One too many is refused with a sentence, and waits for nothing."""
    answers = RotationAnswers()
    for _ in range(WAITS_MAX):
        assert answers.wait_for({"a"}) is None
    refused = answers.wait_for({"a"})
    assert refused is not None
    assert "64 others wait" in refused["problem"]
    answers.on_sealed("a", report("a", 1))
    assert len(answers.take_replies()) == WAITS_MAX


def test_a_segment_that_nobody_waits_for_answers_nobody() -> None:
    """It was sealed in its turn."""
    answers = RotationAnswers()
    answers.wait_for({"a"})
    answers.on_sealed("other", report("other", 9))
    assert answers.take_replies() == []
    answers.on_sealed("a", report("a", 1))
    assert [body["rows"] for _, body in answers.take_replies()] == [1]
