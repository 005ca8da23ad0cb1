"""Windows of sketches: the same as counting every process at every tick, at a cost of what changed."""

import random
from collections import defaultdict
from collections.abc import Iterable

import pytest
from fakes.row_problem import problem_of_row
from fakes.sketch_story import BEGIN_NS, DB, PAGE, WEB, SketchStory
from msgspec import Struct

from agent.model.sketch import VALUE_MAX, Sketch, SketchColumns
from agent.model.table import Row
from agent.model.timebase import S
from workers.process.schema import PROCESS_SKETCH
from workers.process.sketches import KEYS_LEFT_FOR_NEW, OTHER, ROWS_PER_TICK, WINDOW_NS, SketchWindows
from workers.process.tracked_process import TrackedProcess
from workers.process.unit_command import UnitCommand


class Counted(Struct):
    """A row, taken apart."""

    window_start: int
    key: UnitCommand
    metric: str
    ticks: int
    keys: int
    sketch: Sketch


def counted(rows: Iterable[Row]) -> list[Counted]:
    found = []
    for row in rows:
        named = dict(zip(PROCESS_SKETCH.column_names, row, strict=True))
        columns = SketchColumns(**{name: named[name] for name in SketchColumns.__struct_fields__})  # type: ignore[arg-type]  # a row's values
        key = UnitCommand(named["pod_uid"], named["command"])  # type: ignore[arg-type]  # texts
        start, ticks, keys = (int(named[name]) for name in ("window_start", "ticks", "keys"))  # type: ignore[arg-type]  # numbers
        found.append(Counted(start, key, str(named["metric"]), ticks, keys, Sketch.from_columns(columns)))
    return found


def only(rows: Iterable[Row], key: UnitCommand, metric: str) -> Counted:
    (found,) = [each for each in counted(rows) if (each.key, each.metric) == (key, metric)]
    return found


