"""What a control group may use: reading, writing, checking, and exclusive use."""

import pytest
from fakes.emulated_tree import EmulatedTree
from hypothesis import given
from hypothesis import strategies as st

from workers.resctrl.emulator.schemata import lowest_run

START = "    MB:0=100;1=100\n    L3:0=ff;1=ff\n"


@pytest.mark.parametrize(
    ("text", "error", "status", "then"),
    [
        ("L3:0=f;1=3\n", "ok", "ok\n", "    MB:0=100;1=100\n    L3:0=f;1=3\n"),
        ("L3:1=0x18\n", "ok", "ok\n", "    MB:0=100;1=100\n    L3:0=ff;1=18\n"),
        ("  MB:0=50\nL3:0=1\n", "ok", "ok\n", "    MB:0=50;1=100\n    L3:0=1;1=ff\n"),
        ("MB:0=41;1= 10 \n", "ok", "ok\n", "    MB:0=50;1=10\n    L3:0=ff;1=ff\n"),
        ("L3:0=f;\n", "ok", "ok\n", "    MB:0=100;1=100\n    L3:0=f;1=ff\n"),
        ("L3:0=f", "EINVAL", "ok\n", START),
        ("", "EINVAL", "ok\n", START),
        ("\n", "EINVAL", "Missing ':'\n", START),
        ("L3:0=f\n\n", "EINVAL", "Missing ':'\n", START),
        ("L3\n", "EINVAL", "Missing ':'\n", START),
        ("L3:\n", "EINVAL", "Missing 'L3' value\n", START),
        ("L2:0=1\n", "EINVAL", "Unknown or unsupported resource name 'L2'\n", START),
        ("L3:f\n", "EINVAL", "Missing '=' or non-numeric domain\n", START),
        ("L3: 0=f\n", "EINVAL", "Missing '=' or non-numeric domain\n", START),
        ("L3:7=f\n", "EINVAL", "ok\n", START),
        ("L3:0=f;0=1\n", "EINVAL", "Duplicate domain 0\n", START),
        ("L3:0=g\n", "EINVAL", "Non-hex character in the mask g\n", START),
        ("L3:0=0\n", "EINVAL", "Mask out of range\n", START),
        ("L3:0=100\n", "EINVAL", "Mask out of range\n", START),
        ("L3:0=5\n", "EINVAL", "The mask 5 has non-consecutive 1-bits\n", START),
        ("MB:0=5\n", "EINVAL", "MB value 5 out of range [10,100]\n", START),
        ("MB:0=101\n", "EINVAL", "MB value 101 out of range [10,100]\n", START),
        ("MB:0=half\n", "EINVAL", "Invalid MB value half\n", START),
        ("L3:0=f\nMB:0=5\n", "EINVAL", "MB value 5 out of range [10,100]\n", START),
    ],
)
def test_what_may_be_written(text: str, error: str, status: str, then: str) -> None:
    """A line a resource, each domain once, masks of neighbouring bits; one mistake and nothing of it counts."""
    tree = EmulatedTree("tiny")
    assert tree.read("schemata") == START
    assert (tree.refused("write", "schemata", text), tree.status, tree.read("schemata")) == (error, status, then)


def test_two_bits_at_least() -> None:
    """Hardware of that age takes no single bit."""
    tree = EmulatedTree("occupancy-only")
    assert tree.refused("write", "schemata", "L3:0=4\n") == "EINVAL"
    assert tree.status == "Need at least 2 bits in the mask\n"


def test_amd_takes_any_mask() -> None:
    """Bits need not be neighbours, and none at all is a mask, too."""
    tree = EmulatedTree("amd-abmc")
    tree.write("schemata", "L3:0=8001;1=0\nSMBA:0=7\n")
    assert tree.read("schemata") == "  SMBA:0=7;1=2048\n    MB:0=2048;1=2048\n    L3:0=8001;1=0\n"


def test_size_follows_the_mask() -> None:
    """Each bit is its part of the cache; bandwidth is shown as it is."""
    tree = EmulatedTree("tiny")
    tree.write("schemata", "L3:0=7\nMB:1=30\n")
    assert tree.read("size") == f"    MB:0=100;1=30\n    L3:0={3 << 20};1={8 << 20}\n"


