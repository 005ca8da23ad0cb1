"""Exit records of the kernel's taskstats: their layout by version and size, and one record out of one datagram. PURE.

A datagram holds one record of the thread that ended and, when it was the last one of a process that ever had several, a second one
that sums all of them. *Source:* linux/include/uapi/linux/taskstats.h, linux/Documentation/accounting/taskstats.rst.
"""

from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from workers.framework.netlink_message import GENERIC_HEAD, attributes, messages, uint32

FAMILY = "TASKSTATS"
# Command, its attribute, and the attributes of events.
COMMAND_GET = 1
REGISTER_CPUMASK = 3
_PID, _TGID, _STATS, _OF_PID, _OF_TGID = 1, 2, 3, 4, 5
# linux/acct.h: a first thread that was forked and ran no other program; the last thread of its process (version 12 and later).
FORKED, LAST_OF_GROUP = 0x01, 0x20
# From this version on a record names its process.
VERSION_WITH_TGID = 12
_VERSION = Struct("=H")
# A fast datagram: message head, generic head, then three attribute heads and the pid.
_STATS_AT = 36

# Where each field of the struct is, in all versions but the one below: offset, code and size.
_FIELDS = (
    ("version", 0, "H", 2), ("exit_code", 4, "I", 4), ("flags", 8, "B", 1), ("run_delay_ns", 24, "Q", 8), ("run_ns", 72, "Q", 8),
    ("comm", 80, "32s", 32), ("pid", 128, "I", 4), ("ppid", 132, "I", 4), ("elapsed_us", 144, "Q", 8), ("rss_max_kib", 200, "Q", 8),
    ("read_bytes", 248, "Q", 8), ("write_bytes", 256, "Q", 8), ("sleeps", 272, "Q", 8), ("preemptions", 280, "Q", 8),
    ("tgid", 368, "I", 4),
)  # fmt: skip
_SIZE_LEAST, _SIZE_WITH_TGID = 288, 372
# Version 15 (Linux 6.14, and 6.15 until its first fixes) has two further numbers behind each delay, in the middle of the struct;
# version 16 moved them to the end. The ends of the delays, by offset elsewhere: each moves what follows by 16 bytes.
_VERSION_SHIFTED, _DELAY_ENDS = 15, (32, 48, 64, 328, 344, 368)


class ExitRecord(NamedTuple):
    """What is used of one record of one thread.

    `run_ns` is the scheduler's run time, which the kernel brings up to date at clock ticks and switches only: what ran since is not
    in it. `run_delay_ns` is the time it waited for a CPU, `elapsed_us` its life on CLOCK_MONOTONIC, `sleeps` and `preemptions` its
    voluntary and other switches. *Absent:* `tgid` is 0 before version 12.
    """

    version: int
    exit_code: int
    flags: int
    run_delay_ns: int
    run_ns: int
    comm: bytes
    pid: int
    ppid: int
    elapsed_us: int
    rss_max_kib: int
    read_bytes: int
    write_bytes: int
    sleeps: int
    preemptions: int
    tgid: int


class GroupTotal(NamedTuple):
    """The record that sums all threads of a process: of it the kernel fills little more than the run time and the switches."""

    tgid: int
    run_ns: int
    sleeps: int
    preemptions: int


class ExitRecords:
    """Records in the order in which they came. `groups` are the totals of processes that had several threads, by index."""

    def __init__(self) -> None:
        self.threads: list[ExitRecord] = []
        self.groups: dict[int, GroupTotal] = {}
        self.lost = 0
        self.malformed = 0


class Datagram(NamedTuple):
    """One event or answer. *Absent:* `thread` in an answer about a process, `group` for a process that never had two threads."""

    thread: ExitRecord | None
    group: GroupTotal | None


class StatsLayout(NamedTuple):
    """How the struct of one version and size is unpacked; `has_tgid`: the last field is in it."""

    unpack: Struct
    has_tgid: bool
    size: int


