"""Event files: whose counts they show, the words in the place of numbers, and what a script can do to them."""

from errno import EACCES, EBUSY

import pytest
from fakes.emulated_tree import EmulatedTree

GB = 10**9
TOTAL = "mon_data/mon_L3_00/mbm_total_bytes"
LOCAL = "mon_data/mon_L3_00/mbm_local_bytes"
OCCUPANCY = "mon_data/mon_L3_00/llc_occupancy"


class Script:
    """Faults: operations to refuse and values to show, by path."""

    def __init__(self) -> None:
        self.refusals: dict[tuple[str, str], int] = {}
        self.values: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []

    def check(self, operation: str, path: str, now_ns: int) -> None:
        """Notes the question, and refuses what is listed."""
        self.asked.append((operation, path))
        if (operation, path) in self.refusals:
            raise OSError(self.refusals[operation, path], "")

    def value(self, path: str, now_ns: int) -> bytes | None:
        """What is listed."""
        return self.values.get(path)


def test_a_control_group_counts_its_monitoring_groups_too() -> None:
    """Its files show the sum of its own and its monitoring groups' counts, not its neighbours'."""
    tree = EmulatedTree("tiny")
    for name in ("c", "c/mon_groups/m", "c/mon_groups/n", "mon_groups/r"):
        tree.mkdir(name)
    for place, path in enumerate(("", "c", "c/mon_groups/m", "c/mon_groups/n", "mon_groups/r")):
        tree.emulation.declare(path, {0: 10**place}, tree.now_ns)
    tree.pass_seconds(2)
    paths = ("", "c/", "c/mon_groups/m/", "c/mon_groups/n/", "mon_groups/r/")
    assert [tree.number(path + TOTAL) for path in paths] == [20002, 2220, 200, 2000, 20000]


def test_one_part_with_a_number_is_enough() -> None:
    """A sum leaves out the parts without a number; it is a word only where every part is."""
    tree = EmulatedTree("amd-ccd")
    tree.mkdir("c")
    tree.mkdir("c/mon_groups/m")
    tree.emulation.declare("c*", {0: 1000}, tree.now_ns)
    tree.pass_seconds(1)
    assert tree.read(f"c/mon_groups/m/{TOTAL}") == "Unavailable\n"
    assert tree.read(f"c/{TOTAL}") == "0\n"
    assert tree.read(f"c/{TOTAL}") == "1000\n"
    assert tree.read(f"c/{LOCAL}") == "Unavailable\n"


def test_a_cache_shows_the_sum_of_its_nodes() -> None:
    """With sub-NUMA clustering a cache's file adds up its nodes, each of which has its own."""
    tree = EmulatedTree("snc2")
    tree.mkdir("mon_groups/m")
    tree.emulation.declare("mon_groups/m", {0: 1, 1: 10, 2: 100, 3: 1000}, tree.now_ns)
    tree.pass_seconds(1)
    above = "mon_groups/m/mon_data"
    assert [tree.number(f"{above}/mon_L3_0{cache}/mbm_total_bytes") for cache in (0, 1)] == [11, 1100]
    nodes = [(0, 0), (0, 1), (1, 2), (1, 3)]
    assert [tree.number(f"{above}/mon_L3_0{c}/mon_sub_L3_0{n}/mbm_total_bytes") for c, n in nodes] == [1, 10, 100, 1000]


def test_the_first_reading_is_unavailable_on_amd() -> None:
    """The hardware has not met the id before: each event of each domain needs one reading to begin."""
    tree = EmulatedTree("amd-ccd")
    tree.mkdir("mon_groups/m")
    for path in (TOTAL, LOCAL, "mon_data/mon_L3_17/mbm_total_bytes"):
        assert [tree.read(f"mon_groups/m/{path}") for _ in range(2)] == ["Unavailable\n", "0\n"]
    assert tree.read(f"mon_groups/m/{OCCUPANCY}") == "0\n"


