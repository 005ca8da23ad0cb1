"""The units that the assignments name."""

from agent.model.rule import Assignment, GroupRule, Unit, UnitKind, canonical, pod_key, rule_key
from agent.model.rule_state import RuleState
from workers.unit.plan import UnitPlan


def state_of(*units: Unit) -> RuleState:
    """Rules that assign these, and a rule that is no assignment."""
    state = RuleState([(rule_key("all"), canonical(GroupRule("all")))])
    for unit in units:
        state.put(pod_key(unit.uid), canonical(Assignment(unit, unit.uid, None, 0)))
    return state


WEB, BATCH = Unit("/web.service", UnitKind.SERVICE, "/web.service"), Unit("/batch.slice", UnitKind.SLICE, "/batch.slice")


def test_assigned_units_are_measured_and_others_no_longer() -> None:
    """Rules of groups are none."""
    plan = UnitPlan()
    assert plan.take(state_of(WEB, BATCH))
    assert plan.units == {WEB.uid: WEB, BATCH.uid: BATCH}
    assert not plan.take(state_of(WEB, BATCH))
    assert plan.take(state_of(BATCH))
    assert plan.units == {BATCH.uid: BATCH}


def test_a_unit_that_moved_is_at_its_new_place() -> None:
    """The same uid with another cgroup."""
    plan = UnitPlan()
    plan.take(state_of(WEB))
    moved = Unit(WEB.uid, WEB.kind, "/other/web.service")
    assert plan.take(state_of(moved))
    assert plan.units[WEB.uid].cgroup == "/other/web.service"


def test_what_cannot_be_read_is_counted_and_gone() -> None:
    """It was a unit before somebody wrote this."""
    plan = UnitPlan()
    plan.take(state_of(WEB, BATCH))
    state = state_of(BATCH)
    state.put(pod_key(WEB.uid), b"{garbage")
    assert plan.take(state)
    assert (plan.units, plan.unreadable) == ({BATCH.uid: BATCH}, 1)
