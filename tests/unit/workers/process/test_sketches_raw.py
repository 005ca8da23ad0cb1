"""Windows in which a sketch cannot be built or encoded keep every value."""

from collections import Counter

import pytest
from fakes.row_problem import problem_of_row
from fakes.sketch_story import DB, WEB, SketchStory

from agent.model.sketch import Sketch, SketchColumns, relative_error
from agent.model.table import Row
from workers.process.schema import PROCESS_RAW, PROCESS_SKETCH
from workers.process.sketches import PROCESSES_PER_BEAT, WINDOW_NS, SketchWindows

REFUSED = OSError(28, "failpoint sampler.sketch")


class Faulty:
    """Refuses the ticks of these numbers, counted from 1."""

    def __init__(self, *ticks: int) -> None:
        self._ticks = ticks
        self._tick = 0

    def __call__(self) -> None:
        self._tick += 1
        if self._tick in self._ticks:
            raise REFUSED


def raw_of(rows: list[Row], metric: str) -> Counter[int]:
    """Each value with how often it came."""
    found: Counter[int] = Counter()
    for row in rows:
        assert problem_of_row(PROCESS_RAW, row) is None
        value = dict(zip(PROCESS_RAW.column_names, row, strict=True))
        if value["metric"] == metric:
            found[int(str(value["value"]))] += int(str(value["times"]))
    return found


def count_of(rows: list[Row], metric: str) -> int:
    """How many values the sketches of a metric have."""
    found = (dict(zip(PROCESS_SKETCH.column_names, row, strict=True)) for row in rows)
    return sum(int(str(row["count"])) for row in found if row["metric"] == metric)


def play(fault: Faulty, ticks: int) -> tuple[SketchStory, list[Row]]:
    """A process that uses 5 ns in each tick and one that sleeps; the raw rows that came."""
    story = SketchStory(SketchWindows(fault=fault))
    busy, idle = story.start(WEB, 4096, 5), story.start(WEB, 8192, 0)
    raw: list[Row] = []
    for number in range(ticks):
        if number:
            story.read(busy, 4096, 5)
            story.read(idle, 8192, 0)
        story.tick()
        raw += story.windows.take_raw_rows()
    return story, raw


def test_a_window_without_sketches_has_its_values() -> None:
    """From its first tick on; the next one has sketches again, and then nothing is wrong any more."""
    story, raw = play(Faulty(1), 60)
    assert "failpoint sampler.sketch; the values are in table process_raw" in story.windows.problem
    assert (story.rows, raw) == ([], [])
    for _ in range(60):
        story.tick()
        raw += story.windows.take_raw_rows()
    assert raw_of(raw, "cpu") == {5: 60, 0: 60}
    assert raw_of(raw, "rss") == {4096: 60, 8192: 60}
    assert story.windows.stats()["raw_writes"] == len(raw) == 4
    assert {row[-1] for row in raw} == {0.0}
    # The first window has no sketch, and the second is not over.
    assert story.rows == []
    assert story.windows.problem
    for _ in range(3):
        story.tick()
    assert count_of(story.rows, "rss") == 120
    assert story.windows.problem == ""


def test_what_was_counted_before_is_in_sketches_and_nothing_is_in_both() -> None:
    """In the middle of a window: each value is in one of the tables."""
    story, raw = play(Faulty(31), 61)
    story.tick()
    assert count_of(story.rows, "cpu") + sum(raw_of(raw, "cpu").values()) == 120
    assert count_of(story.rows, "rss") + sum(raw_of(raw, "rss").values()) == 120
    assert raw_of(raw, "cpu")[5] == 30
    assert count_of(story.rows, "cpu") == 30
    assert story.windows.stats()["sketch_keys"] == 1


def test_a_value_that_a_sketch_refuses_ends_no_sampler() -> None:
    """A clock that went backwards, say: it is kept as it is."""
    story = SketchStory()
    busy = story.start(WEB, 4096, 5)
    story.tick()
    story.read(busy, 4096, -7)
    story.tick()
    story.parts = [(WEB, number - 3) for number in range(20)]
    story.tick(60)
    story.tick()
    raw = raw_of(story.windows.take_raw_rows(), "cpu")
    assert (raw[-7], raw[-3], raw[16]) == (1, 1, 1)
    assert count_of(story.rows, "cpu") == 1
    assert "cannot be built" in story.windows.problem


