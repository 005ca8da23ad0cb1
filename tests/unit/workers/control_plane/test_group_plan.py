"""The plan of monitoring groups: who gets an id, who waits, who gives way, and when threads are looked after."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.timebase import MS, S
from workers.control_plane.group_plan import (
    BUSY_RETRY_NS,
    DELETE_RETRY_NS,
    DELETED_MAX,
    DELETED_NS,
    GAVE_WAY,
    LOCKED_RETRY_NS,
    GroupPlan,
)
from workers.control_plane.group_step import SANDBOX, Check, CheckResult, Create, Delete, DesiredGroup
from workers.control_plane.planned_group import PASSES_MAX, SECOND_LOOK_NS, UNSETTLED_RETRY_NS
from workers.resctrl.problem import ProblemKind

CHECK_NS, RETRY_NS = 10 * S, 5 * S


def _plan() -> GroupPlan:
    return GroupPlan(check_interval_ns=CHECK_NS, retry_interval_ns=RETRY_NS)


def _own(uid: str, priority: int = 0, containers: int = 1) -> DesiredGroup:
    return DesiredGroup(uid, priority, tuple((uid, f"c{number}") for number in range(containers)))


def _clean(wanted: DesiredGroup) -> dict[tuple[str, str], int | None]:
    return dict.fromkeys(wanted.parts, 0)


def _whole(plan: GroupPlan, *wanted: DesiredGroup) -> None:
    """Make each of these and find it whole, at instant 0."""
    for each in wanted:
        assert plan.next_step(0) == Create(each.group)
        plan.on_created(each.group, f"mon_groups/{each.group}", 0)
    for each in wanted:
        step = plan.next_step(0)
        assert step == Check(each.group, (f"mon_groups/{each.group}",), each.parts)
        plan.on_checked(each.group, CheckResult(step.paths, _clean(each)), 0)


def test_a_wanted_group_is_made_and_looked_at_until_a_pass_finds_nobody_outside() -> None:
    """One pass that moved threads is no proof; the clean pass after it is."""
    plan, pod = _plan(), _own("a")
    plan.want([pod], 0)
    assert plan.next_step(0) == Create("a")
    plan.on_created("a", "mon_groups/a", 0)
    check = Check("a", ("mon_groups/a",), pod.parts)
    assert plan.next_step(0) == check
    plan.on_checked("a", CheckResult(check.paths, {("a", "c0"): 7}, moved=7), 0)
    assert plan.unreconciled() == ["a"]
    assert plan.next_step(0) == check
    plan.on_checked("a", CheckResult(check.paths, {("a", "c0"): 0}), 0)

    monitoring = plan.monitoring("a")
    assert monitoring is not None
    assert (monitoring.paths, monitoring.total_containers, monitoring.reconciled_containers) == (("mon_groups/a",), 1, 1)
    assert plan.unreconciled() == []
    assert plan.next_step(0) is None


def test_a_whole_group_is_looked_at_again_after_the_check_interval() -> None:
    """Somebody may have moved its threads, or joined its cgroup from outside."""
    plan, pod = _plan(), _own("a")
    plan.want([pod], 0)
    _whole(plan, pod)
    due_ns = plan.next_deadline_ns()
    assert due_ns is not None
    assert CHECK_NS // 2 < due_ns <= CHECK_NS
    assert plan.next_step(due_ns - 1) is None
    assert isinstance(plan.next_step(due_ns), Check)


def test_the_directory_of_a_group_is_known_once_it_is_made() -> None:
    """The first of several; a group without one is in no answer."""
    plan = _plan()
    plan.want([_own("a"), _own("b")], 0)
    assert plan.path_by_group() == {}
    plan.next_step(0)
    plan.on_created("a", "mon_groups/a", 0)
    plan.on_checked("a", CheckResult(("mon_groups/a", "gold/mon_groups/a"), {("a", "c0"): 0}), 0)
    assert plan.path_by_group() == {"a": "mon_groups/a"}


def test_after_threads_had_to_be_moved_there_is_a_second_look_soon() -> None:
    """A fork that was under way while its creator was moved ends outside, after the pass that found nobody there."""
    plan, pod = _plan(), _own("a")
    plan.want([pod], 0)
    plan.next_step(0)
    plan.on_created("a", "mon_groups/a", 0)
    for outside in (5, 0):
        plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): outside}), 0)
    assert plan.next_deadline_ns() == SECOND_LOOK_NS
    plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): 0}), SECOND_LOOK_NS)
    due_ns = plan.next_deadline_ns()
    assert due_ns is not None
    assert due_ns - SECOND_LOOK_NS > CHECK_NS // 2


def test_a_container_that_comes_later_is_looked_at_at_once() -> None:
    """The others' counts stay as they are meanwhile."""
    plan = _plan()
    plan.want([_own("a")], 0)
    _whole(plan, _own("a"))
    plan.want([_own("a", containers=2)], S)
    monitoring = plan.monitoring("a")
    assert monitoring is not None
    assert (monitoring.total_containers, monitoring.reconciled_containers) == (2, 1)
    assert isinstance(plan.next_step(S), Check)


