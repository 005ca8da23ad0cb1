"""Readings are counted by what they gave, and a lasting silence of one event is a condition."""

from fakes.bus import RecordingBus

from agent.model.absence import Absence
from workers.resctrl.event_file import EventFileReader
from workers.resctrl.reading_counts import SILENT_TICKS, WORDS_TOLD_MAX, ReadingCounts


class Directory:
    """A directory with the given files."""

    def __init__(self, *files: EventFileReader) -> None:
        self.files = files


def _file(event: str, content: bytes) -> EventFileReader:
    file = EventFileReader(f"mon_groups/pod_a/mon_data/mon_L3_00/{event}", is_counter=False)
    file.take(content, 1)
    return file


def _count(counts: ReadingCounts, *files: EventFileReader) -> None:
    counts.count([Directory(*files)])  # type: ignore[list-item]  # only its files are looked at


def test_readings_are_counted_by_their_reasons() -> None:
    """All of them, and those without a value."""
    counts = ReadingCounts(RecordingBus(), lambda: None)
    _count(counts, _file("llc_occupancy", b"7\n"), _file("mbm_total_bytes", b"Unavailable\n"))
    _count(counts, _file("llc_occupancy", b"Error\n"))
    absent = {Absence.UNAVAILABLE.value: 1, Absence.ERROR.value: 1}
    assert counts.stats() == {"readings": 3, "readings_absent": 2, "absent": absent}


def test_an_event_that_no_group_has_for_a_while_is_a_condition() -> None:
    """It names the event and the reason, and ends with the first value."""
    bus = RecordingBus()
    counts = ReadingCounts(bus, lambda: None)
    for _ in range(SILENT_TICKS):
        assert bus.conditions == []
        _count(counts, _file("llc_occupancy", b"7\n"), _file("mbm_total_bytes", b"Unavailable\n"))
    assert [(told.kind, told.active) for told in bus.conditions] == [("no_values", True)]
    assert "mbm_total_bytes unavailable" in bus.conditions[0].detail.lower()
    assert "llc_occupancy" not in bus.conditions[0].detail
    _count(counts, _file("mbm_total_bytes", b"7\n"))
    assert not bus.conditions[-1].active


def test_words_that_nobody_knows_are_reported_once_each_and_not_without_end() -> None:
    """A file of garbage may have a new one at each reading."""
    bus = RecordingBus()
    counts = ReadingCounts(bus, lambda: None)
    for number in range(2 * WORDS_TOLD_MAX):
        for _ in range(2):
            _count(counts, _file("llc_occupancy", f"what {number}\n".encode()))
    assert len([note for note in bus.notes if note.kind == "event_malformed"]) == WORDS_TOLD_MAX
