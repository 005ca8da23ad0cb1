"""What event files say: their form, their growth, whose work they count."""

import os
import re
from collections.abc import Iterator

import pytest
from conformance.companion import Companion, companion
from conformance.mounted import LASTING_PREFIX, Mounted, opened
from harness.waiting import wait_until

TOTAL, LOCAL, OCCUPANCY = "mbm_total_bytes", "mbm_local_bytes", "llc_occupancy"
MIB = 1 << 20


@pytest.fixture
def group(resctrl: Mounted) -> str:
    resctrl.need_events(TOTAL, LOCAL, OCCUPANCY)
    return resctrl.new_monitor()


@pytest.fixture(scope="module")
def busy(_mounted: Mounted) -> Iterator[str]:
    """A MON group with a process that works as long as cases of this file run."""
    _mounted.need_events(TOTAL, LOCAL, OCCUPANCY)
    path = f"mon_groups/{LASTING_PREFIX}busy"
    _mounted.make(path)
    with companion() as process:
        work_in(_mounted, path, process)
        yield path
    _mounted.remove(path)


def values(resctrl: Mounted, group: str, event: str) -> list[int]:
    """Of all domains, in their order."""
    return [value(resctrl, group, "mon_data", domain, event) for domain in resctrl.domains()]


def value(resctrl: Mounted, *path: str) -> int:
    """One number. A counter that the hardware has just begun to use is Unavailable when it is read first, on some machines."""
    content = resctrl.read(*path)
    return int(resctrl.read(*path) if content == "Unavailable\n" else content)


def counted(resctrl: Mounted, group: str, event: str = TOTAL) -> int:
    return sum(values(resctrl, group, event))


def work_in(resctrl: Mounted, group: str, process: Companion) -> int:
    """Let it be busy in a group until that is seen; the count."""
    resctrl.assign(process.pid, group)
    process.be_busy()
    before = counted(resctrl, group)
    wait_until(lambda: counted(resctrl, group) > before + MIB, f"{group} has traffic")
    return counted(resctrl, group)


def leave(resctrl: Mounted, process: Companion) -> None:
    """All of it goes to the default group and rests there: what has not been counted yet is not counted here any more."""
    for thread in process.threads():
        resctrl.assign(thread)
    process.be_busy(False)


@pytest.mark.profiles("intel-2socket", "amd-ccd", "arm-mpam", "snc2")
def test_a_value_is_a_decimal_number_or_one_word(resctrl: Mounted) -> None:
    """And one newline; a hardware counter that was never read may be Unavailable."""
    resctrl.need_monitoring()
    group = resctrl.new_monitor()
    for place in ("", group):
        for domain in resctrl.domains():
            for event in resctrl.events():
                # Unassigned where counters are assigned and have run out.
                content = resctrl.read(place, "mon_data", domain, event)
                assert re.fullmatch(r"(0|[1-9][0-9]*|Unavailable|Unassigned)\n", content), (place, domain, event)


def test_a_new_group_counts_from_near_0(resctrl: Mounted, group: str) -> None:
    """Nobody has worked in it."""
    assert counted(resctrl, group) < MIB
    assert counted(resctrl, group, LOCAL) < MIB


def test_work_is_counted(resctrl: Mounted, busy: str) -> None:
    """A process that moves memory makes both counts and the occupancy of its group grow."""
    wait_until(lambda: counted(resctrl, busy, LOCAL) > 0, "some of it was local")
    wait_until(lambda: counted(resctrl, busy, OCCUPANCY) > 0, "some of it lies in a cache")
    before = counted(resctrl, busy)
    wait_until(lambda: counted(resctrl, busy) > before + MIB, "more is counted")


def test_counts_never_fall(resctrl: Mounted, busy: str) -> None:
    """In a hundred readings of each domain while there is work."""
    last = {event: values(resctrl, busy, event) for event in (TOTAL, LOCAL)}
    for _ in range(100):
        for event, before in last.items():
            now = values(resctrl, busy, event)
            assert all(later >= earlier for earlier, later in zip(before, now, strict=True))
            last[event] = now


def test_the_local_part_is_no_more_than_all(resctrl: Mounted, busy: str) -> None:
    """In each domain, the local count being read first."""
    for _ in range(50):
        local = values(resctrl, busy, LOCAL)
        assert all(part <= whole for part, whole in zip(local, values(resctrl, busy, TOTAL), strict=True))


def test_a_kept_descriptor_sees_the_growth(resctrl: Mounted, busy: str) -> None:
    """pread at 0 gives the value of now, each time."""
    place = max(resctrl.domains(), key=lambda domain: value(resctrl, busy, "mon_data", domain, TOTAL))
    with opened(resctrl.path(busy, "mon_data", place, TOTAL)) as descriptor:
        first = int(os.pread(descriptor, 100, 0))
        wait_until(lambda: int(os.pread(descriptor, 100, 0)) > first, "the descriptor shows new traffic")


def test_who_does_nothing_is_counted_nothing(resctrl: Mounted, group: str, busy: str) -> None:
    """A group without a thread stays where it is while another one works."""
    before, began = values(resctrl, group, TOTAL), counted(resctrl, busy)
    wait_until(lambda: counted(resctrl, busy) > began + MIB, "the other group has traffic")
    assert values(resctrl, group, TOTAL) == before


def test_the_default_group_counts_its_monitoring_groups(resctrl: Mounted, busy: str) -> None:
    """Read after them, it says no less in any domain."""
    for _ in range(20):
        part = values(resctrl, busy, TOTAL)
        assert all(inner <= whole for inner, whole in zip(part, values(resctrl, "", TOTAL), strict=True))


