"""What one measured unit is known by, and what is known of it at first."""

from agent.model.rule import UnitKind
from workers.unit.tracked_unit import NETWORK_COLUMNS_COUNT, TrackedUnit
from workers.unit.value import VALUES_COUNT


def test_a_pod_and_its_containers_have_one_uid_and_keys_of_their_own() -> None:
    """The row of the whole pod has no container."""
    pod = TrackedUnit("uid-1", UnitKind.POD, "/kubepods/pod1")
    containers = [TrackedUnit("uid-1", UnitKind.POD, f"/kubepods/pod1/{name}", container=name, pod=pod) for name in ("web", "log")]
    assert [unit.key for unit in (pod, *containers)] == [("uid-1", None), ("uid-1", "web"), ("uid-1", "log")]


def test_of_a_new_unit_nothing_is_known_and_no_row_was_told() -> None:
    """Every value is absent, not 0, and what is read of it later is its own alone."""
    unit, other = (TrackedUnit(path, UnitKind.SERVICE, path) for path in ("/a", "/b"))
    assert (unit.values, unit.told, unit.network) == ([None] * VALUES_COUNT, None, [None] * NETWORK_COLUMNS_COUNT)
    assert (unit.started_wall_ns, unit.rest_at_ns, unit.limits_at_ns) == (None, None, None)
    assert (unit.kind_word, unit.path, unit.absences, unit.is_gone) == ("service", "/a", {}, False)
    unit.values[0] = 7
    unit.network[0] = 7
    assert (other.values[0], other.network[0]) == (None, None)