def sketch_of(values: Iterable[int]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def test_a_process_counts_at_each_tick_with_its_cpu_and_memory() -> None:
    """Also where it sleeps, and is not even read."""
    story = SketchStory()
    process = story.start(WEB, 5 * PAGE, cpu=1_000)
    story.tick()
    story.tick()
    story.read(process, 7 * PAGE, 2_000)
    story.tick()
    rows = story.flush()
    assert only(rows, WEB, "cpu").sketch == sketch_of([1_000, 0, 2_000])
    assert only(rows, WEB, "rss").sketch == sketch_of([5 * PAGE, 5 * PAGE, 7 * PAGE])
    assert [(each.window_start, each.ticks, each.keys) for each in counted(rows)] == [(BEGIN_NS, 3, 1)] * 2


def test_a_window_has_its_rows_after_it_is_over() -> None:
    """60 ticks, aligned to UTC; what sleeps through it costs nothing and counts 60 times."""
    story = SketchStory()
    story.start(WEB, PAGE)
    story.wall_ns += 30 * S
    for _ in range(30):
        assert story.tick() == []
    first = counted(story.tick())
    for _ in range(59):
        assert story.tick() == []
    second = counted(story.tick())
    assert [(each.window_start, each.ticks, each.sketch.count) for each in first] == [(BEGIN_NS, 30, 30)] * 2
    assert [(each.window_start, each.ticks, each.sketch.count) for each in second] == [(BEGIN_NS + WINDOW_NS, 60, 60)] * 2


def test_unknown_values_are_not_counted_and_are_no_zeros() -> None:
    """CPU of the first tick of an old process, and memory that nothing told."""
    story = SketchStory()
    story.start(WEB, None, cpu=None)
    story.tick()
    story.tick()
    rows = story.flush()
    assert only(rows, WEB, "cpu").sketch == sketch_of([0])
    assert [each.metric for each in counted(rows)] == ["cpu"]


def test_memory_whose_sum_is_beyond_a_column_has_its_row() -> None:
    """The largest number there is stands for the sum; everything else is exact."""
    story = SketchStory()
    story.start(WEB, VALUE_MAX)
    for _ in range(3):
        story.tick()
    rows = story.flush()
    assert [problem_of_row(PROCESS_SKETCH, row) for row in rows] == [None, None]
    found = only(rows, WEB, "rss").sketch
    assert (found.sum, found.count, found.max, found.scale) == (VALUE_MAX, 3, VALUE_MAX, 6)


def test_a_process_whose_cpu_is_never_known_has_no_zeros() -> None:
    """Nor where it is not read in a tick."""
    story = SketchStory()
    process = story.start(WEB, PAGE, cpu=None)
    story.read(process, PAGE, None, is_counted=False)
    story.tick()
    story.tick()
    assert [(each.metric, each.sketch.count) for each in counted(story.flush())] == [("rss", 2)]


def test_the_cpu_of_the_dead_is_counted_where_they_ran() -> None:
    """Their last part, and all of those that lived for a moment, whose key may have no living process."""
    story = SketchStory()
    process = story.start(WEB, PAGE, cpu=10)
    story.tick()
    story.end(process, cpu=77)
    story.parts.append((DB, 500))
    story.tick()
    rows = story.flush()
    assert only(rows, WEB, "cpu").sketch == sketch_of([10, 77])
    assert only(rows, WEB, "rss").sketch == sketch_of([PAGE])
    assert only(rows, DB, "cpu").sketch == sketch_of([500])


def test_a_process_that_moves_counts_in_each_key_for_its_ticks() -> None:
    """It changed its name, or its unit."""
    story = SketchStory()
    process = story.start(WEB, PAGE)
    story.tick()
    story.tick()
    story.move(process, DB)
    story.tick()
    rows = story.flush()
    assert (only(rows, WEB, "cpu").sketch.count, only(rows, WEB, "rss").sketch.count) == (2, 2)
    assert (only(rows, DB, "cpu").sketch.count, only(rows, DB, "rss").sketch.count) == (1, 1)


@pytest.mark.parametrize("step", [-3_600, 7_200])
def test_a_clock_that_is_set_ends_the_window(step: int) -> None:
    """Each side has its ticks, and no tick is counted twice."""
    story = SketchStory()
    story.start(WEB, PAGE)
    story.tick()
    story.tick()
    story.wall_ns += step * S
    story.tick()
    story.flush()
    ends = {(each.window_start - BEGIN_NS) // S: (each.ticks, each.sketch.count) for each in counted(story.rows)}
    assert ends == {0: (2, 2), step: (1, 1)}


def test_missed_ticks_are_not_made_up() -> None:
    """A window of which the host slept through a half says how many ticks it has."""
    story = SketchStory()
    story.start(WEB, PAGE)
    story.tick(30)
    story.tick()
    assert {(each.ticks, each.sketch.count) for each in counted(story.flush())} == {(2, 2)}


def test_rows_are_spread_over_the_ticks_after_a_window() -> None:
    """200 keys are 400 rows, at most 128 at a tick; none is lost."""
    story = SketchStory()
    for number in range(200):
        story.start(UnitCommand(None, f"c{number}"), PAGE)
    story.tick()
    story.wall_ns += WINDOW_NS
    counts = [len(story.tick()) for _ in range(5)]
    assert counts == [ROWS_PER_TICK, ROWS_PER_TICK, ROWS_PER_TICK, 400 - 3 * ROWS_PER_TICK, 0]


def test_rows_never_pile_up() -> None:
    """Where windows end faster than their rows are written, what is left is written at once."""
    story = SketchStory()
    for number in range(200):
        story.start(UnitCommand(None, f"c{number}"), PAGE)
    for _ in range(20):
        story.tick()
        story.wall_ns += WINDOW_NS
    story.flush()
    assert len(story.rows) == 20 * 400
    assert {each.ticks for each in counted(story.rows)} == {1}


def test_keys_beyond_the_limit_share_a_row() -> None:
    """It says how many they are; nothing is missing from the sums, and the number of rows is bounded."""
    story = SketchStory(SketchWindows(keys_max=4))
    for number in range(10):
        story.start(UnitCommand("u", f"c{number}"), PAGE * (number + 1), cpu=number + 1)
    story.tick()
    found = [each for each in counted(story.flush()) if each.metric == "rss"]
    assert len(found) == 4
    (other,) = [each for each in found if each.key == OTHER]
    assert (other.keys, other.sketch.count) == (7, 7)
    assert sum(each.sketch.sum for each in found) == PAGE * 55


def test_the_largest_keys_have_places_of_their_own() -> None:
    """Those with most CPU in the window before, and those with most memory; so a crowd of small ones hides none."""
    story = SketchStory(SketchWindows(keys_max=KEYS_LEFT_FOR_NEW + 4))
    for number in range(300):
        story.start(UnitCommand("u", f"c{number}"), PAGE, cpu=1)
    story.start(WEB, PAGE, cpu=10**9)
    story.start(DB, 10**9)
    story.parts.append((UnitCommand("u-jobs", "sh"), 10**8))
    story.tick()
    raw = {"raw_writes": 0, "raw_dropped": 0}
    assert story.windows.stats() == {"sketch_keys": KEYS_LEFT_FOR_NEW + 4, "sketch_keys_shared": 303 - KEYS_LEFT_FOR_NEW - 3, **raw}
    story.wall_ns += WINDOW_NS
    story.tick()
    story.flush()
    last = {each.key for each in counted(story.rows) if each.window_start > BEGIN_NS}
    assert {WEB, DB} <= last
    assert len(last) == KEYS_LEFT_FOR_NEW + 4
    assert story.windows.stats() == {"sketch_keys": 0, "sketch_keys_shared": 0, **raw}


def test_names_that_share_a_row_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any user may make new ones all the time; their values still count."""
    monkeypatch.setattr("workers.process.sketches.SHARED_KEYS_MAX", 5)
    story = SketchStory(SketchWindows(keys_max=1))
    story.parts += [(UnitCommand(None, f"c{number}"), 7) for number in range(20)]
    story.tick()
    (other,) = counted(story.flush())
    assert (other.key, other.keys, other.sketch) == (OTHER, 5, sketch_of([7] * 20))


def test_a_flush_begins_again() -> None:
    """Nothing of it comes twice; without a tick there is nothing."""
    story = SketchStory()
    assert story.flush() == []
    story.start(WEB, PAGE)
    story.tick()
    assert len(story.flush()) == 2
    assert story.flush() == []
    story.tick()
    assert {each.sketch.count for each in counted(story.flush())} == {1}


def test_a_long_list_beats() -> None:
    """The worker shows that it goes on while a window ends."""
    beats: list[int] = []
    story = SketchStory(SketchWindows(lambda: beats.append(1)))
    for _ in range(1_100):
        story.start(WEB, PAGE)
    story.tick()
    story.flush()
    assert len(beats) == 4


KEYS = [UnitCommand(unit, command) for unit in ("u-1", "u-2", None) for command in ("a", "b")]


def change(story: SketchStory, process: TrackedProcess, chance: random.Random) -> None:
    """One of all things that can happen to a process in a tick."""
    match chance.randrange(5):
        case 0:
            story.end(process, chance.choice([None, chance.randrange(10**9)]))
        case 1:
            story.move(process, chance.choice(KEYS))
        case 2:
            story.read(process, chance.randrange(10**10), 0)
        case 3:
            story.read(process, chance.choice([None, 0, PAGE]), chance.choice([None, 0, 10**6]))
        case _:
            story.read(process, PAGE, None, is_counted=chance.random() < 0.5)


def values_of(story: SketchStory) -> Iterable[tuple[UnitCommand, str, int]]:
    """Every value of this tick, one by one."""
    for process in story.table.processes.values():
        if process.interval_cpu_ns is not None:
            yield process.key, "cpu", process.interval_cpu_ns
        if process.why_no_rss is None:
            yield process.key, "rss", process.rss_bytes
    for key, cpu_ns in story.parts:
        yield key, "cpu", cpu_ns


@pytest.mark.parametrize("seed", range(30))
def test_it_is_as_if_each_process_were_counted_at_each_tick(seed: int) -> None:
    """Starts, ends, moves, unknown values, clock steps: every row is that of counting one by one."""
    chance = random.Random(seed)
    story = SketchStory()
    expected: dict[tuple[int, UnitCommand, str], Sketch] = defaultdict(Sketch)
    for _ in range(200):
        living = list(story.table.processes.values())
        for process in chance.sample(living, min(len(living), chance.randrange(4))):
            change(story, process, chance)
        for _ in range(chance.randrange(3)):
            story.start(chance.choice(KEYS), chance.choice([None, 0, 7 * PAGE]), chance.choice([None, 0, 10**7]))
        story.parts += [(chance.choice(KEYS), chance.randrange(10**7)) for _ in range(chance.randrange(3))]
        for key, metric, value in values_of(story):
            expected[story.wall_ns // WINDOW_NS * WINDOW_NS, key, metric].add(value)
        story.tick(chance.choice([1, 1, 1, 1, 2, 20, -30]))
    story.flush()
    found: dict[tuple[int, UnitCommand, str], Sketch] = defaultdict(Sketch)
    for each in counted(story.rows):
        found[each.window_start, each.key, each.metric].merge(each.sketch)
    assert found == expected


@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("most", [10_000, 2 * VALUE_MAX])
def test_the_dead_of_one_key_count_one_by_one_however_many_they_are(count: int, most: int) -> None:
    """None of them was ever seen; what no column holds counts as the largest number."""
    rng = random.Random(count)
    story = SketchStory()
    values = [rng.randrange(most) for _ in range(count)]
    story.parts = [(WEB, value) for value in values]
    story.parts.insert(1, (DB, 7))
    story.tick()
    rows = story.flush()
    assert only(rows, WEB, "cpu").sketch == sketch_of([min(value, VALUE_MAX) for value in values])
    assert only(rows, DB, "cpu").sketch == sketch_of([7])
