"""What limits are in the kernel's words: which file of a cgroup gets which text, and what its parents allow. PURE.

*Source:* Documentation/admin-guide/cgroup-v2.rst.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from workers.keeper.protocol import IoLimit, RefusalWord, WorkloadLimits
from workers.keeper.refusal import WorkloadRefused

# The kernel's own default: a quota of one CPU is 100 ms of each 100 ms.
CPU_PERIOD_US = 100_000
CONTROLLERS = ("cpu", "memory", "pids", "io")
NO_LIMIT = "max"
OOM_GROUP = "memory.oom.group"
# Which files a parent is asked for.
PARENT_FILES = ("cpu.max", "memory.max", "pids.max")
# A kernel without one of these has an older controller; nothing that is asked for depends on it.
OPTIONAL = frozenset({OOM_GROUP})


class LimitWrite(Struct, frozen=True):
    """One write: this text into this file, which is there where the controller is enabled."""

    controller: str
    name: str
    text: str


def limit_files(limits: WorkloadLimits, devices: Mapping[str, str], *, is_killed_whole: bool) -> list[LimitWrite]:
    """The writes for these limits, in the order in which they are made. `devices` has `MAJOR:MINOR` by the device of a limit."""
    files = []
    if limits.cpu_cores is not None:
        files.append(LimitWrite("cpu", "cpu.max", f"{round(limits.cpu_cores * CPU_PERIOD_US)} {CPU_PERIOD_US}"))
    if limits.cpu_weight is not None:
        files.append(LimitWrite("cpu", "cpu.weight", str(limits.cpu_weight)))
    if limits.memory_bytes is not None:
        files.append(LimitWrite("memory", "memory.max", str(limits.memory_bytes)))
    if limits.memory_high_bytes is not None:
        files.append(LimitWrite("memory", "memory.high", str(limits.memory_high_bytes)))
    if limits.pids is not None:
        files.append(LimitWrite("pids", "pids.max", str(limits.pids)))
    files += [LimitWrite("io", "io.max", f"{devices[each.device]} {_rates(each)}") for each in limits.io]
    if is_killed_whole:
        files.append(LimitWrite("memory", OOM_GROUP, "1"))
    return files


def _rates(limit: IoLimit) -> str:
    rates = {
        "rbps": limit.read_bytes_per_second,
        "wbps": limit.write_bytes_per_second,
        "riops": limit.reads_per_second,
        "wiops": limit.writes_per_second,
    }
    return " ".join(f"{key}={rate or NO_LIMIT}" for key, rate in rates.items())


def check_below_parents(name: str, limits: WorkloadLimits, parents: Sequence[tuple[str, Mapping[str, str]]]) -> None:
    """Refuse a limit above a parent's: it would look like a promise and hold nothing. `parents` has path and files of each.

    *Raises:* WorkloadRefused that names the parent and its limit.
    """
    for path, files in parents:
        for what, file, wanted, allowed in (
            ("CPUs", "cpu.max", limits.cpu_cores, cpu_cores_of(files.get("cpu.max", NO_LIMIT))),
            ("bytes of memory", "memory.max", limits.memory_bytes, count_of(files.get("memory.max", NO_LIMIT))),
            ("bytes of memory", "memory.max", limits.memory_high_bytes, count_of(files.get("memory.max", NO_LIMIT))),
            ("processes", "pids.max", limits.pids, count_of(files.get("pids.max", NO_LIMIT))),
        ):
            if wanted is not None and allowed is not None and wanted > allowed:
                problem = f"wants {wanted:.15g} {what}, and its parent {path} allows {allowed:.15g} ({file})"
                raise WorkloadRefused(RefusalWord.ABOVE_PARENT, name, problem, "ask for less, or raise the parent's limit")


def cpu_cores_of(text: str) -> float | None:
    """What `cpu.max` allows. *Absent:* no limit, or text of another form."""
    quota, _blank, period = text.strip().partition(" ")
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return int(quota) / int(period)


def count_of(text: str) -> int | None:
    """What `memory.max` or `pids.max` allows. *Absent:* no limit, or text of another form."""
    word = text.strip()
    return int(word) if word.isdecimal() and len(word) <= 20 else None


def flat_keyed(text: str) -> dict[str, int]:
    """A file of lines `key number` (cgroup.events, memory.events, cpu.stat); lines of another form are left out."""
    found = {}
    for line in text.split("\n"):
        key, _blank, number = line.partition(" ")
        if number.isdecimal() and len(number) <= 20:
            found[key] = int(number)
    return found


def io_bytes(text: str) -> tuple[int, int]:
    """Bytes read and written on all devices together, from `io.stat`."""
    sums = {"rbytes": 0, "wbytes": 0}
    for word in text.split():
        key, equals, number = word.partition("=")
        if equals and key in sums and number.isdecimal() and len(number) <= 20:
            sums[key] += int(number)
    return sums["rbytes"], sums["wbytes"]
