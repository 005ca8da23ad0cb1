"""What is known of one group: who is outside, when its threads are looked at next, and how it stands for a unit."""

from workers.control_plane.group_step import SANDBOX, CheckResult, DesiredGroup, PartState
from workers.control_plane.planned_group import (
    IDLE_MAX,
    PASSES_MAX,
    SECOND_LOOK_NS,
    UNSETTLED_RETRY_NS,
    PlannedGroup,
    parts_by_unit,
)
from workers.resctrl.problem import ProblemKind

CHECK_NS = 16_000_000_000
PATHS = ("mon_groups/pod_a",)
A, B, OTHER = ("a", "c1"), ("a", "c2"), ("b", "")


def _group(*parts: tuple[str, str], priority: int = 0, number: int = 0) -> PlannedGroup:
    wanted = DesiredGroup("g", priority, parts or (A,))
    return PlannedGroup(wanted, number, paths=PATHS, by_unit=parts_by_unit(wanted))


def _found(*, moved: int = 0, refused: int = 0, **outside: int | None) -> CheckResult:
    parts = {"a": A, "b": B, "other": OTHER}
    return CheckResult(PATHS, {parts[name]: count for name, count in outside.items()}, moved, refused, "why", ProblemKind.BUSY)


def test_parts_are_gathered_by_their_units_in_order() -> None:
    """A container stands beside its unit's others."""
    assert parts_by_unit(DesiredGroup("g", 0, (A, OTHER, B))) == {"a": [A, B], "b": [OTHER]}


def test_ids_go_by_priority_and_then_by_age() -> None:
    """The highest priority has the lowest rank."""
    assert sorted([_group(number=2), _group(number=1), _group(priority=5, number=3)], key=lambda each: each.rank)[0].number == 3
    assert _group(number=1).rank < _group(number=2).rank


def test_a_group_is_whole_when_no_thread_of_any_part_is_outside() -> None:
    """A part that nobody looked at, or that has no thread, is not known to be whole."""
    group = _group(A, OTHER)
    group.outside = {A: 0}
    assert (group.is_whole, group.incomplete_units) == (False, ["b"])
    group.outside = {A: 0, OTHER: None}
    assert group.incomplete_units == ["b"]
    group.outside = {A: 0, OTHER: 0}
    assert (group.is_whole, group.incomplete_units) == (True, [])


def test_how_it_stands_is_counted_for_each_unit() -> None:
    """Containers, and those of them that are whole; without a directory none is."""
    group = _group(A, B, OTHER)
    group.outside = {A: 0, B: 3, OTHER: 0}
    told = group.monitoring("a")
    assert (told.paths, told.problem, told.total_containers, told.reconciled_containers) == (PATHS, "", 2, 1)
    group.paths, group.problem, group.detail = (), ProblemKind.CAPACITY, "no ids"
    told = group.monitoring("a")
    assert (told.problem, told.detail, told.reconciled_containers) == ("capacity", "no ids", 0)
    assert group.monitoring("nobody").total_containers == 0


def test_parts_that_stay_keep_what_is_known_of_them() -> None:
    """Those that went are forgotten."""
    group = _group(A, B)
    group.outside = {A: 0, B: 2}
    group.want(DesiredGroup("g", 1, (A, OTHER)))
    assert (group.outside, group.by_unit) == ({A: 0}, {"a": [A], "b": [OTHER]})


def test_threads_that_were_moved_are_looked_for_again_at_once() -> None:
    """Until a pass finds nobody, or there were too many of them."""
    group = _group()
    for _ in range(PASSES_MAX - 1):
        group.on_checked(_found(moved=1, a=1), 5, CHECK_NS)
        assert group.check_at_ns == 5
    group.on_checked(_found(moved=1, a=1), 5, CHECK_NS)
    assert (group.check_at_ns, group.passes, group.idle) == (5 + UNSETTLED_RETRY_NS, 0, 1)


def test_a_clean_pass_after_moves_is_proved_by_a_second_look_soon() -> None:
    """A fork may have begun before its creator was moved."""
    group = _group()
    group.on_checked(_found(moved=1, a=1), 5, CHECK_NS)
    group.on_checked(_found(a=0), 6, CHECK_NS)
    assert (group.check_at_ns, group.passes) == (6 + SECOND_LOOK_NS, 0)


