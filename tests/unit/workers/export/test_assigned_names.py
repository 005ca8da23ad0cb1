"""Names of pods and containers by the rules that the gateway holds."""

from agent.model.rule import Assignment, Unit, UnitKind, canonical, pod_key
from agent.model.rule_state import RuleState
from workers.export.assigned_names import AssignedNames
from workers.export.names import ContainerName, PodName

WEB = Unit("u1", UnitKind.POD, "/kubepods/u1", 1, "shop", "web", container_names={"c1": "nginx"})
PLAIN = Unit("/system.slice/cron.service", UnitKind.SERVICE, "/system.slice/cron.service")


def rules(*units: Unit, **others: bytes) -> RuleState:
    """Assignments of these units, and other entries."""
    entries = [(pod_key(unit.uid), canonical(Assignment(unit, None, None, 0))) for unit in units]
    return RuleState([*entries, *others.items()])


def test_a_pod_and_its_containers_have_the_names_of_their_assignment() -> None:
    """A unit without a name of its own has none here."""
    names = AssignedNames()
    names.refresh(rules(WEB, PLAIN))
    assert names.pod("u1") == PodName("shop", "web", "pod")
    assert names.container("c1") == ContainerName("nginx", "u1")
    assert (names.pod(PLAIN.uid), names.pod("u9"), names.container("c9")) == (None, None, None)


def test_names_are_of_another_version_only_when_they_change() -> None:
    """Labels are made again for it; a rule that is added changes no name."""
    names = AssignedNames()
    names.refresh(None)
    assert names.version == 0
    for held, version in ((rules(WEB), 1), (rules(WEB), 1), (rules(WEB, **{"rule/a": b"{}"}), 1), (rules(), 2)):
        names.refresh(held)
        assert names.version == version
    assert names.pod("u1") is None


def test_an_assignment_that_cannot_be_read_hides_no_other() -> None:
    """It is counted where the rules are held."""
    names = AssignedNames()
    names.refresh(rules(WEB, **{"pod/bad": b"{"}))
    assert names.pod("u1") is not None
