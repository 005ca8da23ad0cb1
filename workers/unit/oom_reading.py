"""What a cgroup's memory controller has counted of lacks of memory. PURE.

cgroup v2: `memory.events` has the counts of a cgroup and of all below it, `memory.events.local` (Linux 5.2) those of it alone.
`oom` rises in the cgroup whose limit could not be kept, `oom_kill` in that of the process that was killed.
*Source:* linux/Documentation/admin-guide/cgroup-v2.rst, memory.events; linux/mm/memcontrol.c `memcg_memory_event`.

cgroup v1: `memory.oom_control` has the kills of a cgroup alone, `memory.failcnt` how often its limit was met.
*Source:* linux/Documentation/admin-guide/cgroup-v1/memory.rst.
"""

from msgspec import Struct

from agent.model.errors import KernelFormatError

# A dozen lines of a word and a number.
EVENTS_BYTES_MAX = 4096
# What a column of 64 bits holds.
_NUMBER_MAX = (1 << 63) - 1


class MemoryEvents(Struct, frozen=True):
    """Counts since the cgroup was made. *Absent:* `group_kills` before Linux 5.17."""

    ooms: int
    kills: int
    group_kills: int | None = None


class OomReading(Struct, frozen=True):
    """What one cgroup has at one moment: alone, and with all below it. *Absent:* `whole` where the kernel counts each alone."""

    own: MemoryEvents
    whole: MemoryEvents | None = None


def parse_memory_events(text: bytes) -> MemoryEvents:
    """`memory.events` or `memory.events.local`. *Raises:* KernelFormatError."""
    counts = _counts(text)
    if "oom" not in counts or "oom_kill" not in counts:
        raise KernelFormatError("memory.events", f"has no oom and oom_kill: {text[:80]!r}")
    return MemoryEvents(counts["oom"], counts["oom_kill"], counts.get("oom_group_kill"))


def parse_oom_control(text: bytes, times_at_limit: int) -> MemoryEvents:
    """`memory.oom_control` of v1, with the number of `memory.failcnt`. *Raises:* KernelFormatError: before Linux 4.13."""
    counts = _counts(text)
    if "oom_kill" not in counts:
        raise KernelFormatError("memory.oom_control", f"has no oom_kill: {text[:80]!r}")
    return MemoryEvents(times_at_limit, counts["oom_kill"])


def parse_oom_kills(text: bytes) -> int:
    """All kills of the host, of `/proc/vmstat`. *Raises:* KernelFormatError: before Linux 4.13."""
    at = text.find(b"oom_kill ")
    if at < 0 or (at > 0 and text[at - 1 : at] != b"\n"):
        raise KernelFormatError("/proc/vmstat", "has no oom_kill")
    return parse_count(text[at + len(b"oom_kill ") :].split(b"\n", 1)[0])


def parse_count(text: bytes) -> int:
    """A file that is one number. *Raises:* KernelFormatError."""
    word = text.strip()
    if not word.isdigit() or len(word) > 19 or int(word) > _NUMBER_MAX:
        raise KernelFormatError("a count", f"cannot be read: {text[:80]!r}")
    return int(word)


def parse_memory_limit(text: bytes) -> int | None:
    """`memory.max` or `memory.limit_in_bytes` in bytes. *Absent:* there is no limit, or the text is none."""
    word = text.strip()
    if not word.isdigit() or len(word) > 19:
        return None
    # v1 writes the largest number of pages where there is no limit.
    return number if (number := int(word)) < _NUMBER_MAX - (64 << 10) else None


def _counts(text: bytes) -> dict[str, int]:
    """Lines of a word and a number; others are none. *Raises:* KernelFormatError: a number out of range."""
    found: dict[str, int] = {}
    for line in text.split(b"\n", 64)[:64]:
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            found[words[0].decode("ascii", "replace")] = parse_count(words[1])
    return found
