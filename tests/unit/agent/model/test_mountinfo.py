"""Which file system is mounted where, by the kernel's table of mounts."""

from time import thread_time_ns

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.mountinfo import MOUNTS_MAX, Mount, mount_at, parse_mountinfo, resctrl_at, resctrl_mounts

# As a Linux 6.1 host shows it, with an emulator beside.
HOST = """\
23 28 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
24 28 0:23 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
28 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
61 23 0:42 / /sys/fs/resctrl rw,relatime shared:30 master:4 - resctrl resctrl rw,mba_MBps
80 28 0:57 / /run/a\\040place\\134with\\011all rw,nosuid - fuse.resctrl evergauge rw,user_id=0,group_id=0
"""


def test_the_kernels_own_and_the_emulators() -> None:
    """Both types count, at exactly their mount points; the number is that of the device."""
    kernels = Mount("/sys/fs/resctrl", "resctrl", 0, 42, "/", ("rw", "relatime", "rw", "mba_MBps"))
    emulators = Mount("/run/a place\\with\tall", "fuse.resctrl", 0, 57, "/", ("rw", "nosuid", "rw", "user_id=0", "group_id=0"))
    assert resctrl_at(HOST, "/sys/fs/resctrl") == kernels
    assert resctrl_at(HOST, "/run/a place\\with\tall") == emulators
    assert resctrl_mounts(HOST) == [kernels, emulators]


@pytest.mark.parametrize("point", ["/sys", "/sys/fs", "/sys/fs/resctrl/", "/sys/fs/resctrl/info", "/sys/fs/resctrl2", ""])
def test_other_places_have_none(point: str) -> None:
    """Neither above nor below the mount point, nor where something else is mounted."""
    assert resctrl_at(HOST, point) is None


def test_a_mount_that_is_covered_does_not_count() -> None:
    """The last mount of a place is what is there; what lies below cannot be reached."""
    covered = HOST + "90 61 0:60 / /sys/fs/resctrl rw - tmpfs tmpfs rw\n"

    assert resctrl_at(covered, "/sys/fs/resctrl") is None
    assert [mount.minor for mount in resctrl_mounts(covered)] == [57]
    again = covered + "91 90 0:61 / /sys/fs/resctrl rw - fuse.resctrl evergauge rw\n"
    found = resctrl_at(again, "/sys/fs/resctrl")
    assert found is not None
    assert (found.type, found.minor) == ("fuse.resctrl", 61)
    assert {mount.minor for mount in resctrl_mounts(again)} == {57, 61}


def test_a_directory_of_a_resctrl_that_is_bound_elsewhere_is_none() -> None:
    """It has no `info`, and what is made in it is made inside another group."""
    bound = "92 28 0:42 /mon_groups/a\\040b /mnt/bound rw - resctrl resctrl rw\n"
    assert [mount.root for mount in parse_mountinfo(bound)] == ["/mon_groups/a b"]
    assert resctrl_at(bound, "/mnt/bound") is None
    assert resctrl_mounts(bound) == []
    whole = bound.replace("/mon_groups/a\\040b", "/")
    assert [mount.point for mount in resctrl_mounts(whole)] == ["/mnt/bound"]


@pytest.mark.parametrize("letter", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "é", "\udcff"])
def test_letters_that_the_kernel_leaves_as_they_are_part_no_line(letter: str) -> None:
    """It escapes blank, tab, line feed and backslash, and nothing else."""
    table = f"93 28 0:42 / /mnt/a{letter}b rw - resctrl resctrl rw\n" + HOST
    assert next(mount.point for mount in parse_mountinfo(table)) == f"/mnt/a{letter}b"
    assert len(list(parse_mountinfo(table))) == 6


def test_of_mounts_upon_each_other_the_last_is_found() -> None:
    """With the options of both, the mount and its file system."""
    table = "1 0 0:5 / /proc rw - proc proc rw,hidepid=invisible\n2 1 0:6 / /proc ro,nosuid - proc proc rw\n"
    found = mount_at(table, "/proc")
    assert found is not None
    assert (found.minor, found.options) == (6, ("ro", "nosuid", "rw"))
    assert mount_at(table, "/proc/") is None


def test_any_number_of_mounts_is_read_in_time_that_grows_as_they_do() -> None:
    """A leak of mounts, up to the limit; what lies behind it is left out."""

    def cost_ns(count: int) -> int:
        table = "".join(
            f"{number} 1 0:9 / /mnt/a\\040place/{number} rw,nosuid - tmpfs tmpfs rw,size=4k\n" for number in range(count)
        )
        begun_ns = thread_time_ns()
        assert mount_at(table, f"/mnt/a place/{count - 1}") is not None
        return thread_time_ns() - begun_ns

    # Linear is 10, quadratic 100.
    assert min(cost_ns(20_000) for _ in range(3)) < 35 * min(cost_ns(2_000) for _ in range(3))
    assert len(list(parse_mountinfo("1 1 0:9 / /m rw - tmpfs t rw\n" * (MOUNTS_MAX + 5)))) == MOUNTS_MAX


def test_only_the_kernels_own_is_not_emulated() -> None:
    """By its type; what is no resctrl at all is no emulated one either."""
    kinds = ("resctrl", "fuse.resctrl", "proc")
    assert [Mount("/m", kind, 0, 1).is_emulated for kind in kinds] == [False, True, False]


@pytest.mark.parametrize("kind", ["fuse", "fuse.resctrl2", "resctrlfs", "proc"])
def test_other_types_do_not_count(kind: str) -> None:
    """The type is compared whole."""
    assert resctrl_at(f"61 23 0:42 / /r rw - {kind} x rw\n", "/r") is None


@given(st.data())
def test_damaged_tables_are_read_as_far_as_they_go(data: st.DataObject) -> None:
    """A table with any byte changed, or cut anywhere, gives mounts or leaves lines out, and never fails."""
    text = list(HOST[: data.draw(st.integers(0, len(HOST)))])
    if text:
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.characters())
    list(parse_mountinfo("".join(text)))
