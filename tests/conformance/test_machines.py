"""What is different on machines that lack a part: no allocation, no bandwidth, no occupancy, no local count."""

import os
from errno import EINVAL, EPERM

import pytest
from conformance.companion import Companion
from conformance.mounted import PREFIX, Mounted, refused


def need_no_allocation(resctrl: Mounted) -> None:
    resctrl.need(not resctrl.can_allocate, "allocation")


@pytest.mark.profiles("monitor-only")
def test_without_allocation_the_root_takes_no_groups(resctrl: Mounted) -> None:
    """EPERM: monitoring groups are made in mon_groups alone, and there are no control groups."""
    need_no_allocation(resctrl)
    resctrl.soil_status()
    with refused(EPERM):
        os.mkdir(resctrl.path(f"{PREFIX}control"))
    assert resctrl.status() == "ok\n"
    assert resctrl.exists(resctrl.new_monitor(), "mon_data")


@pytest.mark.profiles("monitor-only")
def test_without_allocation_the_default_group_lists_nobody(resctrl: Mounted, process: Companion) -> None:
    """Its list goes by control ids, which mean nothing there; a monitoring group lists its own anyway."""
    need_no_allocation(resctrl)
    assert resctrl.read("tasks") == ""
    group = resctrl.new_monitor()
    resctrl.assign(process.pid, group)
    child = process.fork()
    assert set(resctrl.tasks(group)) == {process.pid, child}
    assert resctrl.read("tasks") == ""


@pytest.mark.profiles("monitor-only")
def test_without_allocation_threads_come_back_to_the_default_group(resctrl: Mounted, process: Companion) -> None:
    """By writing to its tasks and by removal of their group."""
    need_no_allocation(resctrl)
    group = resctrl.new_monitor()
    resctrl.assign(process.pid, group)
    resctrl.assign(process.pid)
    assert resctrl.tasks(group) == []
    resctrl.assign(process.pid, group)
    resctrl.remove(group)
    other = resctrl.new_monitor()
    resctrl.assign(process.pid, other)
    assert resctrl.tasks(other) == [process.pid]


@pytest.mark.profiles("monitor-only")
def test_without_allocation_schemata_are_empty(resctrl: Mounted) -> None:
    """The files are there, with nothing in them; the group is shareable and can be nothing else."""
    need_no_allocation(resctrl)
    assert (resctrl.read("schemata"), resctrl.read("size"), resctrl.read("mode")) == ("", "", "shareable\n")
    with refused(EINVAL):
        resctrl.write("L3:0=1\n", "schemata")
    assert resctrl.status() == "Unknown or unsupported resource name 'L3'\n"


@pytest.mark.profiles("monitor-only", "mbm-only")
def test_without_cache_allocation_nobody_is_exclusive(resctrl: Mounted) -> None:
    """EINVAL with a word for it."""
    resctrl.need(not any(resctrl.exists("info", name, "cbm_mask") for name in resctrl.control_resources()), "cache allocation")
    with refused(EINVAL):
        resctrl.write("exclusive\n", "mode")
    assert resctrl.status() == "Cannot be exclusive without CAT/CDP\n"


@pytest.mark.profiles("monitor-only")
def test_without_allocation_info_has_monitoring_alone(resctrl: Mounted) -> None:
    """No directory describes what could be divided."""
    need_no_allocation(resctrl)
    assert all(name.endswith("_MON") or name == "last_cmd_status" for name in resctrl.names("info"))


@pytest.mark.profiles("occupancy-only")
def test_occupancy_alone_is_one_event(resctrl: Mounted) -> None:
    """No file of bandwidth is in any domain."""
    resctrl.need(resctrl.events() == ["llc_occupancy"], "more events than occupancy")
    for group in ("", resctrl.new_monitor(), resctrl.new_control()):
        for domain in resctrl.domains():
            assert resctrl.names(group, "mon_data", domain) == {"llc_occupancy"}


@pytest.mark.profiles("mbm-only")
def test_bandwidth_alone_has_no_occupancy(resctrl: Mounted) -> None:
    """Two counts, and neither a file nor a word of the cache's contents."""
    resctrl.need("llc_occupancy" not in resctrl.events(), "occupancy")
    for group in ("", resctrl.new_monitor(), resctrl.new_control()):
        for domain in resctrl.domains():
            assert resctrl.names(group, "mon_data", domain) == {"mbm_total_bytes", "mbm_local_bytes"}


@pytest.mark.profiles("arm-mpam")
def test_a_machine_may_count_no_local_part(resctrl: Mounted) -> None:
    """Then there is neither the word nor the file."""
    resctrl.need("mbm_local_bytes" not in resctrl.features(), "a local count")
    for group in ("", resctrl.new_monitor()):
        for domain in resctrl.domains():
            assert not resctrl.exists(group, "mon_data", domain, "mbm_local_bytes")
            assert resctrl.exists(group, "mon_data", domain, "mbm_total_bytes")


@pytest.mark.profiles("amd-ccd")
def test_numbers_of_domains_may_have_gaps(resctrl: Mounted) -> None:
    """They are ids of caches; schemata, use of bits and mon_data have the same ones."""
    cache = resctrl.cache()
    numbers = [int(domain.rpartition("_")[2]) for domain in resctrl.domains()]
    line = next(line for line in resctrl.read("schemata").splitlines() if cache in line)
    assert [int(part.split("=")[0]) for part in line.partition(":")[2].split(";")] == sorted(numbers)
    resctrl.need(sorted(numbers) != list(range(len(numbers))), "numbers without gaps")


@pytest.mark.profiles("amd-ccd")
def test_bandwidth_of_amd_is_no_percentage(resctrl: Mounted) -> None:
    """Its values go beyond 100 and are not linear delays; what is within bounds is taken as it is."""
    resctrl.need(resctrl.exists("info", "MB") and resctrl.read("info", "MB", "delay_linear") == "0\n", "bandwidth in percent")
    group = resctrl.new_control()
    resctrl.write("MB:0=1000\n", group, "schemata")
    line = next(line for line in resctrl.read(group, "schemata").splitlines() if "MB:" in line and "SMB" not in line)
    assert line.partition(":")[2].split(";")[0] == "0=1000"


@pytest.mark.profiles("snc2", "arm-mpam", "occupancy-only", "mbm-only", "tiny")
def test_threads_move_on_every_machine(resctrl: Mounted, process: Companion) -> None:
    """Into a monitoring group, a control group, and a monitoring group of that."""
    resctrl.need_control()
    resctrl.need_monitoring()
    group, parent = resctrl.new_monitor(), resctrl.new_control()
    inner = resctrl.new_monitor(parent)
    resctrl.assign(process.pid, group)
    assert resctrl.tasks(group) == [process.pid]
    resctrl.assign(process.pid, parent)
    resctrl.assign(process.pid, inner)
    assert (resctrl.tasks(group), resctrl.tasks(parent), resctrl.tasks(inner)) == ([], [process.pid], [process.pid])


@pytest.mark.profiles("amd-abmc")
def test_counters_are_assigned_from_the_mount_on(resctrl: Mounted) -> None:
    """A machine that can assign them does so, and the default group has its own."""
    resctrl.need(resctrl.profile != "real", "counters that somebody may have changed since the mount")
    assert resctrl.read("info", "L3_MON", "mbm_assign_mode") == "[mbm_event]\ndefault\n"
    assert resctrl.read("info", "L3_MON", "mbm_assign_on_mkdir") == "1\n"
    assert "_" not in resctrl.read("mbm_L3_assignments").replace("mbm_total_bytes", "").replace("mbm_local_bytes", "")
