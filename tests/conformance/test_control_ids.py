"""Control ids, which are few: how they run out and come back."""

from errno import ENOSPC

import pytest
from conformance.mounted import Mounted, refused

# On mbm-only no id of monitoring waits for a cache, so that nothing but control ids can be short.
pytestmark = pytest.mark.profiles("mbm-only")


@pytest.fixture
def limit(resctrl: Mounted) -> int:
    """How many control groups there can be, the default group among them: the least that any resource has."""
    resctrl.need_control()
    resctrl.disturb("takes all control ids of the machine")
    return min(int(resctrl.read("info", resource, "num_closids")) for resource in resctrl.control_resources())


def free_control_ids(resctrl: Mounted, limit: int) -> int:
    used = 1 + sum(resctrl.exists(name, "schemata") for name in resctrl.names())
    return limit - used


def fill(resctrl: Mounted, limit: int) -> list[str]:
    return [resctrl.new_control() for _ in range(free_control_ids(resctrl, limit))]


def test_there_are_as_many_control_groups_as_ids(resctrl: Mounted, limit: int) -> None:
    """The default group has one; the first that gets none is told so."""
    fill(resctrl, limit)
    with refused(ENOSPC):
        resctrl.new_control()
    assert resctrl.status() == "Out of CLOSIDs\n"


def test_a_group_without_an_id_leaves_nothing(resctrl: Mounted, limit: int) -> None:
    """No directory, however often it is tried."""
    fill(resctrl, limit)
    before = resctrl.names()
    for _ in range(5):
        with refused(ENOSPC):
            resctrl.new_control()
    assert resctrl.names() == before


def test_a_removed_group_gives_its_id_back_at_once(resctrl: Mounted, limit: int) -> None:
    """The next group gets it without waiting."""
    groups = fill(resctrl, limit)
    for group in groups:
        resctrl.remove(group)
        resctrl.new_control()
    with refused(ENOSPC):
        resctrl.new_control()


def test_monitoring_groups_need_no_control_id(resctrl: Mounted, limit: int) -> None:
    """They share that of their parent, and can be made when all are taken."""
    resctrl.need_monitoring()
    group = fill(resctrl, limit)[0]
    assert resctrl.exists(resctrl.new_monitor(group), "mon_data")
    assert resctrl.exists(resctrl.new_monitor(), "mon_data")


def test_a_shortage_of_control_ids_costs_no_id_of_monitoring(resctrl: Mounted, limit: int) -> None:
    """After many failures there are as many monitoring groups as before."""
    resctrl.need_monitoring()
    total = int(resctrl.read("info", "L3_MON", "num_rmids"))
    resctrl.need("llc_occupancy" not in resctrl.events(), "ids that wait for the cache")
    groups = fill(resctrl, limit)
    for _ in range(total):
        with refused(ENOSPC):
            resctrl.new_control()
    for _ in range(total - 1 - len(groups)):
        resctrl.new_monitor()
    with refused(ENOSPC):
        resctrl.new_monitor()
