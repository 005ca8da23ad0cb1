"""Which resctrl is mounted where, by the kernel's table of mounts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.resctrl.mountinfo import Mount, parse_mountinfo, resctrl_at, resctrl_points

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
    assert resctrl_at(HOST, "/sys/fs/resctrl") == Mount("/sys/fs/resctrl", "resctrl", 0, 42)
    assert resctrl_at(HOST, "/run/a place\\with\tall") == Mount("/run/a place\\with\tall", "fuse.resctrl", 0, 57)
    assert resctrl_points(HOST) == ["/sys/fs/resctrl", "/run/a place\\with\tall"]


@pytest.mark.parametrize("point", ["/sys", "/sys/fs", "/sys/fs/resctrl/", "/sys/fs/resctrl/info", "/sys/fs/resctrl2", ""])
def test_other_places_have_none(point: str) -> None:
    """Neither above nor below the mount point, nor where something else is mounted."""
    assert resctrl_at(HOST, point) is None


def test_a_mount_that_is_covered_does_not_count() -> None:
    """The last mount of a place is what is there; what lies below cannot be reached."""
    covered = HOST + "90 61 0:60 / /sys/fs/resctrl rw - tmpfs tmpfs rw\n"

    assert resctrl_at(covered, "/sys/fs/resctrl") is None
    again = covered + "91 90 0:61 / /sys/fs/resctrl rw - fuse.resctrl evergauge rw\n"
    assert resctrl_at(again, "/sys/fs/resctrl") == Mount("/sys/fs/resctrl", "fuse.resctrl", 0, 61)


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
