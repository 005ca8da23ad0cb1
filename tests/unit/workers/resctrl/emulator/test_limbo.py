"""The life of an RMID: first in first out, a while in limbo, EBUSY against ENOSPC."""

import pytest
from fakes.emulated_tree import EmulatedTree

from workers.resctrl.emulator.id_pool import LIMBO_PERIOD_NS, MonitorIds


def full(tree: EmulatedTree) -> None:
    """Take every RMID."""
    while tree.refused("mkdir", f"mon_groups/{len(tree.names('mon_groups'))}") == "ok":
        pass


def test_the_longest_free_id_is_taken_first() -> None:
    """An id that was just given back comes last, so that its lines have time to go."""
    ids = MonitorIds(4, 1, depends_on_closid=False, has_limbo=False)
    assert [ids.allocate(0), ids.allocate(0)] == [1, 2]
    ids.retire((0, 1), (), 0)
    assert [ids.allocate(0), ids.allocate(0)] == [3, 1]


def test_a_clean_id_waits_for_the_next_look() -> None:
    """Even without a line in the cache an id stays in limbo for a second, and then is free."""
    tree = EmulatedTree("tiny")
    full(tree)
    assert tree.refused("mkdir", "mon_groups/x") == "ENOSPC"
    tree.rmdir("mon_groups/0")
    assert tree.refused("mkdir", "mon_groups/x") == "EBUSY"
    assert tree.status == "Out of RMIDs\n"
    tree.pass_seconds(0.999)
    assert tree.refused("mkdir", "mon_groups/x") == "EBUSY"
    tree.pass_seconds(0.001)
    assert tree.refused("mkdir", "mon_groups/x") == "ok"


def test_the_worker_is_shared() -> None:
    """The second id to come into limbo is looked at together with the first, after less than a second."""
    tree = EmulatedTree("tiny")
    full(tree)
    tree.rmdir("mon_groups/0")
    tree.pass_seconds(0.6)
    tree.rmdir("mon_groups/1")
    tree.pass_seconds(0.4)
    assert tree.emulation.truth(tree.now_ns)["rmids"] == {"free": 2, "limbo": 0}
    assert tree.emulation.next_deadline_ns() is None


def test_an_id_is_dirty_until_every_domain_is_clean() -> None:
    """Lines in one domain alone keep it in limbo; looks go on once a second until they have been driven out."""
    tree = EmulatedTree("tiny", ambient_bytes_per_second=0)
    full(tree)
    tree.emulation.set_resident("mon_groups/0", 1, 5 << 20, tree.now_ns)
    tree.rmdir("mon_groups/0")
    tree.pass_seconds(10)
    assert tree.refused("mkdir", "mon_groups/x") == "EBUSY"
    tree.emulation.declare("mon_groups/1", {1: 20 << 20}, tree.now_ns)
    tree.pass_seconds(3)
    assert tree.refused("mkdir", "mon_groups/x") == "ok"


def test_a_higher_threshold_frees_at_the_next_look() -> None:
    """Who raises max_threshold_occupancy gets ids back sooner; with 0 none ever comes back."""
    tree = EmulatedTree("tiny", ambient_bytes_per_second=0)
    full(tree)
    tree.emulation.set_resident("mon_groups/0", 0, 3 << 20, tree.now_ns)
    tree.rmdir("mon_groups/0")
    tree.write("info/L3_MON/max_threshold_occupancy", "0")
    tree.rmdir("mon_groups/1")
    tree.pass_seconds(5)
    assert tree.emulation.truth(tree.now_ns)["rmids"] == {"free": 0, "limbo": 2}
    tree.write("info/L3_MON/max_threshold_occupancy", str(4 << 20))
    tree.pass_seconds(1)
    assert tree.emulation.truth(tree.now_ns)["rmids"] == {"free": 2, "limbo": 0}


def test_without_occupancy_an_id_is_free_at_once() -> None:
    """Where nothing tells whether lines are left, nothing waits."""
    tree = EmulatedTree("mbm-only", rmids=4)
    full(tree)
    tree.rmdir("mon_groups/0")
    assert tree.emulation.next_deadline_ns() is None
    assert tree.refused("mkdir", "mon_groups/x") == "ok"


def test_a_removed_groups_traffic_keeps_no_id_busy() -> None:
    """Whatever the group did while it was there, it brings in no further cache lines, and its old ones go."""
    tree = EmulatedTree("tiny", ambient_bytes_per_second=8 << 20)
    full(tree)
    tree.emulation.declare("mon_groups/0", {0: 800 << 20}, tree.now_ns)
    tree.pass_seconds(5)
    tree.rmdir("mon_groups/0")
    tree.pass_seconds(1)
    assert tree.refused("mkdir", "mon_groups/x") == "EBUSY"
    tree.pass_seconds(2)
    assert tree.refused("mkdir", "mon_groups/x") == "ok"