def test_an_empty_container_is_pending_and_is_looked_at_ever_more_seldom() -> None:
    """It has not started, and may never: the waits double up to the usual interval."""
    plan, pod = _plan(), _own("a")
    plan.want([pod], 0)
    plan.next_step(0)
    plan.on_created("a", "mon_groups/a", 0)
    now_ns, waits = 0, []
    for _ in range(8):
        plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): None}), now_ns)
        due_ns = plan.next_deadline_ns()
        assert due_ns is not None
        waits.append(due_ns - now_ns)
        now_ns = due_ns
    assert waits[:4] == [UNSETTLED_RETRY_NS << number for number in range(4)]
    assert waits[-1] == CHECK_NS
    assert plan.unreconciled() == ["a"]


def test_a_storm_of_forks_does_not_hold_up_the_others() -> None:
    """After a number of passes that each found a thread outside, the group waits a moment."""
    plan, pod = _plan(), _own("a")
    plan.want([pod], 0)
    plan.next_step(0)
    plan.on_created("a", "mon_groups/a", 0)
    for _ in range(PASSES_MAX):
        assert isinstance(plan.next_step(0), Check)
        plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): 3}, moved=3), 0)
    assert plan.next_step(0) is None
    assert plan.next_deadline_ns() == UNSETTLED_RETRY_NS


def test_directories_nobody_wants_are_removed_before_any_is_made() -> None:
    """An id that is given back may be the one that is asked for."""
    plan = _plan()
    plan.want([_own("a")], 0)
    _whole(plan, _own("a"))
    plan.want([_own("b")], S)
    assert plan.next_step(S) == Delete("a", "mon_groups/a")
    plan.on_deleted("mon_groups/a", S)
    assert plan.next_step(S) == Create("b")
    assert plan.monitoring("a") is None
    assert plan.take_changed() == {"a", "b"}


def test_a_group_wanted_again_before_its_removal_keeps_its_directory() -> None:
    """Its counters go on, and no id goes through limbo."""
    plan = _plan()
    plan.want([_own("a")], 0)
    _whole(plan, _own("a"))
    plan.want([], S)
    plan.want([_own("a")], S)
    monitoring = plan.monitoring("a")
    assert monitoring is not None
    assert monitoring.paths == ("mon_groups/a",)
    assert isinstance(plan.next_step(S), Check)


def test_what_a_predecessor_made_goes_on_and_the_rest_of_it_is_removed() -> None:
    """Adopted directories are checked, not made; those that nobody wants any more go."""
    plan = _plan()
    plan.adopt("a", ("mon_groups/a", "batch/mon_groups/a"))
    plan.adopt("b", ("mon_groups/b",))
    plan.want([_own("a")], 0)
    plan.end_adoption(0)
    assert plan.next_step(0) == Delete("b", "mon_groups/b")
    plan.on_deleted("mon_groups/b", 0)
    assert plan.next_step(0) == Check("a", ("mon_groups/a", "batch/mon_groups/a"), (("a", "c0"),))


def test_without_ids_all_who_wait_say_so_and_are_tried_at_the_retry_interval() -> None:
    """One refusal for want of ids stands for everybody who waits: no further try is made."""
    plan = _plan()
    plan.want([_own("a"), _own("b")], 0)
    plan.next_step(0)
    plan.on_create_failed("a", ProblemKind.CAPACITY, "Out of RMIDs", 0)
    assert plan.unmeasured() == {"a": ("capacity", "Out of RMIDs"), "b": ("capacity", "Out of RMIDs")}
    assert plan.next_step(0) is None
    assert plan.next_deadline_ns() == RETRY_NS
    assert plan.next_step(RETRY_NS) == Create("a")