@lru_cache(maxsize=8)
def layout_of(version: int, size: int) -> StatsLayout | None:
    """The layout of a version and size. *Absent:* the struct is too short for what is used of it.

    Longer structs than known are read like known ones: by the kernel's rule fields are added at the end.
    """
    is_shifted = version == _VERSION_SHIFTED
    least = _SIZE_LEAST + (_shift(_SIZE_LEAST) if is_shifted else 0)
    if version < 1 or size < least:
        return None
    end = _SIZE_WITH_TGID + (_shift(368) if is_shifted else 0)
    has_tgid = version >= VERSION_WITH_TGID and size >= end
    return StatsLayout(Struct("=" + _format(0, is_shifted=is_shifted, has_tgid=has_tgid)[0]), has_tgid, size)


def _shift(offset: int) -> int:
    return 16 * sum(offset >= end for end in _DELAY_ENDS)


def _format(place: int, *, is_shifted: bool, has_tgid: bool) -> tuple[str, int]:
    """The format of the fields, gaps skipped, and where it ends, for a struct that begins at `place`."""
    start, text = place, ""
    for _, offset, code, size in _FIELDS if has_tgid else _FIELDS[:-1]:
        at = start + offset + (_shift(offset) if is_shifted else 0)
        text += f"{at - place}x{code}"
        place = at + size
    return text, place


class SlotFormat:
    """Unpacks many datagrams at once that lie in slots of one size: those of the usual shape, one thread and no group.

    The first four values of each are the length, the type and the two words that say where its struct is; they must be `expected`.
    """

    def __init__(self, datagram: bytes | memoryview, slot_bytes: int) -> None:
        """From one datagram that `parse_datagram` understood and that has no group."""
        shape = Struct("=IH14xQ4xI")
        self.expected: tuple[int, ...] = shape.unpack_from(datagram)
        (version,) = _VERSION.unpack_from(datagram, _STATS_AT)
        layout = layout_of(version, len(datagram) - _STATS_AT)
        assert layout is not None, "checked by `is_usual`"
        text, end = _format(_STATS_AT, is_shifted=version == _VERSION_SHIFTED, has_tgid=True)
        self.unpack = Struct(f"=IH14xQ4xI{text}{slot_bytes - end}x")
        self.length = len(datagram)


def is_usual(datagram: bytes | memoryview, parsed: Datagram) -> bool:
    """Whether a `SlotFormat` can be made of it: one thread's record right behind the heads, with its process named."""
    found = parsed.thread
    if found is None or parsed.group is not None or found.version < VERSION_WITH_TGID or not found.tgid:
        return False
    kind = uint32(memoryview(datagram)[32:36])
    # In the other byte order the two halves of this word are exchanged; such a host unpacks every datagram by itself.
    return kind == _STATS << 16 | len(datagram) - 32


def parse_datagram(data: bytes | bytearray | memoryview, family: int) -> Datagram | None:
    """What one datagram of the family says. *Absent:* it is no record, or it is too short to be used."""
    message = next((each for each in messages(data) if each.kind == family), None)
    return None if message is None else _parse_payload(message.payload)


def _parse_payload(payload: memoryview) -> Datagram | None:
    thread = group = None
    for kind, content in attributes(payload[GENERIC_HEAD.size :]):
        parts = dict(attributes(content))
        if kind == _OF_PID and _STATS in parts:
            thread = parse_stats(parts[_STATS])
        elif kind == _OF_TGID and _STATS in parts and (tgid := uint32(parts.get(_TGID))):
            found = parse_stats(parts[_STATS])
            group = None if found is None else GroupTotal(tgid, found.run_ns, found.sleeps, found.preemptions)
    return None if thread is None and group is None else Datagram(thread, group)


def parse_stats(data: bytes | memoryview) -> ExitRecord | None:
    """One struct. *Absent:* it is too short for what is used of it."""
    if len(data) < _VERSION.size:
        return None
    layout = layout_of(_VERSION.unpack_from(data)[0], len(data))
    if layout is None:
        return None
    values = layout.unpack.unpack_from(data)
    return ExitRecord._make(values if layout.has_tgid else (*values, 0))
