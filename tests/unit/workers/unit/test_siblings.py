"""Which of the units below one cgroup are looked at."""

from agent.model.rule import UnitKind
from agent.model.timebase import MS, S
from workers.unit.siblings import BUSY_NS, FRUITLESS_TICKS_MAX, IDLE_LOOKS, SILENCE_NS, SILENT_TICKS, Siblings
from workers.unit.tracked_unit import TrackedUnit


def unit(name: str, *, told_at_ns: int = 0) -> TrackedUnit:
    """One that had a row then."""
    made = TrackedUnit(name, UnitKind.SERVICE, name)
    made.told_at_ns = told_at_ns
    return made


def siblings_of(count: int, *, now_ns: int) -> Siblings:
    """That many idle units, with rows of now."""
    siblings = Siblings(unit("/above"))
    for number in range(count):
        each = unit(f"/{number}", told_at_ns=now_ns)
        siblings.add(each)
        siblings.settle(each, now_ns)
    return siblings


def test_a_unit_without_cpu_time_becomes_idle_and_one_that_used_some_is_busy_again() -> None:
    """It is in one of the two."""
    siblings, each = Siblings(unit("/above")), unit("/a")
    siblings.add(each)
    each.active_at_ns = 100 * S
    siblings.settle(each, 100 * S + BUSY_NS - 1)
    assert list(siblings.busy) == [each]
    siblings.settle(each, 100 * S + BUSY_NS)
    assert (list(siblings.busy), list(siblings.idle)) == ([], [each])
    each.active_at_ns = 200 * S
    siblings.settle(each, 200 * S)
    assert (list(siblings.busy), list(siblings.idle), len(siblings)) == ([each], [], 1)
    siblings.remove(each)
    assert len(siblings) == 0


def test_idle_units_are_looked_at_in_turn_where_anything_was_done() -> None:
    """The one looked at longest ago comes first; nothing is looked at where nothing was done."""
    siblings = siblings_of(250, now_ns=100 * S)
    assert siblings.in_turn(101 * S, is_moved=False) == []
    seen = []
    for tick in range(3):
        now_ns = (101 + tick) * S
        for each in siblings.in_turn(now_ns, is_moved=True):
            seen.append(each.uid)
            siblings.settle(each, now_ns)
    assert seen[: 2 * IDLE_LOOKS] == [f"/{number}" for number in range(2 * IDLE_LOOKS)]
    assert set(seen) == {f"/{number}" for number in range(250)}


def test_rows_of_many_idle_units_are_due_in_several_ticks() -> None:
    """Each within a minute of its last one, although all began together."""
    siblings = siblings_of(800, now_ns=100 * S)
    most, last_ns, told = 0, 0, set()
    for tick in range(1, 61):
        now_ns = (100 + tick) * S
        due = siblings.in_turn(now_ns, is_moved=False)
        most = max(most, len(due))
        for each in due:
            each.told_at_ns = now_ns
            siblings.settle(each, now_ns)
            told.add(each.uid)
            last_ns = now_ns
    assert len(told) == 800
    assert most <= 1 + 800 // SILENT_TICKS
    assert last_ns <= 100 * S + SILENCE_NS + 2 * SILENT_TICKS * S


def test_cpu_time_that_nobody_explains_makes_all_others_looked_at() -> None:
    """What is missing within the noise is nobody's."""
    siblings = siblings_of(5, now_ns=100 * S)
    first, *rest = siblings.idle
    assert list(siblings.others(100 * MS, 97 * MS, [first])) == []
    assert list(siblings.others(None, 0, [first])) == []
    assert list(siblings.others(100 * MS, 10 * MS, [first])) == rest


def test_a_fruitless_look_at_all_is_repeated_ever_more_rarely() -> None:
    """Processes directly in the cgroup above are nobody's, and there may always be some."""
    siblings = siblings_of(3, now_ns=100 * S)
    looks = 0
    for _ in range(1000):
        if list(siblings.others(S, 0, [])):
            looks += 1
            siblings.learn(is_found=False)
    assert 1000 // FRUITLESS_TICKS_MAX <= looks <= 1000 // FRUITLESS_TICKS_MAX + 8
    siblings.learn(is_found=True)
    assert list(siblings.others(S, 0, [])) != []
