"""A place that systemd has taken away is made again by systemd, any other by the keeper."""

from pathlib import Path

import pytest

from workers.keeper.cgroup_making import make_cgroup
from workers.keeper.cgroup_place import CgroupPlace, find_place, renew
from workers.keeper.refusal import WorkloadRefused

ALL = "cpu memory pids io"


def _place(root: Path, *, is_unit: bool) -> CgroupPlace:
    (root / "place").mkdir()
    (root / "place" / "cgroup.controllers").write_text(ALL)
    (root / "place" / "cgroup.subtree_control").write_text(ALL)
    return CgroupPlace(str(root), "/place", "/place", frozenset(ALL.split()), is_unit=is_unit)


def test_a_place_that_hands_its_controllers_on_stays_as_it_is(tmp_path: Path) -> None:
    """Nothing is made in it."""
    place = _place(tmp_path, is_unit=True)
    assert renew(place) == ""
    assert {each.name for each in Path(place.folder).iterdir()} == {"cgroup.controllers", "cgroup.subtree_control"}


def test_a_place_of_systemd_that_has_gone_is_left_to_it(tmp_path: Path) -> None:
    """Made by the keeper, the unit could not be started in it; the refusal names the unit."""
    place = CgroupPlace(str(tmp_path), "/place", "/place", is_unit=True)
    with pytest.raises(WorkloadRefused, match="try again, or: systemctl start evergauge-workloads"):
        make_cgroup(place, "job")
    assert list(tmp_path.iterdir()) == []


def test_a_place_of_nobody_that_has_gone_is_made_again(tmp_path: Path) -> None:
    """With its parents."""
    place = CgroupPlace(str(tmp_path), "/deep/place", "/deep/place")
    assert renew(place) == ""
    assert (tmp_path / "deep" / "place").is_dir()


def test_a_hierarchy_without_controllers_names_all_that_it_lacks(tmp_path: Path) -> None:
    """As on a hybrid host: not the unit lacks them but the whole hierarchy."""
    (tmp_path / "cgroup.controllers").write_text("")
    own = "1:name=systemd:/system.slice/evergauge-keeper.service\n0::/system.slice/evergauge-keeper.service\n"
    found = find_place(str(tmp_path), own)
    assert (found.path, found.is_unit) == ("/system.slice/evergauge-workloads.service", True)
    assert found.problem.startswith(
        f"controllers cpu, memory, pids, io are not in the cgroup v2 hierarchy {tmp_path} (off, or on v1)"
    )
