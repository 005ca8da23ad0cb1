"""Which CPUs belong to which group, and how masks are read and written."""

import pytest
from fakes.emulated_tree import EmulatedTree
from hypothesis import given
from hypothesis import strategies as st

from workers.resctrl.emulator.command import parse_cpu_list, parse_cpu_mask, show_cpu_list, show_cpu_mask
from workers.resctrl.emulator.profile import PROFILES


def test_the_root_has_all_at_the_start() -> None:
    """The mask is as wide as the machine, in groups of 32."""
    tree = EmulatedTree("intel-2socket")
    assert tree.read("cpus") == "ffffff,ffffffff\n"
    assert tree.read("cpus_list") == "0-55\n"
    tree.mkdir("c")
    assert (tree.read("c/cpus"), tree.read("c/cpus_list")) == ("000000,00000000\n", "\n")


def test_a_cpu_is_in_one_control_group() -> None:
    """Given to one, it is taken from the other and from its monitoring groups; dropped, it goes to the root."""
    tree = EmulatedTree("tiny")
    for name in ("a", "b", "a/mon_groups/m"):
        tree.mkdir(name)
    tree.write("a/cpus", "7\n")
    tree.write("a/mon_groups/m/cpus_list", "1-2\n")
    tree.write("b/cpus_list", "2-3")
    assert [tree.read(f"{path}cpus_list") for path in ("", "a/", "b/", "a/mon_groups/m/")] == ["\n", "0-1\n", "2-3\n", "1\n"]
    tree.write("b/cpus", "8")
    assert [tree.read(f"{path}cpus_list") for path in ("", "b/")] == ["2\n", "3\n"]


def test_new_cpus_clear_the_monitoring_groups() -> None:
    """A control group that gets another mask leaves its monitoring groups without CPUs."""
    tree = EmulatedTree("tiny")
    for name in ("a", "a/mon_groups/m"):
        tree.mkdir(name)
    tree.write("a/cpus", "7")
    tree.write("a/mon_groups/m/cpus", "1")
    tree.write("a/cpus", "7")
    assert tree.read("a/mon_groups/m/cpus") == "0\n"


def test_a_monitoring_group_takes_its_parents_cpus_only() -> None:
    """They stay its parent's as well, and a sibling loses them."""
    tree = EmulatedTree("tiny")
    for name in ("a", "a/mon_groups/m", "a/mon_groups/n"):
        tree.mkdir(name)
    tree.write("a/cpus", "3")
    assert tree.refused("write", "a/mon_groups/m/cpus", "4") == "EINVAL"
    assert tree.status == "Can only add CPUs to mongroup that belong to parent\n"
    tree.write("a/mon_groups/m/cpus", "3")
    tree.write("a/mon_groups/n/cpus", "1")
    assert [tree.read(f"{path}cpus") for path in ("a/", "a/mon_groups/m/", "a/mon_groups/n/")] == ["3\n", "2\n", "1\n"]


@pytest.mark.parametrize(
    ("path", "text", "error", "status"),
    [
        ("cpus", "e", "EINVAL", "Can't drop CPUs from default group\n"),
        ("cpus", "f", "ok", "ok\n"),
        ("c/cpus", "x", "EINVAL", "Bad CPU list/mask\n"),
        ("c/cpus", "1f", "EOVERFLOW", "Bad CPU list/mask\n"),
        ("c/cpus_list", "4", "ERANGE", "Bad CPU list/mask\n"),
        ("c/cpus_list", "one", "EINVAL", "Bad CPU list/mask\n"),
        ("c/cpus_list", "2-1", "EINVAL", "Bad CPU list/mask\n"),
        ("c/cpus_list", "\n", "ok", "ok\n"),
        ("c/cpus", "\n", "ok", "ok\n"),
    ],
)
def test_what_may_be_written(path: str, text: str, error: str, status: str) -> None:
    """Masks and lists within the machine; the root cannot drop what nobody else takes."""
    tree = EmulatedTree("tiny")
    tree.mkdir("c")
    assert (tree.refused("write", path, text), tree.status) == (error, status)


def test_a_cpu_that_is_not_there_is_refused() -> None:
    """Between the CPUs of a host there may be gaps."""
    tree = EmulatedTree(PROFILES["tiny"].with_cpus({0: (0, 1), 1: (4, 5)}))
    tree.mkdir("c")
    assert tree.refused("write", "c/cpus_list", "1-2") == "EINVAL"
    assert tree.status == "Can only assign online CPUs\n"
    assert tree.read("cpus") == "33\n"


@given(st.integers(1, 200), st.data())
def test_masks_and_lists_read_back(width: int, data: st.DataObject) -> None:
    """What is shown is what is taken, in both forms."""
    mask = data.draw(st.integers(0, (1 << width) - 1))
    assert parse_cpu_mask(show_cpu_mask(mask, width) + "\n", width) == mask
    assert parse_cpu_list(show_cpu_list(mask) + "\n", width) == mask


@pytest.mark.parametrize(
    ("profile", "cpu", "domain"),
    [
        ("tiny", 0, 0),
        ("tiny", 3, 1),
        ("tiny", 4, 0),
        ("tiny", 5, 1),
        ("snc2", 11, 0),
        ("snc2", 12, 1),
        ("snc2", 47, 3),
        ("amd-ccd", 64, 16),
    ],
)
def test_the_domain_of_a_cpu(profile: str, cpu: int, domain: int) -> None:
    """A CPU counts in its cache or node; those that the profile does not know are dealt in turn."""
    assert PROFILES[profile].domain_of_cpu(cpu) == domain