def test_a_removal_of_ours_ends_the_wait_for_an_id() -> None:
    """The id is in limbo now and will be free soon."""
    plan = _plan()
    plan.want([_own("a"), _own("b")], 0)
    plan.next_step(0)
    plan.on_created("a", "mon_groups/a", 0)
    plan.on_create_failed("b", ProblemKind.CAPACITY, "", 0)
    plan.want([_own("b")], S)
    plan.next_step(S)
    plan.on_deleted("mon_groups/a", S)
    assert plan.next_step(S) == Create("b")
    plan.on_create_failed("b", ProblemKind.BUSY, "", S)
    assert plan.next_step(S) is None
    assert plan.next_step(S + BUSY_RETRY_NS) == Create("b")


def test_ids_in_limbo_do_not_keep_threads_from_being_looked_after() -> None:
    """Anyone who has a group is served while others wait for an id."""
    plan = _plan()
    plan.want([_own("a"), _own("b")], 0)
    plan.next_step(0)
    plan.on_created("a", "mon_groups/a", 0)
    plan.on_create_failed("b", ProblemKind.BUSY, "", 0)
    assert isinstance(plan.next_step(0), Check)


def test_a_group_gives_way_to_a_higher_priority_and_never_to_an_equal() -> None:
    """With two ids and three pods the least important goes without, in whatever order they came, and its reason says so."""
    plan = _plan()
    plan.want([_own("old", 0), _own("equal", 5)], 0)
    _whole(plan, _own("equal", 5), _own("old", 0))
    plan.want([_own("old", 0), _own("equal", 5), _own("new", 5), _own("late", 5)], S)
    assert plan.next_step(S) == Create("new")
    plan.on_create_failed("new", ProblemKind.CAPACITY, "Out of RMIDs", S)
    assert plan.next_step(S) == Delete("old", "mon_groups/old")
    plan.on_deleted("mon_groups/old", S)
    assert plan.next_step(S) == Create("new")
    plan.on_created("new", "mon_groups/new", S)
    assert isinstance(plan.next_step(S), Create)
    plan.on_create_failed("late", ProblemKind.CAPACITY, "Out of RMIDs", S)
    assert isinstance(plan.next_step(S), Check), "nobody of less priority is left to give way"
    assert set(plan.unmeasured()) == {"old", "late"}


def test_who_gave_way_says_so() -> None:
    """The reason is kept until another failure is more recent."""
    plan = _plan()
    plan.want([_own("low", 0)], 0)
    _whole(plan, _own("low", 0))
    plan.want([_own("low", 0), _own("high", 1)], S)
    plan.on_create_failed("high", ProblemKind.CAPACITY, "Out of RMIDs", S)
    assert plan.monitoring("low") is not None
    plan.next_step(S)
    plan.on_deleted("mon_groups/low", S)
    plan.on_created("high", "mon_groups/high", S)
    assert plan.unmeasured()["low"] == ("capacity", GAVE_WAY)


def test_a_held_lock_pauses_everything_for_a_moment() -> None:
    """Nothing is tried while another tool works; nobody is called failed for long."""
    plan = _plan()
    plan.want([_own("a")], 0)
    plan.next_step(0)
    plan.on_create_failed("a", ProblemKind.LOCKED, "", 0)
    assert plan.next_step(0) is None
    assert plan.next_deadline_ns() == LOCKED_RETRY_NS
    assert plan.next_step(LOCKED_RETRY_NS) == Create("a")


def test_one_directory_that_cannot_be_made_does_not_hold_up_the_others() -> None:
    """A failure of its own says nothing about the next."""
    plan = _plan()
    plan.want([_own("a"), _own("b")], 0)
    plan.next_step(0)
    plan.on_create_failed("a", ProblemKind.IO, "Input/output error", 0)
    assert plan.next_step(0) == Create("b")
    plan.on_created("b", "mon_groups/b", 0)
    assert set(plan.unmeasured()) == {"a"}
    assert plan.is_settled


def test_a_directory_that_cannot_be_removed_is_tried_again_later() -> None:
    """And nobody waits for it."""
    plan = _plan()
    plan.remove("mon_groups/x", 0)
    plan.want([_own("a")], 0)
    assert plan.next_step(0) == Delete("", "mon_groups/x")
    plan.on_delete_failed("mon_groups/x", ProblemKind.IO, 0)
    assert plan.next_step(0) == Create("a")
    assert plan.next_step(DELETE_RETRY_NS) == Delete("", "mon_groups/x")