def test_occupancy_is_a_multiple_of_its_unit(resctrl: Mounted, busy: str) -> None:
    """The unit is the least threshold that is not rounded to 0."""
    resctrl.disturb("writes the threshold of reuse")
    wait_until(lambda: counted(resctrl, busy, OCCUPANCY) > 0, "some of it lies in a cache")
    place = ("info", "L3_MON", "max_threshold_occupancy")
    before = resctrl.read(*place)
    low, high = 0, MIB
    try:
        while high - low > 1:
            middle = (low + high) // 2
            resctrl.write(f"{middle}", *place)
            low, high = (low, middle) if int(resctrl.read(*place)) else (middle, high)
    finally:
        resctrl.write(before, *place)
    assert all(value % high == 0 for value in values(resctrl, busy, OCCUPANCY))


def test_occupancy_fits_the_caches(resctrl: Mounted, busy: str) -> None:
    """A group that works alone has at most the whole cache, whose size `size` gives."""
    cache = resctrl.cache()
    line = next(line.strip() for line in resctrl.read("size").splitlines() if line.strip().startswith(cache))
    sizes = [int(part.split("=")[1]) for part in line.partition(":")[2].split(";")]
    assert all(value <= size for value, size in zip(values(resctrl, busy, OCCUPANCY), sizes, strict=True))


def test_a_moved_thread_is_counted_where_it_is(resctrl: Mounted, group: str, process: Companion) -> None:
    """The group that it has left keeps its count, which no longer grows."""
    other = resctrl.new_monitor()
    work_in(resctrl, group, process)
    for thread in process.threads():
        resctrl.assign(thread, other)
    began = counted(resctrl, other)
    wait_until(lambda: counted(resctrl, other) > began + MIB, "the other group has traffic")
    kept, began = counted(resctrl, group), counted(resctrl, other)
    wait_until(lambda: counted(resctrl, other) > began + MIB, "the other group has more traffic")
    assert counted(resctrl, group) == kept
    assert kept > 0


def test_a_parent_counts_its_monitoring_groups(resctrl: Mounted, group: str, process: Companion) -> None:
    """With nobody of its own, a control group says what its monitoring groups say before and after it."""
    parent = resctrl.new_control()
    inner, idle = resctrl.new_monitor(parent), resctrl.new_monitor(parent)
    resctrl.assign(process.pid, parent)
    work_in(resctrl, inner, process)
    for event in (TOTAL, LOCAL):
        for _ in range(20):
            before = counted(resctrl, inner, event) + counted(resctrl, idle, event)
            whole = counted(resctrl, parent, event)
            assert before <= whole <= counted(resctrl, inner, event) + counted(resctrl, idle, event) + MIB


def test_a_removed_monitoring_group_takes_its_count_along(resctrl: Mounted, group: str, process: Companion) -> None:
    """Its parent's sum drops by the same amount: it adds up only what is there now."""
    parent = resctrl.new_control()
    inner = resctrl.new_monitor(parent)
    resctrl.assign(process.pid, parent)
    work_in(resctrl, inner, process)
    leave(resctrl, process)
    assert counted(resctrl, parent) > MIB
    resctrl.remove(inner)
    assert counted(resctrl, parent) < MIB


def test_a_count_outlives_a_renaming(resctrl: Mounted, group: str, process: Companion) -> None:
    """Under another name in the same place, and under another control group, the group goes on from where it was."""
    parent = resctrl.new_control()
    work_in(resctrl, group, process)
    leave(resctrl, process)
    before = values(resctrl, group, TOTAL)
    os.rename(resctrl.path(group), resctrl.path("mon_groups", "conformance_renamed"))
    assert values(resctrl, "mon_groups/conformance_renamed", TOTAL) == before
    os.rename(resctrl.path("mon_groups", "conformance_renamed"), resctrl.path(parent, "mon_groups", "there"))
    assert values(resctrl, f"{parent}/mon_groups/there", TOTAL) == before
    assert counted(resctrl, parent) >= sum(before)


def test_a_group_of_the_same_name_counts_anew(resctrl: Mounted, group: str, process: Companion) -> None:
    """Removed and made again it begins near 0."""
    work_in(resctrl, group, process)
    leave(resctrl, process)
    resctrl.remove(group)
    resctrl.make(group)
    assert counted(resctrl, group) < MIB


def test_children_are_counted_with_their_parent(resctrl: Mounted, group: str, process: Companion) -> None:
    """A thread that was born in the group counts there, though nobody has moved it."""
    resctrl.assign(process.pid, group)
    process.be_busy()
    wait_until(lambda: counted(resctrl, group) > MIB, "the new thread's traffic is the group's")
    busy = process.threads() - {process.pid}
    assert busy <= set(resctrl.tasks(group))


@pytest.mark.profiles("amd-ccd")
def test_a_counter_that_was_never_read_may_be_unavailable_once(resctrl: Mounted) -> None:
    """The second reading of a new group gives a number."""
    resctrl.need_events(TOTAL)
    group = resctrl.new_monitor()
    for domain in resctrl.domains():
        first, second = (resctrl.read(group, "mon_data", domain, TOTAL) for _ in range(2))
        resctrl.need(first != "Unassigned\n", "no counter for a new group")
        assert first == "Unavailable\n" or resctrl.profile == "real"
        assert second.strip().isdecimal()


@pytest.mark.profiles("amd-ccd")
def test_a_sum_counts_if_any_part_does(resctrl: Mounted) -> None:
    """A monitoring group that is Unavailable does not make its parent so."""
    resctrl.need_events(TOTAL)
    place = ("mon_data", resctrl.domains()[0], TOTAL)
    resctrl.read(*place)
    resctrl.need(resctrl.read(*place).strip().isdecimal(), "no counter for the default group")
    resctrl.new_monitor()
    assert resctrl.read(*place).strip().isdecimal()
