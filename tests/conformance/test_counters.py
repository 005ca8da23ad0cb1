"""Bandwidth counters that are assigned one by one (Linux 6.18): modes, assignments, what happens when they run out."""

import re
from collections.abc import Iterator
from errno import EINVAL, ENOENT, ENOSPC

import pytest
from conformance.companion import Companion
from conformance.mounted import Mounted, refused
from harness.waiting import wait_until

pytestmark = pytest.mark.profiles("amd-abmc")
TOTAL, LOCAL = "mbm_total_bytes", "mbm_local_bytes"
NOT_ENABLED = "mbm_event counter assignment mode is not enabled\n"
ALL_TRANSACTIONS = (
    "local_reads,remote_reads,local_non_temporal_writes,remote_non_temporal_writes,"
    "local_reads_slow_memory,remote_reads_slow_memory,dirty_victim_writes_all\n"
)
LOCAL_TRANSACTIONS = "local_reads,local_non_temporal_writes,local_reads_slow_memory\n"
MON = ("info", "L3_MON")
ASSIGNMENTS = "mbm_L3_assignments"


@pytest.fixture(autouse=True)
def _counters_are_assigned(resctrl: Mounted) -> Iterator[None]:
    """These cases begin in the mode of assigned counters as a change of mode leaves it: no counter is in use."""
    resctrl.need(resctrl.exists(*MON, "mbm_assign_mode"), "no counter assignment")
    resctrl.need("mbm_event" in resctrl.read(*MON, "mbm_assign_mode"), "no counter assignment")
    resctrl.disturb("changes which counts of bandwidth are kept")
    before = resctrl.read(*MON, "mbm_assign_mode")
    set_mode(resctrl, "default")
    set_mode(resctrl, "mbm_event")
    yield
    resctrl.clean_up()
    set_mode(resctrl, "default" if "[default]" in before else "mbm_event")


def set_mode(resctrl: Mounted, mode: str) -> None:
    resctrl.write(f"{mode}\n", *MON, "mbm_assign_mode")


def numbers(resctrl: Mounted, file: str) -> dict[int, int]:
    """By domain."""
    content = resctrl.read(*MON, file)
    assert re.fullmatch(r"\d+=\d+(;\d+=\d+)*\n", content)
    return {int(part.split("=")[0]): int(part.split("=")[1]) for part in content.strip().split(";")}


def available(resctrl: Mounted) -> dict[int, int]:
    return numbers(resctrl, "available_mbm_cntrs")


def assigned(resctrl: Mounted, *group: str) -> dict[str, str]:
    """One letter for each domain, by event."""
    found = {}
    for line in resctrl.read(*group, ASSIGNMENTS).splitlines():
        event, _, states = line.partition(":")
        found[event] = "".join(state.split("=")[1] for state in states.split(";"))
    return found


def test_modes_are_listed_with_the_one_that_is(resctrl: Mounted) -> None:
    """It stands first, in brackets."""
    assert resctrl.read(*MON, "mbm_assign_mode") == "[mbm_event]\ndefault\n"
    set_mode(resctrl, "default")
    assert resctrl.read(*MON, "mbm_assign_mode") == "[default]\nmbm_event\n"


@pytest.mark.parametrize("written", ["other\n", "\n", "MBM_EVENT\n", "[default]\n", " default\n"])
def test_other_modes_are_refused(resctrl: Mounted, written: str) -> None:
    """EINVAL with a word for it."""
    with refused(EINVAL):
        resctrl.write(written, *MON, "mbm_assign_mode")
    assert resctrl.status() == "Unsupported assign mode\n"
    assert resctrl.read(*MON, "mbm_assign_mode").startswith("[mbm_event]")


def test_a_mode_ends_with_a_newline(resctrl: Mounted) -> None:
    """EINVAL without it, before the status is touched."""
    said = resctrl.soil_status()
    with refused(EINVAL):
        resctrl.write("default", *MON, "mbm_assign_mode")
    assert resctrl.status() == said


