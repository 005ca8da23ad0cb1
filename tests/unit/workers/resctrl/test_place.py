"""Paths of groups: what they mean, and which are none."""

import pytest

from workers.resctrl.place import GroupPlace, holder_of, inside, is_monitoring, name_of, place_of, under


@pytest.mark.parametrize(
    ("path", "place", "holder", "monitoring"),
    [
        ("pod_x", GroupPlace.ROOT, "", False),
        ("mon_groups/pod_x", GroupPlace.MON_GROUPS, "", True),
        ("gold/mon_groups/pod_x", GroupPlace.CONTROL_GROUP, "gold", True),
    ],
)
def test_the_three_places(path: str, place: GroupPlace, holder: str, monitoring: bool) -> None:
    """A path tells where the group stands, who holds it and whether it only monitors."""
    assert (place_of(path), holder_of(path), is_monitoring(path), name_of(path)) == (place, holder, monitoring, "pod_x")


@pytest.mark.parametrize(
    "path",
    ["", "info", "mon_groups", "mon_data", "mon_groups/", "/pod_x", "mon_groups/mon_data", "a/b", "a/mon_data/b", "mon_groups/a/b",
     "a/mon_groups/b/c", "..", "../x", "mon_groups/..", "info/mon_groups/x", "mon_groups/mon_groups/x", "a\nb"],
)  # fmt: skip
def test_what_is_no_path_of_a_group(path: str) -> None:
    """The kernel's own directories, other depths and paths that lead out are refused."""
    with pytest.raises(ValueError, match="is the path of no group"):
        place_of(path)


def test_making_paths() -> None:
    """Paths below the default group and below another, of groups and of their files."""
    assert under("", "pod_x") == "mon_groups/pod_x"
    assert under("gold", "pod_x") == "gold/mon_groups/pod_x"
    assert (inside("", "tasks"), inside("gold", "tasks")) == ("tasks", "gold/tasks")
    assert not is_monitoring("")
    with pytest.raises(ValueError, match="is the path of no group"):
        under("info", "pod_x")