def test_code_and_data_apart() -> None:
    """With CDP there are half the classes, two lines for the cache, and two directories of information."""
    tree = EmulatedTree("tiny", cdp=True)
    tree.mkdir("a")
    assert tree.refused("mkdir", "b") == "ENOSPC"
    assert tree.names("info") == {"last_cmd_status", "L3CODE/", "L3DATA/", "MB/", "L3_MON/"}
    assert tree.read("info/L3DATA/num_closids") == "2\n"
    tree.write("schemata", "L3DATA:0=3\n")
    assert tree.read("schemata") == "    MB:0=100;1=100\nL3DATA:0=3;1=ff\nL3CODE:0=ff;1=ff\n"


def test_code_and_data_share_one_cache() -> None:
    """What one group has for its code is no other group's for its data: neither for exclusive use nor for a new group."""
    tree = EmulatedTree("tiny", cdp=True, closids=6)
    tree.mkdir("a")
    tree.write("schemata", "L3CODE:0=3;1=3\nL3DATA:0=c;1=c\n")
    tree.write("a/schemata", "L3CODE:0=4;1=4\nL3DATA:0=70;1=70\n")
    assert tree.refused("write", "a/mode", "exclusive\n") == "EINVAL"
    assert tree.status == "Schemata overlaps\n"
    tree.write("a/schemata", "L3CODE:0=80;1=80\n")
    tree.write("a/mode", "exclusive\n")
    assert tree.refused("write", "schemata", "L3CODE:0=1f\n") == "EINVAL"
    tree.mkdir("b")
    assert tree.read("b/schemata") == "    MB:0=100;1=100\nL3DATA:0=f;1=f\nL3CODE:0=f;1=f\n"


def test_megabytes_instead_of_percent() -> None:
    """With the software controller any figure goes, there is no limit at the start, and each group has its event."""
    tree = EmulatedTree("tiny", mba_mbps=True)
    tree.mkdir("a")
    tree.write("a/schemata", "MB:0=123\n")
    assert tree.read("a/schemata") == "    MB:0=123;1=4294967295\n    L3:0=ff;1=ff\n"
    assert tree.read("a/mba_MBps_event") == "mbm_local_bytes\n"
    tree.write("a/mba_MBps_event", "mbm_total_bytes\n")
    assert (tree.read("a/mba_MBps_event"), tree.read("mba_MBps_event")) == ("mbm_total_bytes\n", "mbm_local_bytes\n")
    assert tree.refused("write", "a/mba_MBps_event", "llc_occupancy\n") == "EINVAL"
    assert tree.status == "Unsupported event id 'llc_occupancy'\n"


def test_exclusive_use() -> None:
    """A group that shares nothing can be exclusive, and then nobody can come into its part, new groups included."""
    tree = EmulatedTree("tiny")
    tree.mkdir("a")
    assert tree.refused("write", "a/mode", "exclusive\n") == "EINVAL"
    assert tree.status == "Schemata overlaps\n"
    tree.write("schemata", "L3:0=f;1=f\n")
    tree.write("a/schemata", "L3:0=f0;1=f0\n")
    tree.write("a/mode", "exclusive\n")
    assert tree.read("a/mode") == "exclusive\n"
    assert tree.refused("write", "schemata", "L3:0=1f\n") == "EINVAL"
    assert tree.status == "Overlaps with exclusive group\n"
    assert tree.refused("write", "a/schemata", "L3:0=f8\n") == "EINVAL"
    assert tree.status == "Overlaps with other group\n"
    assert tree.read("info/L3/bit_usage") == "0=EEEESSSS;1=EEEESSSS\n"
    tree.mkdir("b")
    assert tree.read("b/schemata") == "    MB:0=100;1=100\n    L3:0=f;1=f\n"
    tree.write("a/mode", "shareable\n")
    tree.write("schemata", "L3:0=1f\n")