def test_numbers_of_counters_are_told_by_domain(resctrl: Mounted) -> None:
    """As many as there are, and as many as are free, for the domains of mon_data."""
    all_counters, free = numbers(resctrl, "num_mbm_cntrs"), available(resctrl)
    assert list(all_counters) == [int(domain.rpartition("_")[2]) for domain in resctrl.domains()]
    assert list(free) == list(all_counters)
    assert all(0 <= free[domain] <= count for domain, count in all_counters.items())


def test_a_change_of_mode_takes_all_counters_away(resctrl: Mounted) -> None:
    """The default group's too: all are free, and assignment of new groups is on."""
    resctrl.write("0\n", *MON, "mbm_assign_on_mkdir")
    set_mode(resctrl, "default")
    set_mode(resctrl, "mbm_event")
    assert available(resctrl) == numbers(resctrl, "num_mbm_cntrs")
    assert set("".join(assigned(resctrl).values())) == {"_"}
    assert resctrl.read(*MON, "mbm_assign_on_mkdir") == "1\n"


def test_the_same_mode_again_changes_nothing(resctrl: Mounted) -> None:
    """Counters stay where they are."""
    group = resctrl.new_monitor()
    free = available(resctrl)
    set_mode(resctrl, "mbm_event")
    assert available(resctrl) == free
    assert set("".join(assigned(resctrl, group).values())) == {"e"}


def test_a_new_group_gets_a_counter_for_each_event_and_domain(resctrl: Mounted) -> None:
    """`e` in all places, and that many fewer are free."""
    before = available(resctrl)
    for make in (resctrl.new_monitor, resctrl.new_control):
        states = assigned(resctrl, make())
        assert list(states) == [event for event in (TOTAL, LOCAL) if event in resctrl.events()]
        assert set("".join(states.values())) == {"e"}
    used = 2 * len(states)
    assert available(resctrl) == {domain: free - used for domain, free in before.items()}


def test_assignments_have_one_line_for_each_event(resctrl: Mounted) -> None:
    """`<event>:<domain>=<state>;...`"""
    for line in resctrl.read(resctrl.new_monitor(), ASSIGNMENTS).splitlines():
        assert re.fullmatch(r"mbm_(total|local)_bytes:\d+=[e_](;\d+=[e_])*", line)


def test_a_removed_group_gives_its_counters_back(resctrl: Mounted) -> None:
    """At once; a control group those of its monitoring groups too."""
    before = available(resctrl)
    parent = resctrl.new_control()
    resctrl.new_monitor(parent)
    resctrl.remove(resctrl.new_monitor())
    resctrl.remove(parent)
    assert available(resctrl) == before


@pytest.mark.parametrize(
    ("word", "shown"), [("0", "0\n"), ("1", "1\n"), ("n", "0\n"), ("Y", "1\n"), ("off", "0\n"), ("on\n", "1\n")]
)
def test_assignment_of_new_groups_is_switched_by_words(resctrl: Mounted, word: str, shown: str) -> None:
    """As the kernel reads switches; shown as 0 or 1."""
    resctrl.write("1\n" if shown == "0\n" else "0\n", *MON, "mbm_assign_on_mkdir")
    resctrl.write(word, *MON, "mbm_assign_on_mkdir")
    assert resctrl.read(*MON, "mbm_assign_on_mkdir") == shown


def test_a_switch_is_a_word(resctrl: Mounted) -> None:
    """EINVAL for others."""
    for written in ("x\n", "2\n", "\n"):
        with refused(EINVAL):
            resctrl.write(written, *MON, "mbm_assign_on_mkdir")
    assert resctrl.read(*MON, "mbm_assign_on_mkdir") == "1\n"


def test_new_groups_get_none_where_that_is_switched_off(resctrl: Mounted) -> None:
    """All their places are `_`, and their counts Unassigned."""
    resctrl.write("0\n", *MON, "mbm_assign_on_mkdir")
    before = available(resctrl)
    group = resctrl.new_monitor()
    assert available(resctrl) == before
    assert set("".join(assigned(resctrl, group).values())) == {"_"}
    assert resctrl.read(group, "mon_data", resctrl.domains()[0], TOTAL) == "Unassigned\n"


