"""Raw rows of a window against its sketches: right ones agree in every bucket, and each kind of damage is named."""

from collections import Counter, defaultdict
from collections.abc import Callable
from random import Random

import pytest

from agent.lake.window_check import DIFFERENCES_MAX, CheckedTail, CheckedWindow, Key, WindowDifference
from agent.model.sketch import SCALE, Sketch, bucket_of

START_NS = 60_000_000_000
NAMED = 3


class SketchedWindow:
    """A host's window as a sampler writes it: some processes, the largest of each tick by name, and the sketches of all."""

    def __init__(self, seed: int = 1, ticks: int = 4, *, folds: bool = False, exits: bool = True, scale: int = SCALE) -> None:
        self.window = CheckedWindow("h", START_NS)
        self.rng = Random(seed)
        self.sketches: dict[tuple[str, Key], Sketch] = defaultdict(lambda: Sketch(scale=scale))
        self.ticks = ticks
        self.folds = folds
        # (unit, command) of each process.
        self.processes: list[Key] = [(self.rng.choice(("u", "v", None)), self.rng.choice("ab")) for _ in range(12)]
        for tick in range(ticks):
            self.window.take_tick(START_NS + tick)
            self._tick()
            if exits:
                self._exits()

    def _tick(self) -> None:
        values = [(key, self.rng.choice((0, self.rng.randrange(10**9))), self.rng.randrange(1, 10**7)) for key in self.processes]
        for key, cpu_ns, rss_bytes in values:
            self.sketches["cpu", key].add(cpu_ns)
            self.sketches["rss", key].add(rss_bytes)
        values.sort(key=lambda each: -each[1])
        for (pod_uid, command), cpu_ns, rss_bytes in values[:NAMED]:
            assert command is not None
            self.window.take_process(pod_uid, command, cpu_ns, rss_bytes)
        rest: dict[Key, list[tuple[int, int]]] = defaultdict(list)
        for key, cpu_ns, rss_bytes in values[NAMED:]:
            pod_uid, command = key
            rest[pod_uid, None if self.folds and command == "b" else command].append((cpu_ns, rss_bytes))
        for (pod_uid, command), pairs in rest.items():
            cpu, rss = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            self.window.take_tail(
                CheckedTail(pod_uid, command, len(pairs), sum(cpu), max(cpu), sum(rss), max(rss), is_incomplete=False)
            )

    def _exits(self) -> None:
        """One death by name, two in a sum, one of which nothing is known."""
        key = self.rng.choice(self.processes)
        alone, *together = (self.rng.randrange(10**6) for _ in range(3))
        for cpu_ns in (alone, *together):
            self.sketches["cpu", key].add(cpu_ns)
        self.window.take_exit(*key, 1, alone, is_incomplete=False)
        self.window.take_exit(*key, 2, sum(together), is_incomplete=False)
        self.window.take_exit(*key, 1, None, is_incomplete=True)

    def written(self, *, but: Callable[[str, Key, Sketch], Sketch | None] = lambda metric, key, sketch: sketch) -> CheckedWindow:
        """The window with its sketches; `but` gives another one, or none."""
        for (metric, key), sketch in self.sketches.items():
            if (other := but(metric, key, sketch)) is not None:
                self.window.take_sketch(*key, metric, self.ticks, other)
        return self.window


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize("scale", [SCALE, SCALE - 2])
def test_what_a_sampler_writes_agrees(seed: int, scale: int, *, folds: bool) -> None:
    """Whatever is summed and folded, and however coarse sketches are."""
    window = SketchedWindow(seed, folds=folds, scale=scale).written()
    assert window.why_not_compared == window.why_incomplete == ""
    assert window.differences() == []


def buckets_of(found: list[WindowDifference]) -> set[int | None]:
    """Of these differences."""
    return {each.bucket for each in found}


def test_a_value_in_another_bucket_is_named() -> None:
    """By host, window, unit, command and both buckets."""
    story = SketchedWindow(folds=False)
    (metric, key), value = ("cpu", story.processes[0]), 5 * 10**9
    story.window.take_process(key[0], str(key[1]), value, None)
    story.sketches[metric, key].add(value * 2)
    found = story.written().differences()
    assert {bucket_of(value), bucket_of(2 * value)} <= buckets_of(found)
    assert {(each.host, each.window_ns, each.metric, each.pod_uid, each.command) for each in found} == {
        ("h", START_NS, "cpu", *key)
    }
    assert any("the largest value" in each.problem for each in found)
    assert any("their sum" in each.problem for each in found)


def test_below_the_largest_of_the_rest_counts_and_sums_decide() -> None:
    """A value too few or too many among the sums is found, though no bucket tells it."""
    for extra, words in (([7], "values in raw rows"), ([], "")):
        story = SketchedWindow(seed=3)
        key = story.processes[0]
        story.window.take_tail(CheckedTail(*key, 2, 10, 9, 10, 9, is_incomplete=False))
        for metric in ("cpu", "rss"):
            for value in (9, 1, *extra):
                story.sketches[metric, key].add(value)
        found = story.written().differences()
        assert bool(found) is bool(extra)
        assert all(words in each.problem or "sum" in each.problem for each in found)


def test_a_bucket_with_fewer_values_than_named_ones_is_found_anywhere() -> None:
    """Also below the largest of the rest."""
    story = SketchedWindow()
    key = story.processes[0]
    story.window.take_process(key[0], str(key[1]), 3, 3)
    story.window.take_process(key[0], str(key[1]), 0, None)
    found = story.written(but=lambda metric, of, sketch: Sketch() if of == key else sketch).differences()
    assert bucket_of(3) in buckets_of(found)
    assert any("zeros" in each.problem for each in found)