def test_a_sketch_that_cannot_be_encoded_is_written_bucket_by_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its error; the zeros are exact."""
    story = SketchStory()
    busy, idle = story.start(WEB, 1_000_000, 5_000), story.start(WEB, 1_000_000, 0)
    for _ in range(5):
        story.tick()
        story.read(busy, 1_000_000, 5_000)
        story.read(idle, 1_000_000, 0)

    def refuse(_sketch: Sketch) -> SketchColumns:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Sketch, "to_columns", refuse)
        story.flush()
    rows = story.windows.take_raw_rows()
    cpu = raw_of(rows, "cpu")
    assert cpu[0] == 5
    ((value, times),) = [each for each in cpu.items() if each[0]]
    assert times == 5
    assert abs(value - 5_000) <= 5_000 * relative_error(6) + 1
    assert sorted({float(str(row[-1])) for row in rows}) == [0.0, relative_error(6)]
    assert "cannot be encoded: MemoryError" in story.windows.problem
    story.wall_ns += WINDOW_NS
    story.tick()
    story.flush()
    assert story.windows.problem == ""


def test_values_without_room_are_in_the_statistics() -> None:
    """Nothing is lost in silence."""
    story = SketchStory(SketchWindows(fault=Faulty(1)))
    for number in range(5_000):
        story.start(WEB, 4096 * (number + 1), 0)
    story.tick(60)
    story.tick()
    dropped, raw = story.windows.stats()["raw_dropped"], story.windows.take_raw_rows()
    assert dropped > 0
    assert dropped + raw_of(raw, "cpu").total() + raw_of(raw, "rss").total() == 2 * 5_000


def test_a_process_that_first_ran_in_a_window_without_sketches_is_in_it() -> None:
    """So are the dead of units that had no sketch before: their values are raw from the beginning."""
    story = SketchStory(SketchWindows(fault=Faulty(2)))
    story.start(WEB, 4096, 0)
    story.tick()
    story.parts = [(DB, 900)]
    story.start(DB, 8192, 11)
    story.tick(60)
    story.tick()
    raw = story.windows.take_raw_rows()
    assert (raw_of(raw, "cpu"), raw_of(raw, "rss")) == ({900: 1, 11: 1, 0: 2}, {4096: 2, 8192: 1})
    assert story.windows.take_raw_rows() == []


def test_a_tick_that_broke_off_has_no_part_in_a_flush() -> None:
    """The end of the worker came in the middle of it: the window before is whole, and of this one nothing is written."""
    beats = iter([False, False, True, False])

    def beat() -> None:
        if next(beats):
            raise InterruptedError

    story = SketchStory(SketchWindows(beat))
    for _ in range(PROCESSES_PER_BEAT):
        story.start(WEB, 4096)
    story.tick(60)
    with pytest.raises(InterruptedError):
        story.tick()
    story.flush()
    assert (count_of(story.rows, "cpu"), count_of(story.rows, "rss")) == (PROCESSES_PER_BEAT, PROCESSES_PER_BEAT)
    assert next(beats, None) is None


@pytest.mark.parametrize("values", [[-3, 4], list(range(-3, 17))])
def test_times_of_the_dead_that_a_sketch_refuses_are_kept_as_they_are(values: list[int]) -> None:
    """However many they are; what was counted before them is in a sketch, and not here too."""
    story = SketchStory()
    story.parts = [(WEB, 900)]
    story.tick()
    story.parts = [(WEB, value) for value in values]
    story.tick(60)
    story.tick()
    assert raw_of(story.windows.take_raw_rows(), "cpu") == Counter(values)
    assert count_of(story.rows, "cpu") == 1
    assert "cannot be built" in story.windows.problem


def test_memory_that_a_sketch_refuses_is_kept_as_it_is() -> None:
    """A sum that went below zero, say."""
    story = SketchStory()
    story.start(WEB, -5)
    story.tick(60)
    story.tick()
    assert raw_of(story.windows.take_raw_rows(), "rss") == {-5: 1}
    assert "cannot be built" in story.windows.problem


def test_a_second_failure_in_a_window_loses_nothing_of_it() -> None:
    """The values that are raw already stay, and the problem is told still."""
    _story, raw = play(Faulty(2, 3), 60)
    assert raw == []
    story, raw = play(Faulty(2, 3), 61)
    assert count_of(story.rows, "cpu") + sum(raw_of(raw, "cpu").values()) == 120
    assert raw_of(raw, "cpu")[5] == 59
    assert story.windows.problem


def test_a_process_that_is_only_told_as_active_is_counted() -> None:
    """With its CPU and, from then on, its memory."""
    story = SketchStory()
    story.tick()
    process = story.start(WEB, 4096, 5)
    story.scan.touched.remove(process)
    story.tick()
    story.flush()
    assert (count_of(story.rows, "cpu"), count_of(story.rows, "rss")) == (1, 1)
