"""Traffic to the byte, and what it leaves in the caches."""

import math
from typing import Any

import pytest
from fakes.emulated_tree import SECOND, EmulatedTree
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.resctrl.emulator.profile import PROFILES
from workers.resctrl.emulator.traffic import matches

MIB = 1 << 20
TOTAL = "mon_data/mon_L3_00/mbm_total_bytes"
LOCAL = "mon_data/mon_L3_00/mbm_local_bytes"


def alone(**changes: object) -> EmulatedTree:
    """One monitoring group, exact occupancy, and nobody else in the cache."""
    profile = replace(PROFILES["tiny"], **{"ambient_bytes_per_second": 0, "occupancy_unit_bytes": 1, **changes})
    tree = EmulatedTree(profile)
    tree.mkdir("mon_groups/m")
    return tree


def occupancy(tree: EmulatedTree, name: str) -> int:
    """In domain 0."""
    return tree.number(f"mon_groups/{name}/mon_data/mon_L3_00/llc_occupancy")


@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**10)), min_size=1, max_size=6),
    st.sampled_from((0.0, 0.25, 0.75, 1.0)),
)
def test_a_declared_rate_is_exact(pieces: list[tuple[int, int]], local_fraction: float) -> None:
    """After any number of rates, for any number of nanoseconds each, the count is the exact sum, rounded down once."""
    tree = alone()
    total = local = 0
    for rate, length_ns in pieces:
        tree.emulation.declare("mon_groups/m", {0: rate}, tree.now_ns, local_fraction=local_fraction)
        tree.now_ns += length_ns
        total += rate * length_ns
        local += int(rate * local_fraction) * length_ns
        assert tree.number(f"mon_groups/m/{TOTAL}") == total // SECOND
        assert tree.number(f"mon_groups/m/{LOCAL}") == local // SECOND


def test_reading_changes_nothing() -> None:
    """Counts and occupancy are the same however often somebody looked in between."""
    watched, unwatched = alone(), alone()
    for tree in (watched, unwatched):
        tree.emulation.declare("mon_groups/m", {0: 3 * MIB + 1}, tree.now_ns)
    for _ in range(100):
        watched.pass_seconds(0.037)
        occupancy(watched, "m")
        watched.number(f"mon_groups/m/{TOTAL}")
    unwatched.pass_seconds(3.7)
    assert occupancy(watched, "m") == occupancy(unwatched, "m")
    assert watched.emulation.truth(watched.now_ns) == unwatched.emulation.truth(unwatched.now_ns)


def test_a_declaration_holds_for_groups_still_to_come() -> None:
    """A matching group has its traffic from its first moment, and of several patterns the last one counts."""
    tree = alone()
    tree.emulation.declare("mon_groups/*", {0: 1000, 1: 5}, tree.now_ns)
    tree.emulation.declare("mon_groups/special", {0: 7000}, tree.now_ns)
    for name in ("late", "special"):
        tree.mkdir(f"mon_groups/{name}")
    tree.pass_seconds(1)
    assert [tree.number(f"mon_groups/{name}/{TOTAL}") for name in ("m", "late", "special")] == [1000, 1000, 7000]
    tree.emulation.declare("mon_groups/*", {0: 1}, tree.now_ns)
    tree.pass_seconds(1)
    assert [tree.number(f"mon_groups/{name}/{TOTAL}") for name in ("m", "late", "special")] == [1001, 1001, 7001]


def test_a_removed_groups_traffic_ends() -> None:
    """Nobody is charged for what the group did, and the root not for what it would have done."""
    tree = alone()
    tree.emulation.declare("mon_groups/m", {0: 1000}, tree.now_ns)
    tree.pass_seconds(1)
    assert tree.number(TOTAL) == 1000
    tree.rmdir("mon_groups/m")
    tree.pass_seconds(1)
    assert tree.number(TOTAL) == 0


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("", "", True),
        ("", "c", False),
        ("*", "c", True),
        ("*", "", True),
        ("mon_groups/pod_*", "mon_groups/pod_x", True),
        ("mon_groups/pod_*", "mon_groups/other", False),
        ("mon_*", "mon_groups/pod_x", False),
        ("*/mon_groups/[ab]", "c/mon_groups/b", True),
        ("*/mon_groups/[ab]", "c/mon_groups/c", False),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    """A wildcard stays within one part of the path."""
    assert matches(pattern, path) is fits


@pytest.mark.parametrize(("rates", "fraction"), [({9: 1}, 0.5), ({0: -1}, 0.5), ({0: 1}, 1.5), ({0: 1}, -0.1)])
def test_what_no_hardware_can_do_is_refused(rates: dict[int, int], fraction: float) -> None:
    """Unknown domains, negative rates and impossible shares are errors of the one who wrote them."""
    tree = alone()
    with pytest.raises(ValueError, match=r"domain 9|at least 0"):
        tree.emulation.declare("mon_groups/m", rates, tree.now_ns, local_fraction=fraction)


def test_a_group_that_is_not_there_holds_nothing() -> None:
    """What is said of an unknown group is an error, not the root's affair."""
    tree = alone()
    with pytest.raises(FileNotFoundError):
        tree.emulation.set_resident("mon_groups/gone", 0, 1, tree.now_ns)