def test_a_group_that_somebody_else_removed_is_made_anew() -> None:
    """At once: a foreign agent may have cleaned up."""
    plan = _plan()
    plan.want([_own("a")], 0)
    _whole(plan, _own("a"))
    plan.on_vanished("a", S)
    assert plan.next_step(S) == Create("a")


def test_when_resctrl_goes_nobody_is_measured_and_when_it_comes_back_everybody_is() -> None:
    """The mount's end is the reason; its return needs no waiting."""
    plan = _plan()
    plan.want([_own("a"), _own("b")], 0)
    _whole(plan, _own("a"), _own("b"))
    plan.on_lost(ProblemKind.NOT_MOUNTED, "unmounted")
    assert plan.unmeasured() == {"a": ("not_mounted", "unmounted"), "b": ("not_mounted", "unmounted")}
    plan.on_found(S)
    assert plan.next_step(S) == Create("a")


def test_threads_that_end_between_two_looks_do_not_unsettle_a_whole_group() -> None:
    """They were listed and had ended when the group was read; one that had to be moved does unsettle it."""
    plan, pod = _plan(), _own("a")
    plan.want([pod], 0)
    _whole(plan, pod)
    plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): 2}, moved=0), S)
    assert plan.unreconciled() == []
    plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): 2}, moved=1), S)
    assert plan.unreconciled() == ["a"]


def test_threads_that_end_are_no_proof_for_a_group_that_was_never_whole() -> None:
    """What they started while they were outside may be outside as well."""
    plan, pod = _plan(), _own("a")
    plan.want([pod], 0)
    plan.next_step(0)
    plan.on_created("a", "mon_groups/a", 0)
    plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): 2}, moved=0), 0)
    assert plan.unreconciled() == ["a"]
    assert isinstance(plan.next_step(0), Check)


def test_threads_that_may_not_be_moved_are_told_and_not_tried_in_a_circle() -> None:
    """Another pass would end the same way."""
    plan, pod = _plan(), _own("a")
    plan.want([pod], 0)
    plan.next_step(0)
    plan.on_created("a", "mon_groups/a", 0)
    plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): 2}, refused=2, detail="No permission to move task 7"), 0)
    monitoring = plan.monitoring("a")
    assert monitoring is not None
    assert (monitoring.problem, monitoring.detail) == ("no_permission", "No permission to move task 7")
    assert plan.next_step(0) is None


def test_what_a_start_has_made_is_not_made_again() -> None:
    """The container is whole at once, and there is a second look for forks that were under way."""
    plan, pod = _plan(), _own("a", containers=2)
    plan.want([pod], 0)
    plan.on_assigned("a", "mon_groups/a", ("a", "c0"), 0, is_whole=True)
    monitoring = plan.monitoring("a")
    assert monitoring is not None
    assert (monitoring.paths, monitoring.total_containers, monitoring.reconciled_containers) == (("mon_groups/a",), 2, 1)
    assert isinstance(plan.next_step(0), Check), "the other container was not looked at"
    plan.on_checked("a", CheckResult(("mon_groups/a",), _clean(pod)), 0)
    plan.on_assigned("a", "mon_groups/a", ("a", "c1"), S, is_whole=True)
    assert plan.next_step(S) is None
    assert plan.next_deadline_ns() == S + SECOND_LOOK_NS


def test_nothing_is_looked_at_while_a_runtime_starts_a_pod() -> None:
    """The sandbox is there, then a container that its start has placed: one look comes soon after both."""
    plan, empty = _plan(), DesiredGroup("a", 0, (("a", SANDBOX),))
    plan.want([empty], 0)
    plan.on_created("a", "mon_groups/a", 0)
    assert plan.next_step(0) is None
    plan.change({"a": DesiredGroup("a", 0, (("a", "c0"), ("a", SANDBOX)))}, 1)
    plan.on_assigned("a", "mon_groups/a", ("a", "c0"), 1, is_whole=True)
    assert plan.next_step(1) is None
    assert plan.next_deadline_ns() == SECOND_LOOK_NS
    assert isinstance(plan.next_step(SECOND_LOOK_NS), Check)


