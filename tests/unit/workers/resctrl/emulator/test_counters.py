"""Counters that are given to groups one by one, and what bandwidth events are told to count."""

import pytest
from fakes.emulated_tree import EmulatedTree
from msgspec.structs import replace

from workers.resctrl.emulator.profile import PROFILES

TOTAL = "mon_data/mon_L3_00/mbm_total_bytes"
LOCAL = "mon_data/mon_L3_00/mbm_local_bytes"
INFO = "info/L3_MON"
NOT_ENABLED = "mbm_event counter assignment mode is not enabled\n"


def grown(**changes: object) -> EmulatedTree:
    """Two monitoring groups on hardware whose first readings are good."""
    tree = EmulatedTree(replace(PROFILES["amd-abmc"], **{"first_read_unavailable": False, **changes}))
    tree.mkdir("mon_groups/a")
    tree.mkdir("mon_groups/b")
    return tree


def test_new_groups_get_their_counters() -> None:
    """The root and every new group take one for each event in each domain, and a removed one gives them back."""
    tree = grown()
    assert tree.read(f"{INFO}/mbm_assign_mode") == "[mbm_event]\ndefault\n"
    assert tree.read(f"{INFO}/num_mbm_cntrs") == "0=32;1=32\n"
    assert tree.read(f"{INFO}/available_mbm_cntrs") == "0=26;1=26\n"
    assert tree.read("mon_groups/a/mbm_L3_assignments") == "mbm_total_bytes:0=e;1=e\nmbm_local_bytes:0=e;1=e\n"
    tree.rmdir("mon_groups/a")
    assert tree.read(f"{INFO}/available_mbm_cntrs") == "0=28;1=28\n"


def test_a_group_without_a_counter_is_made_all_the_same() -> None:
    """mkdir succeeds, the status says what was missing, the events say Unassigned, occupancy goes on."""
    tree = EmulatedTree("amd-abmc", counters=3)
    tree.mkdir("mon_groups/a")
    assert tree.status == ("Failed to allocate counter for mbm_local_bytes in domain 0\n")
    assert tree.read("mon_groups/a/mbm_L3_assignments") == "mbm_total_bytes:0=e;1=e\nmbm_local_bytes:0=_;1=_\n"
    assert tree.read(f"mon_groups/a/{LOCAL}") == "Unassigned\n"
    assert tree.number("mon_groups/a/mon_data/mon_L3_00/llc_occupancy") == 0


def test_a_counter_that_is_taken_away_and_given_back_begins_at_zero() -> None:
    """What went by without a counter is not counted, and what was counted before is forgotten."""
    tree = grown()
    tree.emulation.declare("mon_groups/a", {0: 1000}, tree.now_ns)
    tree.pass_seconds(5)
    tree.write("mon_groups/a/mbm_L3_assignments", "mbm_total_bytes:0=_\n")
    assert (tree.read(f"mon_groups/a/{TOTAL}"), tree.read(f"mon_groups/a/{LOCAL}")) == ("Unassigned\n", "3750\n")
    tree.pass_seconds(5)
    tree.write("mon_groups/a/mbm_L3_assignments", "mbm_total_bytes:*=e\n")
    tree.pass_seconds(2)
    assert tree.read(f"mon_groups/a/{TOTAL}") == "2000\n"


def test_a_counter_that_is_held_is_left_alone() -> None:
    """Asking for it again changes nothing."""
    tree = grown()
    tree.emulation.declare("mon_groups/a", {0: 1000}, tree.now_ns)
    tree.pass_seconds(5)
    tree.write("mon_groups/a/mbm_L3_assignments", "mbm_total_bytes:0=e;1=e\nmbm_local_bytes:*=e\n")
    assert tree.read(f"mon_groups/a/{TOTAL}") == "5000\n"


@pytest.mark.parametrize(
    ("text", "error", "status"),
    [
        ("mbm_total_bytes:0=_;1=_\n", "ok", "ok\n"),
        ("mbm_total_bytes:0=_", "EINVAL", "ok\n"),
        ("", "EINVAL", "ok\n"),
        ("llc_occupancy:0=e\n", "ENOENT", "Invalid event llc_occupancy\n"),
        ("mbm_total_bytes:x=e\n", "EINVAL", "Missing domain id\n"),
        ("mbm_total_bytes:7=e\n", "EINVAL", "Invalid domain id 7\n"),
        ("mbm_total_bytes:0=x\n", "EINVAL", "Assign operation 'mbm_total_bytes:0=x' failed\n"),
        ("mbm_total_bytes:*=ee\n", "EINVAL", "Assign operation 'mbm_total_bytes:*=ee' failed\n"),
    ],
)
def test_what_an_assignment_may_say(text: str, error: str, status: str) -> None:
    """Event, domain or all, and one letter."""
    tree = grown()
    assert tree.refused("write", "mon_groups/a/mbm_L3_assignments", text) == error
    assert tree.status == status