def test_occupancy_needs_no_counter(resctrl: Mounted) -> None:
    """It is told anyway."""
    resctrl.need_events("llc_occupancy")
    resctrl.write("0\n", *MON, "mbm_assign_on_mkdir")
    group = resctrl.new_monitor()
    assert resctrl.read(group, "mon_data", resctrl.domains()[0], "llc_occupancy").strip().isdecimal()


def test_one_place_is_given_up_and_taken_again(resctrl: Mounted) -> None:
    """For one event in one domain; the others keep theirs, and its count is Unassigned meanwhile."""
    group, domain = resctrl.new_monitor(), resctrl.domains()[0]
    number, free = int(domain.rpartition("_")[2]), available(resctrl)
    resctrl.write(f"{TOTAL}:{number}=_\n", group, ASSIGNMENTS)
    states = assigned(resctrl, group)
    assert states[TOTAL] == "_" + "e" * (len(free) - 1)
    assert set(states[LOCAL]) == {"e"}
    assert available(resctrl)[number] == free[number] + 1
    assert resctrl.read(group, "mon_data", domain, TOTAL) == "Unassigned\n"
    assert resctrl.read(group, "mon_data", domain, LOCAL) != "Unassigned\n"
    resctrl.write(f"{TOTAL}:{number}=e\n", group, ASSIGNMENTS)
    assert available(resctrl) == free
    assert resctrl.read(group, "mon_data", domain, TOTAL) != "Unassigned\n"


def test_a_star_means_all_domains(resctrl: Mounted) -> None:
    """Of one event."""
    group = resctrl.new_monitor()
    resctrl.write(f"{LOCAL}:*=_\n", group, ASSIGNMENTS)
    assert set(assigned(resctrl, group)[LOCAL]) == {"_"}
    assert set(assigned(resctrl, group)[TOTAL]) == {"e"}
    resctrl.write(f"{LOCAL}:*=e\n", group, ASSIGNMENTS)
    assert set(assigned(resctrl, group)[LOCAL]) == {"e"}


def test_several_places_in_one_write(resctrl: Mounted) -> None:
    """Domains by semicolon, events by line."""
    group = resctrl.new_monitor()
    numbers_of_domains = list(available(resctrl))
    places = ";".join(f"{number}=_" for number in numbers_of_domains)
    resctrl.write(f"{TOTAL}:{places}\n{LOCAL}:*=_\n", group, ASSIGNMENTS)
    assert set("".join(assigned(resctrl, group).values())) == {"_"}


def test_what_is_so_already_is_no_failure(resctrl: Mounted) -> None:
    """Neither to assign what is assigned nor to give up what is not; no counter is used twice."""
    group = resctrl.new_monitor()
    free = available(resctrl)
    resctrl.write(f"{TOTAL}:*=e\n", group, ASSIGNMENTS)
    assert available(resctrl) == free
    for _ in range(2):
        resctrl.write(f"{TOTAL}:*=_\n", group, ASSIGNMENTS)
    assert {free_now - free[domain] for domain, free_now in available(resctrl).items()} == {1}


@pytest.mark.parametrize(
    ("written", "errno", "status"),
    [
        ("other:0=e\n", ENOENT, "Invalid event other\n"),
        ("llc_occupancy:0=e\n", ENOENT, "Invalid event llc_occupancy\n"),
        ("\n", ENOENT, "Invalid event \n"),
        (f"{TOTAL}:x=e\n", EINVAL, "Missing domain id\n"),
        (f"{TOTAL}:=e\n", EINVAL, "Missing domain id\n"),
        (f"{TOTAL}:99=e\n", EINVAL, "Invalid domain id 99\n"),
        (f"{TOTAL}:0=x\n", EINVAL, f"Assign operation '{TOTAL}:0=x' failed\n"),
        (f"{TOTAL}:0=ee\n", EINVAL, f"Assign operation '{TOTAL}:0=ee' failed\n"),
        (f"{TOTAL}:*=x\n", EINVAL, f"Assign operation '{TOTAL}:*=x' failed\n"),
    ],
)
def test_a_wrong_assignment_is_refused(resctrl: Mounted, written: str, errno: int, status: str) -> None:
    """With the kernel's word, and the group keeps what it has."""
    group = resctrl.new_monitor()
    with refused(errno):
        resctrl.write(written, group, ASSIGNMENTS)
    assert resctrl.status() == status
    assert set("".join(assigned(resctrl, group).values())) == {"e"}