def test_bits_of_the_hardware_are_nobodys_own() -> None:
    """What devices use as well cannot be exclusive; nothing can without a cache to divide."""
    tree = EmulatedTree("intel-2socket")
    tree.write("schemata", "L3:0=1;1=1\n")
    tree.mkdir("a")
    tree.write("a/schemata", "L3:0=6000;1=2\n")
    assert tree.refused("write", "a/mode", "exclusive\n") == "EINVAL"
    bare = EmulatedTree("mbm-only")
    assert bare.refused("write", "mode", "exclusive\n") == "EINVAL"
    assert bare.status == "Cannot be exclusive without CAT/CDP\n"


def test_bits_of_the_hardware_are_marked() -> None:
    """`X` where a group may use them as well, `H` where only devices do; the others are shared, or nobody's."""
    tree = EmulatedTree("intel-2socket")
    tree.write("schemata", "L3:0=3\n")
    assert tree.read("info/L3/bit_usage") == f"0=HH{'0' * 11}SS;1=XX{'S' * 13}\n"


def test_a_cache_that_is_offline_is_not_to_be_divided() -> None:
    """It stands in no line and is refused; when it is back it has what it had."""
    tree = EmulatedTree("tiny")
    tree.write("schemata", "L3:1=3\n")
    tree.emulation.set_domain_online(1, False, tree.now_ns)
    assert tree.read("schemata") == "    MB:0=100\n    L3:0=ff\n"
    assert tree.read("info/L3/bit_usage") == "0=SSSSSSSS\n"
    assert tree.refused("write", "schemata", "L3:1=f\n") == "EINVAL"
    tree.emulation.set_domain_online(1, True, tree.now_ns)
    assert tree.read("schemata") == "    MB:0=100;1=100\n    L3:0=ff;1=3\n"


@pytest.mark.parametrize(
    ("text", "error", "status"),
    [
        ("shareable\n", "ok", "ok\n"),
        ("shareable", "EINVAL", "ok\n"),
        ("pseudo-locksetup\n", "EINVAL", "Unknown or unsupported mode\n"),
        ("mine\n", "EINVAL", "Unknown or unsupported mode\n"),
    ],
)
def test_modes(text: str, error: str, status: str) -> None:
    """Two modes are known, and a line ends with a newline."""
    tree = EmulatedTree("tiny")
    assert (tree.refused("write", "mode", text), tree.status) == (error, status)


def test_no_room_for_a_new_group() -> None:
    """Where every bit is somebody's own a control group cannot be made, and what it took goes back."""
    tree = EmulatedTree("tiny")
    tree.mkdir("a")
    tree.write("schemata", "L3:0=f;1=f\n")
    tree.write("a/schemata", "L3:0=f0;1=f0\n")
    tree.write("a/mode", "exclusive\n")
    tree.write("mode", "exclusive\n")
    assert tree.refused("mkdir", "b") == "ENOSPC"
    assert tree.status == "No space on L3:0\n"
    assert tree.emulation.truth(tree.now_ns)["rmids"] == {"free": 5, "limbo": 1}
    tree.write("mode", "shareable\n")
    tree.mkdir("b")
    assert tree.read("b/schemata") == "    MB:0=100;1=100\n    L3:0=f;1=f\n"


def test_a_new_group_has_what_is_free() -> None:
    """Its first mask is the lowest neighbouring part of what is shared or unused, and bandwidth without limit."""
    tree = EmulatedTree("tiny")
    tree.mkdir("a")
    tree.write("schemata", "L3:0=3;1=3\n")
    tree.write("a/schemata", "L3:0=c;1=ff\nMB:0=10\n")
    tree.mkdir("b")
    assert tree.read("b/schemata") == START
    assert tree.read("a/schemata") == "    MB:0=10;1=100\n    L3:0=c;1=ff\n"
    tree.rmdir("a")
    tree.mkdir("a")
    assert tree.read("a/schemata") == START


@given(st.integers(0, 1 << 20))
def test_the_lowest_run(mask: int) -> None:
    """It is part of the mask, begins where the mask begins, and ends before the first gap."""
    text = bin(mask)[2:].rstrip("0")
    zeros = len(bin(mask)) - 2 - len(text)
    ones = len(text) - len(text.rstrip("1"))
    assert lowest_run(mask) == ((1 << ones) - 1) << zeros