def test_a_container_that_ended_is_let_go_soon_and_not_at_once() -> None:
    """Its runtime is still busy with it, and its threads have ended."""
    plan, pod = _plan(), _own("a", containers=2)
    plan.want([pod], 0)
    _whole(plan, pod)
    plan.change({"a": _own("a")}, S)
    assert plan.next_step(S) is None
    assert isinstance(plan.next_step(S + SECOND_LOOK_NS), Check)


def test_what_a_start_did_not_finish_is_looked_at_at_once() -> None:
    """Its deadline came first."""
    plan = _plan()
    plan.want([_own("a")], 0)
    _whole(plan, _own("a"))
    plan.on_assigned("a", "mon_groups/a", ("a", "c0"), S, is_whole=False)
    assert isinstance(plan.next_step(S), Check)


def test_a_group_that_a_start_has_made_for_nobody_goes() -> None:
    """Its pod ended, or a rule changed, in the same moment."""
    plan = _plan()
    plan.want([], 0)
    plan.on_assigned("a", "mon_groups/a", ("a", "c0"), 0, is_whole=True)
    assert plan.next_step(0) == Delete("a", "mon_groups/a")


def test_a_look_that_fails_is_repeated_after_the_retry_interval_with_its_reason() -> None:
    """The directory stays, with its counters; a held lock is waited for only a moment."""
    plan = _plan()
    plan.want([_own("a")], 0)
    _whole(plan, _own("a"))
    plan.on_check_failed("a", ProblemKind.IO, "tasks: I/O error", S)
    monitoring = plan.monitoring("a")
    assert monitoring is not None
    assert (monitoring.paths, monitoring.problem, monitoring.detail) == (("mon_groups/a",), "io", "tasks: I/O error")
    assert (plan.next_step(S), plan.next_deadline_ns()) == (None, S + RETRY_NS)
    plan.on_check_failed("a", ProblemKind.LOCKED, "", 10 * S)
    assert plan.next_step(10 * S) is None
    assert isinstance(plan.next_step(10 * S + LOCKED_RETRY_NS), Check)


def test_an_end_that_is_reported_for_what_is_not_wanted_any_more_changes_nothing() -> None:
    """Between a step and its end the pod may go."""
    plan = _plan()
    plan.want([], 0)
    plan.change({"a": None}, 0)
    plan.on_checked("a", CheckResult(("mon_groups/a",), {("a", "c0"): 1}), 0)
    plan.on_check_failed("a", ProblemKind.IO, "", 0)
    plan.on_vanished("a", 0)
    plan.on_create_failed("a", ProblemKind.IO, "", 0)
    plan.on_delete_failed("mon_groups/a", ProblemKind.IO, 0)
    assert (plan.monitoring("a"), plan.next_step(0), plan.take_changed()) == (None, None, set())


def test_a_unit_that_changes_its_group_belongs_to_the_new_one() -> None:
    """In whichever order both groups change."""
    parts = (("u", "c0"),)
    for names in (("a", "b"), ("b", "a")):
        plan = _plan()
        plan.want([DesiredGroup("a", 0, parts)], 0)
        changes = {"a": None, "b": DesiredGroup("b", 0, parts)}
        plan.change({name: changes[name] for name in names}, 0)
        group = plan.group_of("u")
        assert group is not None
        assert group.wanted.group == "b"


def test_what_a_start_says_of_a_directory_that_was_removed_meanwhile_is_looked_at() -> None:
    """It moved its threads just before the removal, which let them go; a moment later starts are believed again."""
    plan = _plan()
    plan.want([_own("a")], 0)
    _whole(plan, _own("a"))
    plan.want([], S)
    assert plan.next_step(S) == Delete("a", "mon_groups/a")
    plan.on_deleted("mon_groups/a", S)
    plan.want([_own("a")], S)
    plan.on_assigned("a", "mon_groups/a", ("a", "c0"), S, is_whole=True)
    monitoring = plan.monitoring("a")
    assert monitoring is not None
    assert monitoring.reconciled_containers == 0
    assert isinstance(plan.next_step(S), Check)
    plan.on_assigned("a", "mon_groups/a", ("a", "c0"), S + DELETED_NS, is_whole=True)
    monitoring = plan.monitoring("a")
    assert monitoring is not None
    assert monitoring.reconciled_containers == 1