def test_an_assignment_ends_with_a_newline(resctrl: Mounted) -> None:
    """EINVAL without it, before the status is touched."""
    group = resctrl.new_monitor()
    said = resctrl.soil_status()
    with refused(EINVAL):
        resctrl.write(f"{TOTAL}:0=_", group, ASSIGNMENTS)
    assert resctrl.status() == said


def test_assignments_before_a_failure_stay(resctrl: Mounted) -> None:
    """They are carried out one after the other."""
    group = resctrl.new_monitor()
    first = next(iter(available(resctrl)))
    with refused(EINVAL):
        resctrl.write(f"{TOTAL}:{first}=_;99=_\n", group, ASSIGNMENTS)
    assert assigned(resctrl, group)[TOTAL].startswith("_")


def exhaust(resctrl: Mounted) -> list[str]:
    """Groups that have all counters."""
    groups = []
    while min(available(resctrl).values()):
        groups.append(resctrl.new_monitor())
    return groups


def test_a_group_is_made_without_counters_where_none_is_free(resctrl: Mounted) -> None:
    """mkdir succeeds, and the status says what was not to be had."""
    exhaust(resctrl)
    group = resctrl.new_monitor()
    assert resctrl.status().startswith(f"Failed to allocate counter for {TOTAL} in domain {next(iter(available(resctrl)))}\n")
    assert set("".join(assigned(resctrl, group).values())) == {"_"}


def test_an_assignment_fails_where_none_is_free(resctrl: Mounted) -> None:
    """ENOSPC with two lines, one of the domain and one of the operation."""
    exhaust(resctrl)
    group, first = resctrl.new_monitor(), next(iter(available(resctrl)))
    with refused(ENOSPC):
        resctrl.write(f"{TOTAL}:{first}=e\n", group, ASSIGNMENTS)
    assert resctrl.status() == (
        f"Failed to allocate counter for {TOTAL} in domain {first}\nAssign operation '{TOTAL}:{first}=e' failed\n"
    )


def test_a_counter_that_was_given_up_is_for_others(resctrl: Mounted) -> None:
    """One group's is another's."""
    groups = exhaust(resctrl)
    group = resctrl.new_monitor()
    resctrl.write(f"{LOCAL}:*=_\n", groups[0], ASSIGNMENTS)
    resctrl.write(f"{TOTAL}:*=e\n", group, ASSIGNMENTS)
    assert set(assigned(resctrl, group)[TOTAL]) == {"e"}
    assert set(available(resctrl).values()) == {0}


def test_a_parent_counts_what_is_assigned(resctrl: Mounted) -> None:
    """Without a counter of its own it tells the sum of its monitoring groups, and Unassigned where none has one."""
    parent = resctrl.new_control()
    inner = resctrl.new_monitor(parent)
    place = ("mon_data", resctrl.domains()[0], TOTAL)
    resctrl.write(f"{TOTAL}:*=_\n", parent, ASSIGNMENTS)
    # Twice, as hardware may find the first reading of a counter Unavailable.
    assert resctrl.read(inner, *place)
    assert resctrl.read(parent, *place).strip().isdecimal()
    resctrl.write(f"{TOTAL}:*=_\n", inner, ASSIGNMENTS)
    assert resctrl.read(parent, *place) == "Unassigned\n"


