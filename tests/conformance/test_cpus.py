"""CPUs that belong to groups: masks, lists, and who may have which."""

import re
from errno import EINVAL, EOVERFLOW, ERANGE

import pytest
from conformance.mounted import Mounted, refused


@pytest.fixture(autouse=True)
def _two_cpus(resctrl: Mounted) -> None:
    resctrl.need_cpus(2)


def mask(cpus: list[int]) -> str:
    """As it may be written: hexadecimal in groups of eight digits."""
    digits = f"{sum(1 << cpu for cpu in cpus):x}"
    digits = digits.zfill(-(-len(digits) // 8) * 8)
    return ",".join(digits[at : at + 8] for at in range(0, len(digits), 8))


def number(resctrl: Mounted, *group: str) -> int:
    return int(resctrl.read(*group, "cpus").strip().replace(",", ""), 16)


def test_the_default_group_has_all_cpus_at_first(resctrl: Mounted) -> None:
    """Mask and list tell the same."""
    assert number(resctrl) == sum(1 << cpu for cpu in resctrl.cpus())


def test_masks_are_groups_of_eight_digits(resctrl: Mounted) -> None:
    """Hexadecimal, the first group as wide as the machine needs, and a newline."""
    assert re.fullmatch(r"[0-9a-f]{1,8}(,[0-9a-f]{8})*\n", resctrl.read("cpus"))


def test_lists_are_ranges(resctrl: Mounted) -> None:
    """`0-3,8`: as short as can be."""
    content = resctrl.read("cpus_list")
    assert re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*\n", content)
    cpus = resctrl.cpus()
    runs = sum(cpu - 1 not in cpus for cpu in cpus)
    assert content.count(",") == runs - 1


def test_a_new_group_has_none(resctrl: Mounted) -> None:
    """A mask of zeros in the same width, and an empty line."""
    for group in (resctrl.new_control(), resctrl.new_monitor()):
        assert resctrl.read(group, "cpus") == re.sub("[0-9a-f]", "0", resctrl.read("cpus"))
        assert resctrl.read(group, "cpus_list") == "\n"


@pytest.mark.parametrize("file", ["cpus", "cpus_list"])
def test_a_control_group_takes_cpus_from_the_default_group(resctrl: Mounted, file: str) -> None:
    """By mask or by list, each CPU is in one control group."""
    group, before = resctrl.new_control(), resctrl.cpus()
    last = before[-1]
    resctrl.write(f"{mask([last])}\n" if file == "cpus" else f"{last}\n", group, file)
    assert resctrl.cpus(group) == [last]
    assert resctrl.cpus() == before[:-1]


def test_a_control_group_takes_cpus_from_another(resctrl: Mounted) -> None:
    """The one before loses them."""
    one, other = resctrl.new_control(), resctrl.new_control()
    last = resctrl.cpus()[-1]
    resctrl.write(f"{last}\n", one, "cpus_list")
    resctrl.write(f"{last}\n", other, "cpus_list")
    assert (resctrl.cpus(one), resctrl.cpus(other)) == ([], [last])


def test_what_is_written_replaces_what_was(resctrl: Mounted) -> None:
    """CPUs that are no longer named go back to the default group."""
    group, before = resctrl.new_control(), resctrl.cpus()
    resctrl.write(f"{before[-1]}\n", group, "cpus_list")
    resctrl.write(f"{before[-2]}\n", group, "cpus_list")
    assert resctrl.cpus(group) == [before[-2]]
    assert before[-1] in resctrl.cpus()


@pytest.mark.parametrize(("file", "nothing"), [("cpus", "0\n"), ("cpus_list", "\n")])
def test_a_control_group_can_be_emptied(resctrl: Mounted, file: str, nothing: str) -> None:
    """By a mask of nothing and by an empty list."""
    group, before = resctrl.new_control(), resctrl.cpus()
    resctrl.write(f"{before[-1]}\n", group, "cpus_list")
    resctrl.write(nothing, group, file)
    assert resctrl.cpus(group) == []
    assert resctrl.cpus() == before


def test_ranges_and_lists_are_read(resctrl: Mounted) -> None:
    """`a,b` and `a-b` name the same where b follows a."""
    group, cpus = resctrl.new_control(), resctrl.cpus()[:2]
    for form in ("{0},{1}\n", "{1},{0}\n", "{0}-{1}\n", "{0}-{1},{0}", " {0} , {1} \n"):
        resctrl.write("\n", group, "cpus_list")
        resctrl.write(form.format(*cpus), group, "cpus_list")
        assert resctrl.cpus(group) == cpus, form


def test_the_default_group_drops_no_cpu(resctrl: Mounted) -> None:
    """EINVAL: there is nobody to take it."""
    before = resctrl.cpus()
    with refused(EINVAL):
        resctrl.write(f"{before[0]}\n", "cpus_list")
    assert resctrl.status() == "Can't drop CPUs from default group\n"
    assert resctrl.cpus() == before


def test_the_default_group_takes_cpus_back(resctrl: Mounted) -> None:
    """All written to it, nobody else has one."""
    group, before = resctrl.new_control(), resctrl.read("cpus")
    resctrl.write(f"{resctrl.cpus()[-1]}\n", group, "cpus_list")
    resctrl.write(before, "cpus")
    assert resctrl.cpus(group) == []
    assert resctrl.read("cpus") == before


def test_a_removed_control_group_gives_its_cpus_back(resctrl: Mounted) -> None:
    """To the default group."""
    group, before = resctrl.new_control(), resctrl.cpus()
    resctrl.write(f"{before[-1]}\n", group, "cpus_list")
    resctrl.remove(group)
    assert resctrl.cpus() == before


def test_a_monitoring_group_shares_cpus_with_its_parent(resctrl: Mounted) -> None:
    """The control group keeps them."""
    group, before = resctrl.new_monitor(), resctrl.cpus()
    resctrl.write(f"{before[-1]}\n", group, "cpus_list")
    assert resctrl.cpus(group) == [before[-1]]
    assert resctrl.cpus() == before


def test_a_monitoring_group_takes_cpus_from_a_sibling(resctrl: Mounted) -> None:
    """Each is counted in one of them."""
    one, other = resctrl.new_monitor(), resctrl.new_monitor()
    last = resctrl.cpus()[-1]
    resctrl.write(f"{last}\n", one, "cpus_list")
    resctrl.write(f"{last}\n", other, "cpus_list")
    assert (resctrl.cpus(one), resctrl.cpus(other)) == ([], [last])


def test_a_monitoring_group_takes_cpus_of_its_parent_only(resctrl: Mounted) -> None:
    """EINVAL for those of another control group, and nothing is taken of a mixed list."""
    group = resctrl.new_monitor(resctrl.new_control())
    with refused(EINVAL):
        resctrl.write(f"{resctrl.cpus()[-1]}\n", group, "cpus_list")
    assert resctrl.status() == "Can only add CPUs to mongroup that belong to parent\n"
    assert resctrl.cpus(group) == []


def test_a_monitoring_group_loses_cpus_with_its_parent(resctrl: Mounted) -> None:
    """What another control group takes is taken from both."""
    group, other = resctrl.new_monitor(), resctrl.new_control()
    first, second = resctrl.cpus()[-2:]
    resctrl.write(f"{first},{second}\n", group, "cpus_list")
    resctrl.write(f"{second}\n", other, "cpus_list")
    assert resctrl.cpus(group) == [first]


def test_new_cpus_of_a_control_group_leave_its_monitoring_groups_empty(resctrl: Mounted) -> None:
    """A write to the parent clears the masks of its children."""
    parent = resctrl.new_control()
    group = resctrl.new_monitor(parent)
    first, second = resctrl.cpus()[-2:]
    resctrl.write(f"{first}\n", parent, "cpus_list")
    resctrl.write(f"{first}\n", group, "cpus_list")
    resctrl.write(f"{first},{second}\n", parent, "cpus_list")
    assert resctrl.cpus(group) == []
    assert resctrl.cpus(parent) == [first, second]


@pytest.mark.parametrize(
    ("file", "written"),
    [
        ("cpus", "xyz\n"),
        ("cpus", "0x1\n"),
        ("cpus", "1 1\n"),
        ("cpus_list", "abc\n"),
        ("cpus_list", "1-\n"),
        ("cpus_list", "3-1\n"),
    ],
)
def test_garbage_is_refused(resctrl: Mounted, file: str, written: str) -> None:
    """EINVAL with a word for it, and nothing changes."""
    group = resctrl.new_control()
    with refused(EINVAL):
        resctrl.write(written, group, file)
    assert resctrl.status() == "Bad CPU list/mask\n"
    assert resctrl.cpus(group) == []


@pytest.mark.parametrize("file", ["cpus", "cpus_list"])
def test_a_cpu_that_is_not_there_is_refused(resctrl: Mounted, file: str) -> None:
    """With one of two words: as offline, or as beyond what the kernel can count; nothing changes."""
    group, absent = resctrl.new_control(), resctrl.cpus()[-1] + 1
    with refused(EINVAL, EOVERFLOW, ERANGE):
        resctrl.write(f"{mask([absent])}\n" if file == "cpus" else f"{absent}\n", group, file)
    assert resctrl.status() in ("Can only assign online CPUs\n", "Bad CPU list/mask\n")
    assert resctrl.cpus(group) == []


def test_a_write_of_cpus_clears_the_status(resctrl: Mounted) -> None:
    """As every command does."""
    group = resctrl.new_control()
    resctrl.soil_status()
    resctrl.write("\n", group, "cpus_list")
    assert resctrl.status() == "ok\n"