def test_a_sketch_without_raw_rows_and_raw_rows_without_a_sketch_are_told() -> None:
    """Both ways."""
    story = SketchedWindow(exits=False)
    key = story.processes[0]
    story.sketches["cpu", ("new", "x")].add(5)
    found = story.written(but=lambda metric, of, sketch: None if of == key else sketch).differences()
    assert any(each.pod_uid == "new" and each.bucket == bucket_of(5) for each in found)
    assert any((each.pod_uid, each.command) == key and "no sketch" in each.problem for each in found)


def test_a_window_that_is_all_wrong_is_told_in_a_few_lines() -> None:
    """Of each metric."""
    story = SketchedWindow(exits=False)
    for value in range(100):
        story.sketches["cpu", ("new", "x")].add(1 << value % 60, 2)
    assert Counter(each.metric for each in story.written().differences())["cpu"] == DIFFERENCES_MAX


def test_rows_that_hold_no_sketch_are_told() -> None:
    """And raw values that are none."""
    story = SketchedWindow()
    story.window.take_sketch("u", "a", "cpu", 4, None)
    story.window.take_sketch("u", "a", "heat", 4, Sketch())
    story.window.take_raw("u", "a", "heat", 1, 1, 0.0)
    story.window.take_raw("u", "a", "cpu", -1, 1, 0.0)
    story.window.take_raw("u", "a", "cpu", 1, 0, 0.0)
    assert [each.problem for each in story.written().differences()] == ["5 rows hold no sketch"]


def test_keys_that_share_a_sketch_are_compared_together() -> None:
    """Those with a sketch of their own alone."""
    for seed in range(10):
        story = SketchedWindow(seed)
        own = story.processes[0]
        shared: dict[str, Sketch] = {"cpu": Sketch(), "rss": Sketch()}
        for (metric, key), sketch in list(story.sketches.items()):
            if key != own:
                shared[metric].merge(sketch)
                del story.sketches[metric, key]
        for metric, sketch in shared.items():
            story.sketches[metric, (None, None)] = sketch
        assert story.written().differences() == []


def test_after_a_restart_within_a_window_others_may_share_a_sketch() -> None:
    """Then everything is compared together."""
    story = SketchedWindow(ticks=4, exits=False)
    key = story.processes[0]
    for metric in ("cpu", "rss"):
        whole = Sketch()
        for (of, _), sketch in story.sketches.items():
            if of == metric:
                whole.merge(sketch)
        one, other = Sketch(), Sketch()
        one.add(1)
        other.merge(whole)
        story.window.take_sketch(None, None, metric, 2, other)
        story.window.take_sketch(*key, metric, 2, one)
        story.window.take_sketch(*key, metric, 2, one)
    story.window.take_process(key[0], str(key[1]), 1, 1)
    story.window.take_process(key[0], str(key[1]), 1, 1)
    assert story.window.differences() == []


def test_raw_values_are_a_part_of_the_whole() -> None:
    """Where no sketch could be built; where they are estimates, nothing is compared."""
    story = SketchedWindow(exits=False)
    key = story.processes[0]
    story.window.take_process(key[0], str(key[1]), 77, 77)
    for metric in ("cpu", "rss"):
        story.window.take_raw(*key, metric, 77, 1, 0.0)
    assert story.written().differences() == []
    story.window.take_raw(*key, "cpu", 77, 1, 0.005)
    assert story.window.why_not_compared == "raw values that are estimates"


def test_what_is_not_there_is_no_difference() -> None:
    """No sketches; no raw rows; sketches of fewer ticks; raw rows of fewer ticks, of which the named values are still compared."""
    assert CheckedWindow("h", 0).why_not_compared == "no sketches"
    empty = CheckedWindow("h", 0)
    empty.take_sketch("u", "a", "cpu", 4, Sketch())
    assert empty.why_not_compared == "no raw rows"
    story = SketchedWindow(exits=False)
    story.window.take_tick(START_NS + 50)
    assert story.written().why_not_compared == "sketches of fewer ticks than raw rows"
    later = SketchedWindow(exits=False)
    for (_, key), sketch in later.sketches.items():
        sketch.add(10**12)
        later.window.take_sketch(*key, "cpu", 0, Sketch())
    later.ticks = 9
    window = later.written()
    assert window.why_incomplete == "raw rows of fewer ticks than sketches"
    assert window.differences() == []


def test_what_nobody_could_read_is_not_counted() -> None:
    """A sum that is incomplete, the first tick, a named process without CPU, a death with an unknown part."""
    story = SketchedWindow(exits=False)
    pod_uid, command = story.processes[0]
    story.window.take_tail(CheckedTail(pod_uid, command, 2, None, None, 5, None, is_incomplete=True))
    story.sketches["rss", (pod_uid, command)].add(5)
    story.window.take_process(pod_uid, str(command), None, -1)
    story.window.take_exit(pod_uid, command, 3, 10, is_incomplete=True)
    story.sketches["cpu", (pod_uid, command)].add(4)
    # A sum of no processes has no values.
    story.window.take_tail(CheckedTail("gone", "x", 0, 0, 0, 0, 0, is_incomplete=False))
    assert story.written().differences() == []


def test_values_beyond_the_largest_number_stand_as_that() -> None:
    """As sketches have them."""
    window = CheckedWindow("h", 0)
    window.take_tick(1)
    sketch = Sketch()
    for _ in range(2):
        window.take_process(None, "a", 1 << 63, 1)
        sketch.add((1 << 63) - 1)
    rss = Sketch()
    rss.add(1, 2)
    window.take_sketch(None, "a", "cpu", 1, sketch)
    window.take_sketch(None, "a", "rss", 1, rss)
    assert window.differences() == []
