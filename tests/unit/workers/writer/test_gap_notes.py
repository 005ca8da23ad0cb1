"""Losses that are stored are told, gathered."""

from agent.model.message import Identity
from agent.model.timebase import MS, S
from workers.writer.gap import Gap
from workers.writer.gap_notes import NAMED_MAX, GapNotes


def gap(reason: str, rows: int | None = 3, ticks: int | None = None, worker: str = "sampler/host") -> Gap:
    """A loss of a worker."""
    return Gap(Identity("run", worker, 1), 1, 1, rows, None, None, None, reason, ticks)


def test_losses_are_told_at_once_and_then_once_a_second() -> None:
    """A storm is one event a second, which has all of it."""
    notes = GapNotes()
    assert (notes.due_at_ns(), notes.take(0)) == (None, None)
    notes.add([gap("buffer_full", 3), gap("worker_died", None, 2, "sampler/unit")])
    assert notes.due_at_ns() == 0
    first = notes.take(5 * S)
    assert first is not None
    assert (first.kind, first.severity) == ("data_gap", "warning")
    assert first.fields == {
        "gap_rows": 2,
        "rows": 3,
        "ticks": 2,
        "reasons": "buffer_full 1, worker_died 1",
        "workers": "sampler/host 1, sampler/unit 1",
    }
    notes.add([gap("buffer_full", 7)])
    notes.add([gap("buffer_full", 8)])
    assert notes.due_at_ns() == 6 * S
    assert notes.take(6 * S - 1 * MS) is None
    second = notes.take(6 * S)
    assert second is not None
    assert (second.fields["gap_rows"], second.fields["rows"], second.fields["reasons"]) == (2, 15, "buffer_full 2")
    assert notes.take(9 * S) is None


def test_words_without_end_do_not_fill_the_event() -> None:
    """Those beyond a number are told together."""
    notes = GapNotes()
    notes.add([gap(f"reason{number}") for number in range(NAMED_MAX + 5)])
    told = notes.take(0)
    assert told is not None
    assert str(told.fields["reasons"]).count(",") == NAMED_MAX
    assert "others 5" in str(told.fields["reasons"])
