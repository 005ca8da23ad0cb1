"""The number of the whole disk that a limit names. *Source:* Documentation/admin-guide/cgroup-v2.rst (io.max), sysfs block/."""

import os
import stat

from agent.model.foreign import readable
from workers.keeper.protocol import RefusalWord
from workers.keeper.refusal import WorkloadRefused

_BLOCK = "/sys/dev/block"
_PARTS = 2


def disk_number(name: str, device: str, block: str = _BLOCK) -> str:
    """`MAJOR:MINOR` of this disk. *Raises:* WorkloadRefused for what is no whole disk."""
    shown = readable(device, 80)
    words = device.split(":")
    if len(words) == _PARTS and all(word.isdecimal() and len(word) <= 9 for word in words):
        number = f"{int(words[0])}:{int(words[1])}"
    elif device.startswith("/dev/"):
        number = _number_of(name, device, shown)
    else:
        raise WorkloadRefused(RefusalWord.BAD_LIMIT, name, f"{shown!r} is no disk", "write /dev/NAME or MAJOR:MINOR")
    place = f"{block}/{number}"
    if not os.path.exists(place):
        raise WorkloadRefused(RefusalWord.BAD_LIMIT, name, f"this host has no disk {shown} ({number})", "`lsblk` lists them")
    if os.path.exists(f"{place}/partition"):
        whole = os.path.basename(os.path.dirname(os.path.realpath(place)))
        problem = f"{shown} is a partition, and the kernel limits whole disks only"
        raise WorkloadRefused(RefusalWord.BAD_LIMIT, name, problem, f"write /dev/{readable(whole, 40)}")
    return number


def _number_of(name: str, device: str, shown: str) -> str:
    try:
        status = os.stat(device)
    except OSError as cause:
        raise WorkloadRefused(RefusalWord.BAD_LIMIT, name, f"{shown} is no disk: {cause.strerror}", "`lsblk` lists them") from cause
    if not stat.S_ISBLK(status.st_mode):
        raise WorkloadRefused(RefusalWord.BAD_LIMIT, name, f"{shown} is no disk", "`lsblk` lists them")
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
