"""What a unit is called on the page."""

import pytest

from agent.model.rule import Assignment, Unit, UnitKind, canonical
from agent.model.rule_state import RuleState
from workers.export.assigned_names import AssignedNames
from workers.gateway.node.unit_name import unit_name

POD = UnitKind.POD
NAMED = [
    Unit("u1", POD, "/k", namespace="shop", name="web-0"),
    Unit("u2", POD, "/k", name="alone"),
    Unit("u3", POD, "/k"),
]


@pytest.mark.parametrize(
    ("uid", "cgroup", "name"),
    [
        ("u1", "/k", "shop/web-0"),
        ("u2", "/k", "alone"),
        ("u3", "/k", "u3"),
        ("/system.slice/a.service", "/system.slice/a.service", "a.service"),
        ("/x/y/", "/x/y/", "y"),
        ("/", "/", "/"),
    ],
)
def test_a_unit_is_called_by_the_best_name_that_is_known(uid: str, cgroup: str, name: str) -> None:
    """A pod's own, else that of its cgroup, else what identifies it."""
    rules = RuleState((f"pod/{unit.uid}", canonical(Assignment(unit, None, None, 1))) for unit in NAMED)
    names = AssignedNames()
    names.refresh(rules)
    assert unit_name(names, uid, cgroup) == name