def test_cpu_time_is_traffic() -> None:
    """Time on a CPU costs bytes in the domain of that CPU, for the group that the thread is in, exactly in proportion."""
    tree = alone()
    tree.emulation.bytes_per_cpu_second = 2_000_000_000
    tree.write("mon_groups/m/tasks", "5")
    for _ in range(3):
        tree.pass_seconds(1)
        tree.emulation.on_thread_times([(5, 0, 1), (6, 0, 500), (5, 1, SECOND // 2)], tree.now_ns)
    assert tree.number(f"mon_groups/m/{TOTAL}") == 6
    assert tree.number(f"mon_groups/m/{LOCAL}") == 4
    assert tree.number("mon_groups/m/mon_data/mon_L3_01/mbm_total_bytes") == 3_000_000_000
    assert tree.number(TOTAL) == 3 * 1000 + 6


def test_a_group_alone_fills_the_cache() -> None:
    """Its share grows as chance has it: after one cache full of bytes 1 - 1/e of the lines are its own, and never more than all."""
    tree = alone()
    tree.emulation.declare("mon_groups/m", {0: 8 * MIB}, tree.now_ns)
    assert occupancy(tree, "m") == 0
    tree.pass_seconds(1)
    assert math.isclose(occupancy(tree, "m"), 8 * MIB * (1 - math.exp(-1)), rel_tol=1e-6)
    tree.pass_seconds(100)
    assert 8 * MIB - 1 <= occupancy(tree, "m") <= 8 * MIB


def test_others_drive_a_groups_lines_out() -> None:
    """A group that has become quiet loses its lines as fast as others bring in theirs, and together they never exceed the cache."""
    tree = alone()
    tree.mkdir("mon_groups/n")
    tree.emulation.declare("mon_groups/m", {0: 80 * MIB}, tree.now_ns)
    tree.pass_seconds(10)
    tree.emulation.declare("mon_groups/m", {}, tree.now_ns)
    full = occupancy(tree, "m")
    tree.pass_seconds(10)
    assert occupancy(tree, "m") == full
    tree.emulation.declare("mon_groups/n", {0: 8 * MIB}, tree.now_ns)
    tree.pass_seconds(1)
    assert math.isclose(occupancy(tree, "m"), full * math.exp(-1), rel_tol=1e-6)
    assert occupancy(tree, "m") + occupancy(tree, "n") <= 8 * MIB


def test_lines_are_shared_as_traffic_is() -> None:
    """In the long run each group holds its share of what comes in, what nobody is charged for included."""
    tree = alone(ambient_bytes_per_second=40 * MIB)
    tree.mkdir("mon_groups/n")
    tree.emulation.declare("mon_groups/m", {0: 10 * MIB}, tree.now_ns)
    tree.emulation.declare("mon_groups/n", {0: 30 * MIB}, tree.now_ns)
    tree.pass_seconds(60)
    assert math.isclose(occupancy(tree, "m"), 1 * MIB, rel_tol=1e-3)
    assert math.isclose(occupancy(tree, "n"), 3 * MIB, rel_tol=1e-3)


def test_ambient_traffic_drives_out_an_idle_groups_lines() -> None:
    """Even on an idle host lines go in the end, so that an id does not stay in limbo for ever."""
    tree = alone(ambient_bytes_per_second=8 * MIB)
    tree.emulation.set_resident("mon_groups/m", 0, 8 * MIB, tree.now_ns)
    tree.pass_seconds(2)
    assert math.isclose(occupancy(tree, "m"), 8 * MIB * math.exp(-2), rel_tol=1e-6)


@given(st.lists(st.tuples(st.sampled_from("mno"), st.integers(0, 50 * MIB), st.integers(1, 3 * SECOND)), min_size=1, max_size=12))
def test_a_cache_never_holds_more_than_it_can(changes: list[tuple[str, int, int]]) -> None:
    """Whatever the groups do, all that they hold is at most the cache, and nobody's share is negative."""
    tree = alone()
    tree.write("mon_groups/m/tasks", "5")
    for name in "no":
        tree.mkdir(f"mon_groups/{name}")
    for name, rate, length_ns in changes:
        tree.emulation.declare(f"mon_groups/{name}", {0: rate}, tree.now_ns)
        tree.emulation.on_thread_times([(5, 0, length_ns // 7)], tree.now_ns)
        tree.now_ns += length_ns
        held = [occupancy(tree, one) for one in "mno"]
        assert min(held) >= 0
        assert sum(held) <= 8 * MIB


def test_the_truth_is_exact_where_the_files_are_not() -> None:
    """It tells bytes since the group was made, whatever was reset, wrapped or never read, and who is in the group."""
    tree = alone()
    tree.write("mon_groups/m/tasks", "5,6")
    tree.emulation.declare("mon_groups/m", {0: 1000}, tree.now_ns)
    tree.pass_seconds(2)
    tree.emulation.reset_counters("mon_groups/m", tree.now_ns)
    tree.emulation.wrap_counters(4)
    tree.pass_seconds(1)
    tree.threads.end(6)
    groups: Any = tree.emulation.truth(tree.now_ns)["groups"]
    (group,) = [one for one in groups if one["path"] == "mon_groups/m"]
    assert (group["closid"], group["rmid"], group["threads"]) == (0, 1, [5])
    assert (group["domains"][0]["total_bytes"], group["domains"][0]["local_bytes"]) == (3000, 2250)
    assert 0 < group["domains"][0]["resident_bytes"] <= 3000
