"""The mount itself."""

import ctypes
import os
from errno import EBUSY
from pathlib import Path

import pytest
from conformance.mounted import Mounted


def test_the_mount_is_named_as_what_it_is(resctrl: Mounted) -> None:
    """Its type is resctrl, or for a file system in user space that of this kind."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line.partition(" - ")[2].split()[0] for line in lines if line.split()[4] == resctrl.root]
    assert found
    assert found[-1] == ("resctrl" if resctrl.profile == "real" else "fuse.resctrl")


@pytest.mark.real_only
def test_the_kernel_mounts_it_once(resctrl: Mounted, tmp_path: Path) -> None:
    """EBUSY for a second place while the first one is there."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = libc.mount(b"resctrl", os.fsencode(tmp_path), b"resctrl", 0, None)
    failure = ctypes.get_errno()
    if answer == 0:
        libc.umount2(os.fsencode(tmp_path), 0)
    assert (answer, failure) == (-1, EBUSY)


@pytest.mark.real_only
def test_the_kernel_knows_the_type(resctrl: Mounted) -> None:
    """It is listed among the file systems that need no device."""
    assert "nodev\tresctrl" in Path("/proc/filesystems").read_text().splitlines()