def test_the_memory_of_removed_directories_is_bounded() -> None:
    """The oldest is forgotten first."""
    plan = _plan()
    for number in range(DELETED_MAX + 1):
        plan.on_deleted(f"mon_groups/{number}", number)
    plan.want([_own("a"), _own("b")], S)
    plan.on_assigned("a", "mon_groups/0", ("a", "c0"), 0, is_whole=True)
    plan.on_assigned("b", "mon_groups/1", ("b", "c0"), 0, is_whole=True)
    assert [plan.is_whole("a"), plan.is_whole("b")] == [True, False]


_WORLDS = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=4)


@given(st.lists(_WORLDS, min_size=1, max_size=5))
def test_a_change_of_some_groups_is_as_a_new_list_of_all(worlds: list[dict[str, tuple[int, int]]]) -> None:
    """Whatever came and went: the same steps, the same state of each unit."""
    by_list, by_change = _plan(), _plan()
    before: dict[str, DesiredGroup] = {}
    for now_ns, world in enumerate(worlds):
        wanted = {name: _own(name, priority, containers) for name, (priority, containers) in world.items()}
        by_list.want(list(wanted.values()), now_ns)
        others = {name: wanted.get(name) for name in before.keys() | wanted.keys() if before.get(name) != wanted.get(name)}
        by_change.change(others, now_ns)
        before = wanted
        assert by_list.take_changed() == by_change.take_changed()
        assert sorted(by_list.names()) == sorted(by_change.names())
        for plan in (by_list, by_change):
            while (step := plan.next_step(now_ns)) is not None:
                match step:
                    case Create():
                        plan.on_created(step.group, step.group, now_ns)
                    case Delete():
                        plan.on_deleted(step.path, now_ns)
                    case Check():
                        plan.on_checked(step.group, CheckResult(step.paths, dict.fromkeys(step.parts, 0)), now_ns)
        assert {uid: by_list.monitoring(uid) for uid in "abcd"} == {uid: by_change.monitoring(uid) for uid in "abcd"}
        assert by_list.take_changed() == by_change.take_changed()


class _Ids:
    """A host with few monitoring ids, each in limbo for a while after its release; and what carries out the plan's steps."""

    def __init__(self, ids: int, limbo_ns: int) -> None:
        self.free, self.limbo_ns = ids, limbo_ns
        self.limbo: list[int] = []
        self.held: set[str] = set()

    def carry_out(self, plan: GroupPlan, now_ns: int) -> None:
        self.free += sum(until_ns <= now_ns for until_ns in self.limbo)
        self.limbo = [until_ns for until_ns in self.limbo if until_ns > now_ns]
        for _ in range(1_000):
            match plan.next_step(now_ns):
                case Create(group=group):
                    if self.free:
                        self.free -= 1
                        self.held.add(group)
                        plan.on_created(group, group, now_ns)
                    else:
                        kind = ProblemKind.BUSY if self.limbo else ProblemKind.CAPACITY
                        plan.on_create_failed(group, kind, "", now_ns)
                case Delete(path=path):
                    self.held.discard(path)
                    self.limbo.append(now_ns + self.limbo_ns)
                    plan.on_deleted(path, now_ns)
                case Check(group=group, paths=paths, parts=parts):
                    plan.on_checked(group, CheckResult(paths, dict.fromkeys(parts, 0)), now_ns)
                case None:
                    return
        raise AssertionError("the plan never comes to rest")


@settings(max_examples=150, deadline=None)
@given(
    ids=st.integers(1, 6),
    limbo_ms=st.integers(0, 3_000),
    worlds=st.lists(st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 3), max_size=10), min_size=1, max_size=6),
)
def test_in_any_world_the_most_important_hold_the_ids_in_the_end(ids: int, limbo_ms: int, worlds: list[dict[str, int]]) -> None:
    """Whatever came and went before: every id that can be used is, nobody of less priority holds one that a higher one lacks,
    nothing is left over, and every pod without a group has a reason."""
    plan, host, now_ns = _plan(), _Ids(ids, limbo_ms * MS), 0
    for world in worlds:
        plan.want([_own(uid, priority) for uid, priority in world.items()], now_ns)
        # Long enough for every eviction to pass through limbo.
        for _ in range(80):
            host.carry_out(plan, now_ns)
            now_ns += 250 * MS
    last = worlds[-1]
    assert host.held <= set(last)
    assert len(host.held) == min(ids, len(last))
    without = set(last) - host.held
    assert set(plan.unmeasured()) == without
    assert all(kind for kind, _detail in plan.unmeasured().values())
    assert min((last[uid] for uid in host.held), default=9) >= max((last[uid] for uid in without), default=-1)
