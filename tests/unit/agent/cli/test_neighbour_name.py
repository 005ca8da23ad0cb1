"""What units are called, and by which words they are found."""

from agent.cli.known_names import KnownNames
from agent.cli.neighbour_name import UnitNames
from agent.cli.neighbour_unit import JudgedUnit

POD, SERVICE = JudgedUnit("u-1", "pod", "/kubepods/podu-1"), JudgedUnit("/a.slice/b.service", "service", "/a.slice/b.service")
NAMES = UnitNames(KnownNames(pods={"u-1": "shop/web"}, labels={"u-1": {"app": "web"}}), {"u-1": POD, SERVICE.uid: SERVICE})


def test_pods_have_their_name_and_others_that_of_their_cgroup() -> None:
    """What nobody named keeps its uid."""
    assert [NAMES.name(uid) for uid in ("u-1", SERVICE.uid, "u-2")] == ["shop/web", "b.service", "u-2"]


def test_a_unit_may_be_asked_for_by_name_uid_or_cgroup() -> None:
    """Each of them finds it."""
    assert NAMES.all_of(POD) == {"u-1", "shop/web", "/kubepods/podu-1"}
    target = NAMES.target_of(POD)
    assert (target.pod, target.kind, target.labels) == ("shop/web", "pod", {"app": "web"})


def test_what_does_not_print_is_not_printed() -> None:
    """A name may have any bytes."""
    assert "\x1b" not in UnitNames(KnownNames(pods={"u": "a/\x1b[2J"})).name("u")