@pytest.mark.parametrize(("bits", "unit_bytes"), [(24, 64), (32, 1), (62, 1)])
def test_counters_wrap(bits: int, unit_bytes: int) -> None:
    """A counter of few bits goes from its last value back to 0 and on."""
    tree = EmulatedTree("tiny")
    tree.mkdir("mon_groups/m")
    tree.emulation.wrap_counters(bits, unit_bytes)
    span = unit_bytes << bits
    tree.emulation.declare("mon_groups/m", {0: span // 4}, tree.now_ns, local_fraction=1.0)
    tree.pass_seconds(3)
    assert tree.number(f"mon_groups/m/{TOTAL}") == tree.number(f"mon_groups/m/{LOCAL}") == span // 4 * 3
    tree.pass_seconds(2)
    assert tree.number(f"mon_groups/m/{TOTAL}") == span // 4
    tree.emulation.wrap_counters(None)
    assert tree.number(f"mon_groups/m/{TOTAL}") == span // 4 * 5


def test_counters_can_be_reset() -> None:
    """One group's counts start again, and with them a reading without a number where that is asked."""
    tree = EmulatedTree("tiny")
    for name in ("m", "n"):
        tree.mkdir(f"mon_groups/{name}")
    tree.emulation.declare("mon_groups/*", {0: 1000}, tree.now_ns)
    tree.pass_seconds(1)
    tree.emulation.reset_counters("mon_groups/m", tree.now_ns, unread=True)
    tree.pass_seconds(1)
    assert [tree.read(f"mon_groups/m/{TOTAL}") for _ in range(2)] == ["Unavailable\n", "1000\n"]
    assert tree.read(f"mon_groups/n/{TOTAL}") == "2000\n"


def test_a_group_made_again_counts_from_zero() -> None:
    """Anyone who had the id before leaves no bytes behind."""
    tree = EmulatedTree("tiny", rmids=2)
    tree.mkdir("mon_groups/m")
    tree.emulation.declare("mon_groups/m", {0: 1000}, tree.now_ns)
    tree.pass_seconds(5)
    tree.rmdir("mon_groups/m")
    tree.pass_seconds(5)
    tree.mkdir("mon_groups/m")
    tree.pass_seconds(1)
    assert tree.number(f"mon_groups/m/{TOTAL}") == 1000


def test_occupancy_comes_in_whole_units() -> None:
    """Hardware counts lines in units, and the rest is not shown."""
    tree = EmulatedTree("tiny")
    tree.mkdir("mon_groups/m")
    tree.emulation.set_resident("mon_groups/m", 0, 3 * 65536 + 65535, tree.now_ns)
    assert tree.number(f"mon_groups/m/{OCCUPANCY}") == 3 * 65536


def test_over_reporting_exceeds_the_cache() -> None:
    """With the erratum readings of a full cache exceed it by up to the given part, and are never below the truth."""
    tree = EmulatedTree("tiny", over_report_percent=20, occupancy_unit_bytes=1)
    tree.mkdir("mon_groups/m")
    tree.emulation.set_resident("mon_groups/m", 0, 8 << 20, tree.now_ns)
    readings = [tree.number(f"mon_groups/m/{OCCUPANCY}") for _ in range(50)]
    assert min(readings) >= 8 << 20
    assert 8 << 20 < max(readings) <= (8 << 20) * 120 // 100


def test_a_script_is_asked_before_each_operation() -> None:
    """It hears the operation and the path, and what it refuses does not happen."""
    script = Script()
    tree = EmulatedTree("tiny", faults=script)
    script.refusals = {
        ("mkdir", "mon_groups/m"): EACCES,
        ("rmdir", "mon_groups/n"): EBUSY,
        ("rename", "mon_groups/n"): EBUSY,
        ("write", "mon_groups/n/tasks"): EACCES,
        ("open", "mon_groups/n/cpus"): EACCES,
        ("read", f"mon_groups/n/{TOTAL}"): EBUSY,
    }
    tree.mkdir("mon_groups/n")
    assert tree.refused("mkdir", "mon_groups/m") == "EACCES"
    assert tree.refused("rmdir", "mon_groups/n") == "EBUSY"
    assert tree.refused("rename", "mon_groups/n", "mon_groups/k") == "EBUSY"
    assert tree.refused("write", "mon_groups/n/tasks", "5") == "EACCES"
    assert tree.refused("read", "mon_groups/n/cpus") == "EACCES"
    assert tree.refused("read", f"mon_groups/n/{TOTAL}") == "EBUSY"
    assert tree.refused("read", "tasks") == "ok"
    assert tree.names("mon_groups") == {"n/"}
    assert tree.tasks("mon_groups/n") == []
    assert set(script.refusals) < set(script.asked)
    assert ("read", "tasks") in script.asked


def test_a_script_can_show_another_value() -> None:
    """The value stands in that file alone, under the group's present name, until the script has none."""
    script = Script()
    tree = EmulatedTree("tiny", faults=script)
    tree.mkdir("mon_groups/m")
    kept = tree.open(f"mon_groups/m/{TOTAL}")
    script.values[f"mon_groups/k/{TOTAL}"] = b"Error\n"
    assert kept.read(tree.now_ns) == b"0\n"
    tree.rename("mon_groups/m", "mon_groups/k")
    assert kept.read(tree.now_ns) == b"Error\n"
    assert tree.read(f"mon_groups/k/{LOCAL}") == "0\n"
    script.values.clear()
    assert kept.read(tree.now_ns) == b"0\n"
