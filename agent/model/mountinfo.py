"""Which file system is mounted where, from the text of `/proc/self/mountinfo`. PURE. *Source:* proc_pid_mountinfo(5).

Paths are as the kernel has them: symbolic links are for the caller to follow before he asks for a place.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

# Its path below a proc file system, and how much is read at most: 100,000 mounts of 160 bytes, which is also the kernel's own
# limit (fs.mount-max).
NAME = "self/mountinfo"
BYTES_MAX = 16 << 20
MOUNTS_MAX = 100_000
# The kernel's own, and the emulator's: a FUSE mount with this subtype.
KERNEL_RESCTRL_TYPE = "resctrl"
RESCTRL_TYPES = frozenset({KERNEL_RESCTRL_TYPE, "fuse.resctrl"})
_OCTAL = re.compile(r"\\([0-7]{3})")
# Of `36 35 98:0 /root /mount/point options optional* - type source superoptions`.
_HEAD_FIELDS_MIN = 6


class Mount(Struct, frozen=True):
    """One mount: where, of which type, on which device; `root` is what of its file system is seen there, `/` for all of it.

    `options` are those of the mount and those of its file system; either may forbid writing.
    """

    point: str
    type: str
    major: int
    minor: int
    root: str = "/"
    options: tuple[str, ...] = ()

    @property
    def is_resctrl(self) -> bool:
        """Whether it is a complete resctrl, the kernel's or an emulated one; a bind mount of a directory in one is not."""
        return self.type in RESCTRL_TYPES and self.root == "/"

    @property
    def is_emulated(self) -> bool:
        """Whether it is an emulated resctrl."""
        return self.is_resctrl and self.type != KERNEL_RESCTRL_TYPE


def parse_mountinfo(text: str) -> Iterator[Mount]:
    """All mounts in the order of mounting; later ones cover earlier ones of the same place. Lines of another form are left out.

    *Range:* the first MOUNTS_MAX lines. Linear in the text.
    """
    # Not splitlines: the kernel escapes line feeds in names, but not the other characters at which Python would split lines.
    for line in text.split("\n", MOUNTS_MAX)[:MOUNTS_MAX]:
        head, separator, tail = line.partition(" - ")
        fields, kind = head.split(" "), tail.split(" ")
        if not separator or len(fields) < _HEAD_FIELDS_MIN:
            continue
        major, _colon, minor = fields[2].partition(":")
        # The kernel writes no longer numbers, and Python refuses to read very long ones.
        if major.isdecimal() and minor.isdecimal() and len(fields[2]) <= 21:
            options = (*fields[5].split(","), *(kind[2].split(",") if len(kind) > 2 else ()))
            yield Mount(_plain(fields[4]), _plain(kind[0]), int(major), int(minor), _plain(fields[3]), options)


def mount_at(text: str, point: str) -> Mount | None:
    """The mount exactly at `point`; of several on one point the last, which covers the others. *Absent:* None without one."""
    last = None
    for mount in parse_mountinfo(text):
        if mount.point == point:
            last = mount
    return last


def resctrl_at(text: str, point: str) -> Mount | None:
    """The resctrl mounted exactly at `point`, unless something else covers it."""
    found = mount_at(text, point)
    return found if found is not None and found.is_resctrl else None


def resctrl_mounts(text: str) -> list[Mount]:
    """All resctrl mounts that no other mount covers, in the order of mounting."""
    by_point = {mount.point: mount for mount in parse_mountinfo(text)}
    return [mount for mount in by_point.values() if mount.is_resctrl]


def _plain(word: str) -> str:
    """The text with octal escapes (blank, tab, line feed, backslash) replaced."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), word) if "\\" in word else word
