"""From one set of assignments to the next: what is published, which intervals open and close."""

from fakes.row_problem import problem_of_row
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.model.rule import (
    Action,
    Assignment,
    GroupRule,
    Match,
    Monitoring,
    QosClass,
    Unit,
    UnitKind,
    canonical,
    decode_assignment,
    in_order,
    pod_key,
)
from agent.model.table import Value
from agent.model.tables import POD_GROUP
from workers.control_plane.assignment_update import (
    AssignmentUpdate,
    adopt,
    labels_text,
    repairs,
    update_assignments,
    update_changed,
)
from workers.control_plane.binding import Binder

POD = Unit("p1", UnitKind.POD, "/kubepods/podp1", 1, qos=QosClass.GUARANTEED)
NGINX = Unit("/nginx.service", UnitKind.SERVICE, "/nginx.service", name="nginx.service")
NO_RULES = Binder([])


def _binder(*rules: GroupRule) -> Binder:
    return Binder(in_order(list(rules)))


def _units(*units: Unit) -> dict[str, Unit]:
    return {unit.uid: unit for unit in units}


def _records(update: AssignmentUpdate) -> list[dict[str, Value]]:
    # The worker adds the run, the last column.
    rows = [(*row, "run-1") for row in update.rows]
    assert [None] * len(rows) == [problem_of_row(POD_GROUP, row) for row in rows]
    return [dict(zip(POD_GROUP.column_names, row, strict=True)) for row in rows]


def test_a_new_unit_is_published_and_its_interval_opens() -> None:
    """Seen for the first time, without rules: a group of its own from now on."""
    update = update_assignments({}, _units(POD), NO_RULES, 100)

    expected = Assignment(POD, "p1", None, 100)
    assert [("pod/p1", canonical(expected))] == update.changes
    assert {"p1": expected} == update.assignments
    (row,) = _records(update)
    assert (
        row["timestamp"], row["pod_uid"], row["kind"], row["qos_class"], row["containers"], row["group"], row["rule"],
        row["valid_from"], row["valid_until"],
    ) == (100, "p1", "pod", "guaranteed", 1, "p1", None, 100, None)  # fmt: skip


def test_nothing_changed_gives_nothing() -> None:
    """The second look at the same tree publishes nothing, whether or not the rules are asked again."""
    first = update_assignments({}, _units(POD, NGINX), NO_RULES, 100)

    for rebind in (False, True):
        second = update_assignments(first.assignments, _units(POD, NGINX), NO_RULES, 200, rebind=rebind)
        assert AssignmentUpdate([], [], first.assignments) == second


def test_a_unit_that_is_gone_is_removed_and_its_interval_closes() -> None:
    """The row of the end repeats the interval and says until when."""
    first = update_assignments({}, _units(POD), NO_RULES, 100)

    update = update_assignments(first.assignments, {}, NO_RULES, 300)

    assert (update.changes, update.assignments) == ([("pod/p1", None)], {})
    (row,) = _records(update)
    assert (row["timestamp"], row["valid_from"], row["valid_until"]) == (300, 100, 300)


def test_another_number_of_containers_is_published_without_a_new_interval() -> None:
    """Counts are worth telling but are no new membership."""
    first = update_assignments({}, _units(POD), NO_RULES, 100)
    grown = replace(POD, containers=3)

    update = update_assignments(first.assignments, _units(grown), NO_RULES, 200, rebind=False)

    assert [("pod/p1", canonical(Assignment(grown, "p1", None, 100)))] == update.changes
    assert update.rows == []


def test_a_rule_that_takes_a_unit_closes_one_interval_and_opens_another() -> None:
    """The group changes: the old interval ends at the nanosecond at which the new one begins."""
    first = update_assignments({}, _units(POD), NO_RULES, 100)
    rule = GroupRule("best", match=Match(qos=QosClass.GUARANTEED), action=Action("shared", "front"))

    update = update_assignments(first.assignments, _units(POD), _binder(rule), 200)

    assert Assignment(POD, "front", "best", 200) == update.assignments["p1"]
    closed, opened = _records(update)
    assert (closed["group"], closed["valid_from"], closed["valid_until"]) == ("p1", 100, 200)
    assert (opened["group"], opened["rule"], opened["valid_from"], opened["valid_until"]) == ("front", "best", 200, None)