def test_a_counter_begins_near_0(resctrl: Mounted, process: Companion) -> None:
    """Given up and assigned again, an event is counted again."""
    group = resctrl.new_monitor()
    resctrl.assign(process.pid, group)
    process.be_busy()

    def counted() -> int:
        readings = [resctrl.read(group, "mon_data", domain, TOTAL).strip() for domain in resctrl.domains()]
        return sum(int(reading) for reading in readings if reading.isdecimal())

    wait_until(lambda: counted() > 1 << 22, "there is traffic")
    process.be_busy(False)
    before = counted()
    for thread in process.threads():
        resctrl.assign(thread)
    resctrl.write(f"{TOTAL}:*=_\n", group, ASSIGNMENTS)
    resctrl.write(f"{TOTAL}:*=e\n", group, ASSIGNMENTS)
    assert counted() < before // 2


def test_the_usual_mode_has_no_assignments(resctrl: Mounted) -> None:
    """EINVAL for reading what belongs to the other mode, and for writing assignments; counts need none."""
    group = resctrl.new_monitor()
    set_mode(resctrl, "default")
    for path in ((group, ASSIGNMENTS), (*MON, "available_mbm_cntrs"), (*MON, "mbm_assign_on_mkdir")):
        with refused(EINVAL):
            resctrl.read(*path)
        assert resctrl.status() == NOT_ENABLED
    with refused(EINVAL):
        resctrl.write(f"{TOTAL}:*=e\n", group, ASSIGNMENTS)
    assert resctrl.status() == "mbm_event mode is not enabled\n"
    with refused(EINVAL):
        resctrl.write("1\n", *MON, "mbm_assign_on_mkdir")
    for _ in range(2):
        reading = resctrl.read(group, "mon_data", resctrl.domains()[0], TOTAL)
    assert reading.strip().isdecimal()


def test_reading_assignments_clears_the_status(resctrl: Mounted) -> None:
    """These reports are commands to the kernel, which forgets the complaint before."""
    for path in (("", ASSIGNMENTS), (*MON, "available_mbm_cntrs"), (*MON, "mbm_assign_on_mkdir")):
        resctrl.soil_status()
        resctrl.read(*path)
        assert resctrl.status() == "ok\n", path


def test_events_count_all_transactions_and_the_local_ones(resctrl: Mounted) -> None:
    """event_filter names them, for each event in a directory of its own."""
    assert resctrl.names(*MON, "event_configs") == {TOTAL, LOCAL}
    assert resctrl.read(*MON, "event_configs", TOTAL, "event_filter") == ALL_TRANSACTIONS
    assert resctrl.read(*MON, "event_configs", LOCAL, "event_filter") == LOCAL_TRANSACTIONS


def test_transactions_are_chosen_by_name(resctrl: Mounted) -> None:
    """In any order, with or without white space; they are shown in the kernel's."""
    place = (*MON, "event_configs", LOCAL, "event_filter")
    resctrl.write("dirty_victim_writes_all, local_reads\n", *place)
    assert resctrl.read(*place) == "local_reads,dirty_victim_writes_all\n"
    assert resctrl.read(*MON, "event_configs", TOTAL, "event_filter") == ALL_TRANSACTIONS
    set_mode(resctrl, "default")
    set_mode(resctrl, "mbm_event")
    assert resctrl.read(*place) == LOCAL_TRANSACTIONS


def test_other_transactions_are_refused(resctrl: Mounted) -> None:
    """EINVAL with the name in the status, and the filter stays."""
    place = (*MON, "event_configs", TOTAL, "event_filter")
    with refused(EINVAL):
        resctrl.write("local_reads,telepathy\n", *place)
    assert resctrl.status() == "Invalid memory transaction type telepathy\n"
    assert resctrl.read(*place) == ALL_TRANSACTIONS


def test_configurations_are_hidden_while_counters_are_assigned(resctrl: Mounted) -> None:
    """The older way to choose transactions is there in the usual mode alone."""
    hidden = {f"{TOTAL}_config", f"{LOCAL}_config"}
    assert not hidden & resctrl.names(*MON)
    set_mode(resctrl, "default")
    if hidden & set(resctrl.features()):
        assert hidden <= resctrl.names(*MON)
