"""Which windows of a host belong to an answer, which have a whole sketch, and of which every tick is known."""

import pytest

from agent.router.cell import WINDOW_NS, Grid
from agent.router.fact import ABOUT, HostCells, HostFacts, ScanWindow, SketchWindow, Stretch, Why, cells_of

GRID = Grid(100, 6)
BEHIND = Stretch(GRID.until_ns, 1 << 62)


def facts_of(
    scans: dict[int, ScanWindow] | None = None, sketches: dict[int, SketchWindow] | None = None, **changes: object
) -> HostFacts:
    fields = {"holes": [BEHIND], **changes}
    return HostFacts(GRID.since_ns, GRID.until_ns, scans or {}, sketches or {}, **fields)  # type: ignore[arg-type]


def cells(facts: HostFacts, *, counts_dead: bool = True, until_ns: int = GRID.until_ns) -> HostCells:
    return cells_of(GRID, facts, until_ns, counts_dead=counts_dead)


def scan(ticks: int = 60, living: int = 600, **changes: int) -> ScanWindow:
    return ScanWindow(ticks, living, **changes)  # type: ignore[arg-type]


def test_every_reason_has_a_sentence() -> None:
    """For people."""
    assert set(ABOUT) == set(Why)


def test_a_sketch_with_a_value_of_every_process_and_tick_is_whole() -> None:
    """With those that ended, where the metric counts them; whatever else is said of it."""
    facts = facts_of(
        {0: scan(dead=7), 1: scan(dead=7)},
        {0: SketchWindow(60, 607), 1: SketchWindow(30, 600)},
        losses=[Stretch(GRID.since_ns, GRID.since_ns + 1)],
    )
    assert cells(facts).sketched == 0b01
    assert cells(facts, counts_dead=False).sketched == 0b10


def test_the_first_tick_after_a_start_has_no_cpu() -> None:
    """So it adds no values."""
    facts = facts_of({0: scan(first_ticks=1, first_living=10)}, {0: SketchWindow(60, 590)})
    assert cells(facts).sketched == 1


@pytest.mark.parametrize(
    ("sketch", "told", "why"),
    [
        (SketchWindow(60, 607, is_damaged=True), scan(dead=7), Why.DAMAGED),
        (SketchWindow(59, 590), scan(), Why.FEWER_TICKS),
        (SketchWindow(60, 599), scan(), Why.FEWER_VALUES),
    ],
)
def test_a_sketch_that_lacks_something_is_not_whole(sketch: SketchWindow, told: ScanWindow, why: Why) -> None:
    """The reason says what."""
    found = cells(facts_of({0: told, 1: scan()}, {0: sketch, 1: SketchWindow(60, 600)}))
    assert (found.sketched, found.why[why], found.ticked) == (0b10, 0b01, 0b11)


def test_values_that_are_unknown_need_not_be_counted() -> None:
    """Then ticks, and a later window, say that it is whole."""
    facts = facts_of({0: scan(is_incomplete=True), 1: scan()}, {0: SketchWindow(60, 590), 1: SketchWindow(60, 600)})
    assert cells(facts).sketched == 0b11


def test_of_processes_that_ended_the_cpu_may_be_unknown() -> None:
    """Fewer values than deaths allow are no loss where later rows are there; the newest is not settled."""
    facts = facts_of({0: scan(dead=9), 1: scan(dead=9)}, {0: SketchWindow(60, 603), 1: SketchWindow(60, 603)})
    found = cells(facts)
    assert (found.sketched, found.why) == (0b01, {Why.NOT_SETTLED: 0b10})


def test_a_recorded_loss_near_a_window_makes_its_sketch_doubtful() -> None:
    """Rows of a sketch are written up to 20 minutes later."""
    sketches = {index: SketchWindow(60, 5) for index in range(6)}
    facts = facts_of(None, sketches, losses=[Stretch(GRID.start_ns(4), GRID.start_ns(4) + 1)])
    found = cells(facts)
    assert found.why[Why.RECORDED_LOSS] == 0b11111
    assert cells(facts_of(None, sketches)).sketched == 0b11111


def test_the_end_of_a_sampler_counts_only_where_no_tick_tells() -> None:
    """With it sketches end that were not written."""
    deaths = [Stretch(GRID.start_ns(0), GRID.start_ns(0) + 1)]
    sketches = {0: SketchWindow(60, 605), 1: SketchWindow(60, 600)}
    assert cells(facts_of(None, sketches, deaths=deaths)).why[Why.RECORDED_LOSS] == 0b01
    told = {0: scan(dead=9), 1: scan()}
    assert cells(facts_of(told, sketches, deaths=deaths)).sketched == 0b11


def test_without_ticks_a_sketch_must_be_as_full_as_the_fullest() -> None:
    """And a later one, or a mark, must say that nothing more comes."""
    sketches = {0: SketchWindow(60, 5), 1: SketchWindow(59, 5), 2: SketchWindow(60, 5)}
    found = cells(facts_of(None, sketches))
    assert (found.sketched, found.why) == (0b001, {Why.FEWER_TICKS: 0b010, Why.NOT_SETTLED: 0b100})
    marked = facts_of(None, sketches, mark_ns=GRID.start_ns(4))
    assert cells(marked).sketched == 0b101
    assert cells(facts_of(None, sketches, mark_ns=0)).why[Why.NOT_SETTLED] == 0b101


def test_windows_exist_where_there_are_ticks_or_where_they_may_be_missing() -> None:
    """Up to the horizon; between a stop and a start there are none. One with a sketch exists in any case."""
    hole = Stretch(GRID.start_ns(3), GRID.start_ns(4))
    facts = facts_of({0: scan(), 1: scan()}, {5: SketchWindow(60, 5)}, holes=[hole, BEHIND])
    found = cells(facts, until_ns=GRID.start_ns(5))
    assert (found.exists, found.ticked, found.partly) == (0b101011, 0b000011, 0b100000)
    assert found.why[Why.NO_SKETCH] == 0b001011
    assert cells(facts, until_ns=GRID.start_ns(1)).exists == 0b100001


def test_a_window_with_a_hole_is_not_ticked() -> None:
    """Its sketch is judged as if there were no ticks."""
    facts = facts_of(
        {0: scan(), 1: scan()}, {0: SketchWindow(60, 600), 1: SketchWindow(60, 600)}, holes=[Stretch(0, GRID.start_ns(1))]
    )
    found = cells(facts)
    assert (found.ticked, found.sketched) == (0b10, 0b11)


def test_a_host_without_sketches_has_no_reasons_but_that() -> None:
    """Each window lacks one."""
    assert cells(facts_of({0: scan()})).why == {Why.NO_SKETCH: 1}
    assert WINDOW_NS == 60 * 10**9


def test_a_sketch_of_a_time_that_the_clock_passed_twice_is_never_whole() -> None:
    """The rows of the second pass come behind those of later windows."""
    sketches = {index: SketchWindow(60, 5) for index in range(4)}
    found = cells(facts_of(None, sketches, twice=[Stretch(GRID.start_ns(1), GRID.start_ns(1) + 1)]))
    assert (found.sketched, found.why[Why.CLOCK_SET]) == (0b0101, 0b0010)