def test_the_priority_of_the_rule_goes_with_the_group() -> None:
    """It decides who is measured where ids are few; a changed priority is published although the group stays."""
    rule = GroupRule("vip", priority=7, match=Match(qos=QosClass.GUARANTEED))
    first = update_assignments({}, _units(POD, NGINX), _binder(rule), 100)
    assert [first.assignments[uid].priority for uid in (POD.uid, NGINX.uid)] == [7, 0]

    second = update_assignments(first.assignments, _units(POD, NGINX), _binder(replace(rule, priority=9)), 200)
    assert [key for key, _content in second.changes] == ["pod/p1"]
    assert (second.assignments[POD.uid].priority, second.rows) == (9, [])


def test_how_a_group_stands_is_kept_as_long_as_the_group_is() -> None:
    """A new container changes nothing of it; another group begins without."""
    monitoring = Monitoring(("/sys/fs/resctrl/mon_groups/pod_p1",), "", "", 1, 1)
    held = {POD.uid: Assignment(POD, "p1", None, 100, 0, monitoring)}
    more = replace(POD, containers=2)
    assert update_assignments(held, _units(more), NO_RULES, 200).assignments[POD.uid].monitoring == monitoring

    shared = _binder(GroupRule("all", action=Action("shared", "front")))
    assert update_assignments(held, _units(more), shared, 200).assignments[POD.uid].monitoring is None


def test_an_ignored_unit_is_assigned_to_no_group() -> None:
    """A rule that ignores is said with the rule's name and without a group."""
    rule = GroupRule("quiet", match=Match(pod="nginx*"), action=Action("ignore"))

    update = update_assignments({}, _units(POD, NGINX), _binder(rule), 100)

    assert (update.assignments[NGINX.uid].group, update.assignments[NGINX.uid].rule) == (None, "quiet")
    assert update.assignments["p1"].group == "p1"


def test_rules_are_not_asked_again_about_units_that_stay_the_same() -> None:
    """Without a change of rules only what is new is bound: the rest keeps its group."""
    first = update_assignments({}, _units(POD), NO_RULES, 100)
    rule = GroupRule("all", action=Action("shared", "front"))

    update = update_assignments(first.assignments, _units(POD, NGINX), _binder(rule), 200, rebind=False)

    assert [update.assignments[uid].group for uid in (POD.uid, NGINX.uid)] == ["p1", "front"]


def test_a_pod_that_comes_back_in_another_place_has_a_new_interval() -> None:
    """The same uid under another path is not the same directory: what was measured there has ended."""
    first = update_assignments({}, _units(POD), NO_RULES, 100)

    update = update_assignments(first.assignments, _units(replace(POD, cgroup="/elsewhere/podp1")), NO_RULES, 200, rebind=False)

    assert [row["valid_until"] for row in _records(update)] == [200, None]


def test_a_wall_clock_that_is_set_back_ends_no_interval_before_it_began() -> None:
    """`valid_until` is never less than `valid_from`."""
    first = update_assignments({}, _units(POD), NO_RULES, 100)
    (row,) = _records(update_assignments(first.assignments, {}, NO_RULES, 40))
    assert (row["valid_from"], row["valid_until"]) == (100, 100)


def test_a_successor_adopts_and_has_nothing_to_say() -> None:
    """What the predecessor published is taken over with its beginning; the first look changes nothing."""
    before = update_assignments({}, _units(POD, NGINX), NO_RULES, 100)

    adopted = adopt(before.changes)

    assert before.assignments == adopted
    assert AssignmentUpdate([], [], adopted) == update_assignments(adopted, _units(POD, NGINX), NO_RULES, 900)


def test_unreadable_entries_are_not_adopted_but_repaired() -> None:
    """A damaged or misplaced entry is replaced when its pod lives and removed when it does not."""
    good = update_assignments({}, _units(POD), NO_RULES, 100)
    entries = [("pod/bad", b"{"), ("pod/p1", b"junk"), ("pod/wrong", good.changes[0][1] or b"")]

    assert adopt(entries) == {}
    assert [("pod/bad", None), good.changes[0], ("pod/wrong", None)] == repairs(good.assignments, entries)


