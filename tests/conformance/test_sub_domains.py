"""A cache that several memory nodes share (sub-NUMA clustering): sums in the domain, parts in its sub directories."""

import os
import re
from errno import EPERM

import pytest
from conformance.companion import Companion
from conformance.mounted import Mounted, refused
from harness.waiting import wait_until

pytestmark = pytest.mark.profiles("snc2")
TOTAL = "mbm_total_bytes"


@pytest.fixture
def parts(resctrl: Mounted) -> dict[str, list[str]]:
    """The sub directories by domain."""
    resctrl.need_events(TOTAL)
    found = {
        domain: sorted(name for name in resctrl.names("mon_data", domain) if name.startswith("mon_sub"))
        for domain in resctrl.domains()
    }
    resctrl.need(any(found.values()), "no sub-NUMA clustering")
    return found


def read(resctrl: Mounted, group: str, *path: str) -> int:
    return int(resctrl.read(group, "mon_data", *path, TOTAL))


def test_each_domain_has_two_parts_or_more(resctrl: Mounted, parts: dict[str, list[str]]) -> None:
    """Named by the number of their node, which no other domain has."""
    names = [name for domain in parts.values() for name in domain]
    assert all(len(domain) >= 2 for domain in parts.values())
    assert all(re.fullmatch(r"mon_sub_L3_\d\d+", name) for name in names)
    assert len(set(names)) == len(names)


def test_parts_have_the_events_of_the_domain(resctrl: Mounted, parts: dict[str, list[str]]) -> None:
    """All of them, in the default group and in a new one, beside the sums."""
    for group in ("", resctrl.new_monitor()):
        for domain, names in parts.items():
            assert resctrl.names(group, "mon_data", domain) == {*resctrl.events(), *names}
            for name in names:
                assert resctrl.names(group, "mon_data", domain, name) == set(resctrl.events())


def test_parts_have_the_mode_of_their_group(resctrl: Mounted, parts: dict[str, list[str]]) -> None:
    """As all directories in mon_data have."""
    domain, names = next(iter(parts.items()))
    assert resctrl.mode("mon_data", domain, names[0]) == 0o555
    assert resctrl.mode(resctrl.new_control(0o710), "mon_data") == 0o710


def test_nothing_can_be_made_or_removed_in_a_domain(resctrl: Mounted, parts: dict[str, list[str]]) -> None:
    """EPERM for rmdir of a part and for mkdir beside it."""
    domain, names = next(iter(parts.items()))
    with refused(EPERM):
        os.rmdir(resctrl.path("mon_data", domain, names[0]))
    with refused(EPERM):
        os.mkdir(resctrl.path("mon_data", domain, "mon_sub_L3_77"))


def test_a_domain_is_the_sum_of_its_parts(resctrl: Mounted, parts: dict[str, list[str]], process: Companion) -> None:
    """Between the sum of parts read before it and the sum of parts read after it, while there is work."""
    group = resctrl.new_monitor()
    resctrl.assign(process.pid, group)
    process.be_busy()
    wait_until(lambda: sum(read(resctrl, group, domain) for domain in parts) > 1 << 20, "there is traffic")
    for _ in range(20):
        for domain, names in parts.items():
            before = sum(read(resctrl, group, domain, name) for name in names)
            whole = read(resctrl, group, domain)
            assert before <= whole <= sum(read(resctrl, group, domain, name) for name in names)


def test_occupancy_of_an_idle_group_adds_up(resctrl: Mounted, parts: dict[str, list[str]]) -> None:
    """With nobody in it, sum and parts say the same."""
    group = resctrl.new_monitor()
    for domain, names in parts.items():
        whole = int(resctrl.read(group, "mon_data", domain, "llc_occupancy"))
        assert whole == sum(int(resctrl.read(group, "mon_data", domain, name, "llc_occupancy")) for name in names)


def test_parents_count_their_groups_in_each_part(resctrl: Mounted, parts: dict[str, list[str]], process: Companion) -> None:
    """A part of the default group is no less than the same part of a monitoring group read before it."""
    group = resctrl.new_monitor()
    resctrl.assign(process.pid, group)
    process.be_busy()
    wait_until(lambda: sum(read(resctrl, group, domain) for domain in parts) > 1 << 20, "there is traffic")
    for domain, names in parts.items():
        for name in names:
            assert read(resctrl, group, domain, name) <= read(resctrl, "", domain, name)


def test_allocation_knows_no_parts(resctrl: Mounted, parts: dict[str, list[str]]) -> None:
    """The schemata have the domains of caches, one for each directory in mon_data."""
    line = next(line for line in resctrl.read("schemata").splitlines() if resctrl.cache() in line)
    assert len(line.partition(":")[2].split(";")) == len(parts)