def test_after_all_domains_nothing_more_is_read() -> None:
    """A star ends the line, whatever follows it."""
    tree = grown()
    tree.write("mon_groups/a/mbm_L3_assignments", "mbm_total_bytes:*=_;0=e\n")
    assert tree.read("mon_groups/a/mbm_L3_assignments").startswith("mbm_total_bytes:0=_;1=_\n")


def test_none_left_to_assign() -> None:
    """The write fails, and both sentences tell where."""
    tree = grown(counters=4)
    assert tree.refused("write", "mon_groups/b/mbm_L3_assignments", "mbm_local_bytes:*=e\n") == "ENOSPC"
    assert tree.status == (
        "Failed to allocate counter for mbm_local_bytes in domain 0\nAssign operation 'mbm_local_bytes:*=e' failed\n"
    )


def test_another_mode_begins_anew() -> None:
    """In default mode everything counts from 0 and no counter file answers; back again nobody has a counter until given one."""
    tree = grown()
    tree.emulation.declare("mon_groups/a", {0: 1000}, tree.now_ns)
    tree.pass_seconds(5)
    tree.write(f"{INFO}/mbm_assign_on_mkdir", "0\n")
    tree.write(f"{INFO}/event_configs/mbm_total_bytes/event_filter", "local_reads\n")
    tree.write(f"{INFO}/mbm_assign_mode", "default\n")
    assert tree.read(f"{INFO}/mbm_assign_mode") == "[default]\nmbm_event\n"
    tree.pass_seconds(1)
    assert tree.read(f"mon_groups/a/{TOTAL}") == "1000\n"
    for path in ("available_mbm_cntrs", "mbm_assign_on_mkdir", "event_configs/mbm_total_bytes/event_filter"):
        assert tree.refused("read", f"{INFO}/{path}") == "EINVAL"
        assert tree.status == NOT_ENABLED
    assert tree.refused("read", "mon_groups/a/mbm_L3_assignments") == "EINVAL"
    tree.write(f"{INFO}/mbm_assign_mode", "mbm_event\n")
    assert tree.read(f"mon_groups/a/{TOTAL}") == "Unassigned\n"
    assert tree.read(f"{INFO}/available_mbm_cntrs") == "0=32;1=32\n"
    assert tree.read(f"{INFO}/mbm_assign_on_mkdir") == "1\n"
    assert tree.read(f"{INFO}/event_configs/mbm_total_bytes/event_filter").count(",") == 6


def test_the_same_mode_changes_nothing() -> None:
    """Writing the mode that is on takes no counter away."""
    tree = grown()
    tree.write(f"{INFO}/mbm_assign_mode", "mbm_event\n")
    assert tree.read(f"{INFO}/available_mbm_cntrs") == "0=26;1=26\n"


def test_an_unknown_mode() -> None:
    """It is refused with a sentence."""
    tree = grown()
    assert tree.refused("write", f"{INFO}/mbm_assign_mode", "mbm_cntr_assign\n") == "EINVAL"
    assert tree.status == "Unsupported assign mode\n"


def test_configurations_are_there_only_where_filters_are_not() -> None:
    """The mode decides which of the two ways exists, and the list of features follows."""
    tree = grown()
    assert "mbm_total_bytes_config" not in tree.names(INFO)
    assert "_config" not in tree.read(f"{INFO}/mon_features")
    tree.write(f"{INFO}/mbm_assign_mode", "default\n")
    assert {"mbm_total_bytes_config", "mbm_local_bytes_config"} < tree.names(INFO)
    assert tree.read(f"{INFO}/mon_features") == (
        "llc_occupancy\nmbm_total_bytes\nmbm_total_bytes_config\nmbm_local_bytes\nmbm_local_bytes_config\n"
    )


@pytest.mark.parametrize(
    ("text", "error", "then"), [("0\n", "ok", "0\n"), ("y", "ok", "1\n"), ("off", "ok", "0\n"), ("2\n", "EINVAL", "1\n")]
)
def test_counters_on_mkdir(text: str, error: str, then: str) -> None:
    """It takes a yes or no in any of the kernel's spellings."""
    tree = grown()
    assert tree.refused("write", f"{INFO}/mbm_assign_on_mkdir", text) == error
    assert tree.read(f"{INFO}/mbm_assign_on_mkdir") == then