_UNITS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.tuples(st.sampled_from(["/x", "/y"]), st.integers(0, 2), st.none() | st.sampled_from(QosClass)),
)
_RULES = st.lists(
    st.builds(
        GroupRule,
        name=st.sampled_from(["r1", "r2"]),
        match=st.builds(Match, qos=st.none() | st.sampled_from(QosClass)),
        action=st.sampled_from([Action(), Action("shared", "s"), Action("ignore")]),
    ),
    max_size=2,
    unique_by=lambda rule: rule.name,
)


@given(st.lists(st.tuples(_UNITS, _RULES), max_size=8))
def test_whatever_happens_published_entries_and_open_intervals_are_the_assignments(
    story: list[tuple[dict[str, tuple[str, int, QosClass | None]], list[GroupRule]]],
) -> None:
    """After each step: what was published adds up to the assignments, and so do the rows; equal steps say nothing."""
    assignments: dict[str, Assignment] = {}
    entries: dict[str, bytes] = {}
    open_rows: dict[tuple[Value, Value], Value] = {}
    for time, (seen, rules) in enumerate(story, start=1):
        units = {uid: Unit(uid, UnitKind.POD, cgroup, count, qos=qos) for uid, (cgroup, count, qos) in seen.items()}
        binder = _binder(*rules)
        update = update_assignments(assignments, units, binder, time)
        assignments = update.assignments
        for key, content in update.changes:
            assert content != entries.get(key)
            entries = {**entries, key: content} if content is not None else {k: v for k, v in entries.items() if k != key}
        for row in _records(update):
            interval = (row["pod_uid"], row["valid_from"])
            assert (row["valid_until"] is None) == (interval not in open_rows)
            if row["valid_until"] is None:
                open_rows[interval] = row["group"]
            else:
                del open_rows[interval]

        assert {pod_key(uid): assignment for uid, assignment in assignments.items()} == {
            key: decode_assignment(content) for key, content in entries.items()
        }
        assert {(uid, held.valid_from_wall_ns): held.group for uid, held in assignments.items()} == open_rows
        assert [] == update_assignments(assignments, units, binder, time).changes == repairs(assignments, entries.items())


def test_other_labels_are_a_row_of_the_same_interval() -> None:
    """The pod is the same and so is its group; a reader takes the last row of an interval."""
    named = replace(POD, namespace="shop", name="web-0", labels={"tier": "front", "app": "web"})
    first = update_assignments({}, _units(named), NO_RULES, 100)
    relabelled = replace(named, labels={"app": "api"})

    update = update_assignments(first.assignments, _units(relabelled), NO_RULES, 200)

    assert [row["labels"] for row in _records(first)] == ['{"app":"web","tier":"front"}']
    (row,) = _records(update)
    assert (row["timestamp"], row["valid_from"], row["valid_until"], row["labels"]) == (200, 100, None, '{"app":"api"}')


def test_labels_that_nobody_reported_are_absent_and_none_are_an_empty_object() -> None:
    """A pod that a runtime reports without labels has none; of one that no runtime knows they are not known."""
    assert labels_text(POD) is None
    assert labels_text(replace(POD, namespace="shop", name="web-0")) == "{}"


_CHANGES = st.dictionaries(
    st.sampled_from(["p1", "p2", "p3"]),
    st.none() | st.builds(lambda name, containers: (name, containers), st.sampled_from(["a", "b", None]), st.integers(0, 2)),
    max_size=3,
)


@given(st.lists(_CHANGES, max_size=6))
def test_an_update_of_some_units_is_as_one_of_all(steps: list[dict[str, tuple[str | None, int] | None]]) -> None:
    """The same changes, rows and assignments, whatever changes when."""
    binder = _binder(GroupRule("a", match=Match(pod="a"), action=Action("shared", "front")))
    units: dict[str, Unit] = {}
    by_all: dict[str, Assignment] = {}
    by_some: dict[str, Assignment] = {}
    for wall_ns, step in enumerate(steps, 1):
        changed = {
            uid: None if what is None else Unit(uid, UnitKind.POD, f"/{uid}", what[1], name=what[0]) for uid, what in step.items()
        }
        units = {uid: unit for uid, unit in {**units, **changed}.items() if unit is not None}
        of_all = update_assignments(by_all, units, binder, wall_ns, rebind=False)
        of_some = update_changed(by_some, changed, binder, wall_ns)
        by_all = of_all.assignments
        assert by_all == by_some
        assert sorted(of_all.changes) == sorted(of_some.changes)
        assert sorted(of_all.rows, key=repr) == sorted(of_some.rows, key=repr)
