"""The ids behind groups, which the mount option `debug` shows: which one is given to whom."""

import os
from errno import EBUSY, ENOSPC
from itertools import count

import pytest
from conformance.companion import Companion
from conformance.mounted import PATIENCE_SECONDS, PREFIX, Mounted, refused
from harness.waiting import wait_until

pytestmark = pytest.mark.profiles("mbm-only+debug")
_NUMBERS = count(1)


@pytest.fixture(autouse=True)
def _debug(resctrl: Mounted) -> None:
    resctrl.need(resctrl.exists("mon_hw_id"), "no ids to be seen, as it was mounted without `debug`")


def monitoring_id(resctrl: Mounted, *group: str) -> int:
    return int(resctrl.read(*group, "mon_hw_id"))


def control_id(resctrl: Mounted, *group: str) -> int:
    return int(resctrl.read(*group, "ctrl_hw_id"))


def fill(resctrl: Mounted) -> dict[int, str]:
    """Monitoring groups until no id is left, by their ids."""
    groups: dict[int, str] = {}

    def full() -> bool:
        try:
            while True:
                group = f"mon_groups/{PREFIX}full{next(_NUMBERS)}"
                os.mkdir(resctrl.path(group))
                groups[monitoring_id(resctrl, group)] = group
        except OSError as failure:
            return failure.errno == ENOSPC

    wait_until(full, "all ids are taken", seconds=PATIENCE_SECONDS)
    return groups


def test_the_default_group_has_the_first_ids(resctrl: Mounted) -> None:
    """Both are 0, and nobody else ever has them."""
    assert (control_id(resctrl), monitoring_id(resctrl)) == (0, 0)
    assert control_id(resctrl, resctrl.new_control()) != 0
    assert monitoring_id(resctrl, resctrl.new_monitor()) != 0


def test_control_groups_show_both_ids_and_monitoring_groups_one(resctrl: Mounted) -> None:
    """A monitoring group has its parent's control id and does not repeat it."""
    assert {"ctrl_hw_id", "mon_hw_id"} <= resctrl.names(resctrl.new_control())
    group = resctrl.new_monitor()
    assert "mon_hw_id" in resctrl.names(group)
    assert "ctrl_hw_id" not in resctrl.names(group)


def test_ids_can_only_be_read(resctrl: Mounted) -> None:
    """0444 for both files, in the root and in groups."""
    for group in ("", resctrl.new_control()):
        assert (resctrl.mode(group, "ctrl_hw_id"), resctrl.mode(group, "mon_hw_id")) == (0o444, 0o444)


def test_the_lowest_control_id_is_given_first(resctrl: Mounted) -> None:
    """Also when it has just come back, while higher ones were never used."""
    groups = [resctrl.new_control() for _ in range(4)]
    ids = [control_id(resctrl, group) for group in groups]
    assert ids == sorted(ids)
    for index in (2, 0):
        resctrl.remove(groups[index])
    assert [control_id(resctrl, resctrl.new_control()) for _ in range(2)] == [ids[0], ids[2]]


def test_every_group_has_a_monitoring_id_of_its_own(resctrl: Mounted) -> None:
    """From 1 to one less than num_rmids."""
    resctrl.disturb("takes all monitoring ids of the machine")
    groups = fill(resctrl)
    total = int(resctrl.read("info", "L3_MON", "num_rmids"))
    assert sorted(groups) == list(range(1, total))


def test_the_monitoring_id_that_was_free_for_longest_is_given_first(resctrl: Mounted) -> None:
    """In the order in which they came back, whatever their numbers are."""
    resctrl.need("llc_occupancy" not in resctrl.events(), "ids that rest")
    resctrl.disturb("takes all monitoring ids of the machine")
    groups = fill(resctrl)
    order = [sorted(groups)[index] for index in (7, 2, 11, 3)]
    for number in order:
        resctrl.remove(groups[number])
    assert [monitoring_id(resctrl, resctrl.new_monitor()) for _ in order] == order
    with refused(ENOSPC):
        resctrl.new_monitor()


def test_a_free_id_is_preferred_to_one_that_has_come_back(resctrl: Mounted) -> None:
    """Made and removed again and again, a group goes through all ids before one comes twice."""
    resctrl.need("llc_occupancy" not in resctrl.events(), "ids that rest")
    seen = []
    for _ in range(int(resctrl.read("info", "L3_MON", "num_rmids")) - 1):
        group = resctrl.new_monitor()
        seen.append(monitoring_id(resctrl, group))
        resctrl.remove(group)
    assert len(set(seen)) == len(seen)


@pytest.mark.profiles("tiny+debug")
def test_an_id_that_rests_is_passed_over(resctrl: Mounted) -> None:
    """The others are given meanwhile, and it is the last to come."""
    resctrl.disturb("takes all monitoring ids of the machine")
    group = resctrl.new_monitor()
    rested = monitoring_id(resctrl, group)
    resctrl.remove(group)
    total = int(resctrl.read("info", "L3_MON", "num_rmids"))
    others = [monitoring_id(resctrl, resctrl.new_monitor()) for _ in range(total - 2)]
    assert rested not in others
    with refused(EBUSY):
        os.mkdir(resctrl.path("mon_groups", f"{PREFIX}late"))
    assert rested in fill(resctrl)


def test_a_group_keeps_its_id_through_a_renaming(resctrl: Mounted) -> None:
    """In its place and under another control group."""
    group, parent = resctrl.new_monitor(), resctrl.new_control()
    number = monitoring_id(resctrl, group)
    os.rename(resctrl.path(group), resctrl.path("mon_groups", f"{PREFIX}renamed"))
    assert monitoring_id(resctrl, "mon_groups", f"{PREFIX}renamed") == number
    os.rename(resctrl.path("mon_groups", f"{PREFIX}renamed"), resctrl.path(parent, "mon_groups", "there"))
    assert monitoring_id(resctrl, parent, "mon_groups", "there") == number


def test_ids_do_not_follow_threads(resctrl: Mounted, process: Companion) -> None:
    """A group has its ids, whichever threads are in it."""
    group = resctrl.new_monitor()
    before = monitoring_id(resctrl, group)
    resctrl.assign(process.pid, group)
    assert monitoring_id(resctrl, group) == before