def test_a_look_that_nobody_waits_for_is_put_off_once() -> None:
    """Containers that start all along in one group do not put it off for ever."""
    group = _group()
    group.check_soon(5)
    for now_ns in range(5, SECOND_LOOK_NS, SECOND_LOOK_NS // 4):
        group.check_soon(now_ns)
        group.on_assigned(A, now_ns)
        assert group.check_at_ns == 5 + SECOND_LOOK_NS
    group.on_checked(_found(a=0), 5 + SECOND_LOOK_NS, CHECK_NS)
    group.on_assigned(A, 6 + SECOND_LOOK_NS)
    assert group.check_at_ns == 6 + 2 * SECOND_LOOK_NS


def test_a_look_that_is_due_sooner_is_not_put_off() -> None:
    """Only one that would be at this moment is."""
    group = _group()
    group.check_at_ns = 7
    group.check_later(5)
    assert group.check_at_ns == 7


def test_whole_groups_are_looked_at_once_an_interval_and_not_all_at_once() -> None:
    """Their numbers spread them over half of it."""
    instants = set()
    for number in range(16):
        group = _group(number=number)
        group.on_checked(_found(a=0), 0, CHECK_NS)
        instants.add(group.check_at_ns)
    assert len(instants) == 16
    assert CHECK_NS // 2 <= min(instants) < max(instants) == CHECK_NS


def test_what_cannot_be_made_whole_is_tried_ever_more_rarely() -> None:
    """Twice the wait each time, up to the usual interval."""
    group = _group()
    waits = []
    for _ in range(IDLE_MAX + 2):
        group.on_checked(_found(refused=1, a=1), 0, CHECK_NS)
        waits.append(group.check_at_ns)
    assert waits[:3] == [UNSETTLED_RETRY_NS, 2 * UNSETTLED_RETRY_NS, 4 * UNSETTLED_RETRY_NS]
    assert waits[-1] == CHECK_NS
    assert (group.idle, group.problem, group.detail) == (IDLE_MAX, ProblemKind.BUSY, "why")
    group.check_soon(7)
    assert (group.check_at_ns, group.passes, group.idle) == (7, 0, 0)


def test_threads_of_a_whole_part_that_ended_before_they_were_looked_for_say_nothing() -> None:
    """In a storm of short lives there is always one; with a move the numbers count as they are."""
    group = _group()
    group.outside = {A: 0}
    group.on_checked(_found(a=2), 0, CHECK_NS)
    assert group.outside == {A: 0}
    group.on_checked(_found(moved=1, a=2), 0, CHECK_NS)
    assert group.outside == {A: 2}
    group.outside = {A: 0}
    group.on_checked(_found(a=None), 0, CHECK_NS)
    assert group.outside == {A: None}


def test_what_a_start_reports_of_a_part_that_went_counts_for_nothing() -> None:
    """The container ended at once; the group is looked at, for forks may be left."""
    group = _group(A)
    group.outside = {A: 3}
    group.on_assigned(B, 7)
    assert (group.outside, group.is_whole, group.check_at_ns) == ({A: 3}, False, 7)


def test_how_a_part_stands_is_what_was_last_found() -> None:
    """Threads outside, none, or no thread at all; before a first look and without a directory one counts as outside."""
    group = _group(A, B, OTHER)
    group.outside = {A: 0, B: 3, OTHER: None}
    assert [group.state(part) for part in (A, B, OTHER)] == [
        (PartState.RECONCILED, 0),
        (PartState.PARTIAL, 3),
        (PartState.PENDING, 0),
    ]
    assert group.state(("new", "c")) == (PartState.PARTIAL, 0)
    group.paths = ()
    assert group.state(A) == (PartState.PARTIAL, 0)


def test_nobody_waits_for_threads_beside_a_pod_s_containers() -> None:
    """Most pods have none; one that is there belongs to the group."""
    sandbox = ("a", SANDBOX)
    group = _group(A, sandbox)
    for outside, is_whole in ((None, True), (0, True), (2, False)):
        group.outside = {A: 0, sandbox: outside}
        assert group.is_whole is is_whole