def test_without_counters_on_mkdir_a_group_waits_for_them() -> None:
    """A new group has none, takes none, and says so."""
    tree = grown()
    tree.write(f"{INFO}/mbm_assign_on_mkdir", "0\n")
    tree.mkdir("mon_groups/c")
    assert tree.status == "ok\n"
    assert tree.read(f"mon_groups/c/{TOTAL}") == "Unassigned\n"
    assert tree.read(f"{INFO}/available_mbm_cntrs") == "0=26;1=26\n"


def test_filters() -> None:
    """They name transactions, take blanks, and a change lets the counts of that event start again."""
    tree = grown()
    path = f"{INFO}/event_configs/mbm_local_bytes/event_filter"
    assert tree.read(path) == "local_reads,local_non_temporal_writes,local_reads_slow_memory\n"
    tree.emulation.declare("mon_groups/a", {0: 1000}, tree.now_ns)
    tree.pass_seconds(1)
    tree.write(path, "remote_reads, local_reads\n")
    assert tree.read(path) == "local_reads,remote_reads\n"
    assert (tree.read(f"mon_groups/a/{LOCAL}"), tree.read(f"mon_groups/a/{TOTAL}")) == ("0\n", "1000\n")
    tree.pass_seconds(1)
    tree.write(path, "local_reads,remote_reads\n")
    assert tree.read(f"mon_groups/a/{LOCAL}") == "750\n"
    assert tree.refused("write", path, "reads\n") == "EINVAL"
    assert tree.status == "Invalid memory transaction type reads\n"


def test_a_filter_gives_nobody_a_counter() -> None:
    """A group that has none for the event goes on without, while the count of one that has it starts again."""
    tree = grown()
    tree.write("mon_groups/b/mbm_L3_assignments", "mbm_local_bytes:*=_\n")
    for name in ("a", "b"):
        tree.emulation.declare(f"mon_groups/{name}", {0: 1000}, tree.now_ns)
    tree.pass_seconds(1)
    tree.write(f"{INFO}/event_configs/mbm_local_bytes/event_filter", "local_reads\n")
    assert (tree.read(f"mon_groups/a/{LOCAL}"), tree.read(f"mon_groups/b/{LOCAL}")) == ("0\n", "Unassigned\n")
    assert tree.read("mon_groups/b/mbm_L3_assignments") == "mbm_total_bytes:0=e;1=e\nmbm_local_bytes:0=_;1=_\n"


@pytest.mark.parametrize(
    ("text", "error", "status"),
    [
        ("0=0x1;1=2\n", "ok", "ok\n"),
        ("x=1\n", "EINVAL", "Missing '=' or non-numeric domain id\n"),
        ("0=q\n", "EINVAL", "Non-numeric event configuration value\n"),
        ("0=80\n", "EINVAL", "Invalid event configuration: max valid mask is 0x7f\n"),
        ("9=1\n", "EINVAL", "ok\n"),
        ("0=1", "EINVAL", "ok\n"),
    ],
)
def test_what_a_configuration_may_say(text: str, error: str, status: str) -> None:
    """Domains with masks of the transactions, in hexadecimal."""
    tree = EmulatedTree("amd-ccd")
    assert tree.refused("write", f"{INFO}/mbm_total_bytes_config", text) == error
    assert tree.status == status


def test_a_configuration_lets_a_domain_begin_anew() -> None:
    """All events of that domain count from 0 after one Unavailable; others go on, and the same mask again changes nothing."""
    tree = EmulatedTree("amd-ccd")
    tree.emulation.declare("", {0: 1000, 1: 1000}, tree.now_ns)
    paths = (TOTAL, LOCAL, "mon_data/mon_L3_01/mbm_total_bytes")
    assert {tree.read(path) for path in paths} == {"Unavailable\n"}
    tree.pass_seconds(1)
    assert [tree.read(path) for path in paths] == ["1000\n", "750\n", "1000\n"]
    tree.write(f"{INFO}/mbm_total_bytes_config", "0=0x33\n")
    assert [tree.read(path) for path in paths] == ["Unavailable\n", "Unavailable\n", "1000\n"]
    tree.write(f"{INFO}/mbm_total_bytes_config", "0=33\n")
    tree.pass_seconds(1)
    assert [tree.read(path) for path in paths] == ["1000\n", "750\n", "2000\n"]
    assert tree.read(f"{INFO}/mbm_total_bytes_config").startswith("0=0x33;1=0x7f;")
