"""Which resctrl mounts there are, from the text of `/proc/self/mountinfo`. PURE. *Source:* proc_pid_mountinfo(5)."""

import re
from collections.abc import Iterator

from msgspec import Struct

# The kernel's own, and the emulator's: a FUSE mount with this subtype.
TYPES = frozenset({"resctrl", "fuse.resctrl"})
_OCTAL = re.compile(r"\\([0-7]{3})")
# Of `36 35 98:0 /root /mount/point options optional* - type source superoptions`.
_HEAD_FIELDS_MIN = 6


class Mount(Struct, frozen=True):
    """One mount: where, of which type, on which device."""

    point: str
    type: str
    major: int
    minor: int

    @property
    def is_resctrl(self) -> bool:
        """Whether it is a resctrl, the kernel's or an emulated one."""
        return self.type in TYPES


def parse_mountinfo(text: str) -> Iterator[Mount]:
    """All mounts in the order of mounting; later ones cover earlier ones of the same place. Lines of another form are left out."""
    for line in text.splitlines():
        head, separator, tail = line.partition(" - ")
        fields, kind = head.split(" "), tail.split(" ")
        if not separator or len(fields) < _HEAD_FIELDS_MIN:
            continue
        major, _colon, minor = fields[2].partition(":")
        if major.isdecimal() and minor.isdecimal():
            yield Mount(_plain(fields[4]), kind[0], int(major), int(minor))


def resctrl_at(text: str, point: str) -> Mount | None:
    """The resctrl mounted exactly at `point`, unless something else covers it."""
    last = None
    for mount in parse_mountinfo(text):
        if mount.point == point:
            last = mount
    return last if last is not None and last.is_resctrl else None


def resctrl_points(text: str) -> list[str]:
    """All places where a resctrl is mounted."""
    return [mount.point for mount in parse_mountinfo(text) if mount.is_resctrl]


def _plain(word: str) -> str:
    """Blanks, tabs, line ends and backslashes stand in octal."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), word)