def test_a_late_timer_changes_nothing() -> None:
    """A mkdir after a second of silence finds what the worker would have freed, even if nothing ran it."""
    tree = EmulatedTree("tiny")
    full(tree)
    tree.rmdir("mon_groups/0")
    tree.now_ns += 2 * LIMBO_PERIOD_NS
    assert tree.refused("mkdir", "mon_groups/x") == "ok"


def test_nothing_waits_for_a_domain_that_is_gone() -> None:
    """When the only dirty domain goes offline the id is free at once."""
    tree = EmulatedTree("tiny", ambient_bytes_per_second=0)
    full(tree)
    tree.emulation.set_resident("mon_groups/0", 1, 5 << 20, tree.now_ns)
    tree.rmdir("mon_groups/0")
    tree.pass_seconds(1)
    tree.emulation.set_domain_online(1, False, tree.now_ns)
    assert tree.emulation.truth(tree.now_ns)["rmids"] == {"free": 1, "limbo": 0}


def test_an_id_that_no_group_ever_had_is_clean() -> None:
    """A mkdir that fails gives back the id that it took; nothing was counted under it, and the next look frees it."""
    tree = EmulatedTree("tiny")
    tree.write("mode", "exclusive\n")
    assert tree.refused("mkdir", "a") == "ENOSPC"
    assert tree.emulation.truth(tree.now_ns)["rmids"] == {"free": 6, "limbo": 1}
    tree.pass_seconds(1)
    assert tree.emulation.truth(tree.now_ns)["rmids"] == {"free": 7, "limbo": 0}


def test_lines_of_the_old_group_are_still_there() -> None:
    """A new group begins its byte counts at 0, but finds what is left in the cache under its id."""
    tree = EmulatedTree("tiny", ambient_bytes_per_second=0, rmids=2)
    tree.mkdir("mon_groups/a")
    tree.emulation.declare("mon_groups/a", {0: 1 << 20}, tree.now_ns)
    tree.pass_seconds(1)
    tree.write("info/L3_MON/max_threshold_occupancy", str(8 << 20))
    tree.rmdir("mon_groups/a")
    tree.pass_seconds(1)
    tree.mkdir("mon_groups/b")
    assert tree.number("mon_groups/b/mon_data/mon_L3_00/mbm_total_bytes") == 0
    assert tree.number("mon_groups/b/mon_data/mon_L3_00/llc_occupancy") > 512 << 10


def test_on_arm_each_class_has_ids_of_its_own() -> None:
    """The root's ids run out although other classes have plenty; a new class is the one with the fewest in limbo."""
    tree = EmulatedTree("arm-mpam", rmids=2, closids=3, debug=True)
    tree.mkdir("mon_groups/a")
    assert tree.refused("mkdir", "mon_groups/b") == "ENOSPC"
    tree.mkdir("c")
    tree.mkdir("c/mon_groups/m")
    assert [tree.read("c/ctrl_hw_id"), tree.read("c/mon_hw_id"), tree.read("c/mon_groups/m/mon_hw_id")] == ["1\n", "0\n", "1\n"]
    tree.rmdir("c")
    tree.mkdir("d")
    assert tree.read("d/ctrl_hw_id") == "2\n"


def test_limbo_looks_are_made_in_order_and_once() -> None:
    """A catch-up makes every look that was due, at the instant at which it was due."""
    ids = MonitorIds(3, 1, depends_on_closid=False, has_limbo=True)
    tag = (0, ids.allocate(0))
    ids.retire(tag, (0, 1), 0)
    looks = []

    def is_dirty(seen: tuple[int, int], domain: int, at_ns: int) -> bool:
        looks.append((at_ns, domain))
        return at_ns < 2 * LIMBO_PERIOD_NS

    assert ids.check_limbo(3 * LIMBO_PERIOD_NS, is_dirty) == [tag]
    assert looks == [(LIMBO_PERIOD_NS, 0), (LIMBO_PERIOD_NS, 1), (2 * LIMBO_PERIOD_NS, 0), (2 * LIMBO_PERIOD_NS, 1)]


@pytest.mark.parametrize("profile", ["intel-2socket", "amd-ccd", "tiny"])
def test_every_id_is_found_again(profile: str) -> None:
    """After any number of groups have come and gone as many ids are there as at the start."""
    tree = EmulatedTree(profile)
    before = tree.emulation.truth(tree.now_ns)["rmids"]
    for turn in range(20):
        tree.mkdir(f"mon_groups/{turn}")
        tree.rmdir(f"mon_groups/{turn}")
        tree.pass_seconds(0.3)
    tree.pass_seconds(1)
    assert tree.emulation.truth(tree.now_ns)["rmids"] == before
