"""Single processes as the kernel shows them, and signals that never reach a stranger.

Reads `/proc` by itself, without the agent's own parsers: what is measured of the agent does not depend on its code.
*Source:* proc_pid_stat(5), proc_pid_status(5), proc_pid_smaps(5) and their neighbours.
"""

import os
import re
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KIB = 1 << 10
MIB = 1 << 20
DEAD = "ZX"
# A process of a test that holds its own memory map locked: a look at its environment would wait for the end of that test.
STUCK_NAME = "eg-stuck"
_FILE_OF_PROCESS = re.compile(r"/proc/\d+/")


@dataclass(frozen=True, slots=True)
class Stat:
    """What one line of `/proc/PID/stat` says: the state letter, the parent, CPU of all threads in clock ticks."""

    state: str
    parent: int
    cpu_ticks: int


def all_pids() -> list[int]:
    """Every process of this pid namespace."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def stat_of(pid: int) -> Stat | None:
    """*Absent:* None, when the process is gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in brackets, may hold anything; what follows the last bracket is plain.
    fields = line.rpartition(")")[2].split()
    return Stat(fields[0], int(fields[1]), int(fields[11]) + int(fields[12]))


def is_alive(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    found = stat_of(pid)
    return found is not None and found.state not in DEAD


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP holds a process."""
    found = stat_of(pid)
    return found is not None and found.state == "T"


def children_of(pid: int) -> list[int]:
    """The pids of the children of a process's main thread, dead ones included; none when it is gone."""
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def family(root: int) -> list[int]:
    """A process and everything below it that is no zombie, parents before children."""
    below: dict[int, list[int]] = {}
    for pid in all_pids():
        stat = stat_of(pid)
        if stat is not None and stat.state not in DEAD:
            below.setdefault(stat.parent, []).append(pid)
    found = [root]
    for pid in found:
        found += below.get(pid, [])
    return found


def zombies_of(*parents: int) -> int:
    """How many children of these processes are dead and not waited for."""
    found = [stat_of(pid) for parent in parents for pid in children_of(parent)]
    return sum(1 for each in found if each is not None and each.state == "Z")


def signal_child(pid: int, parent: int, number: int) -> bool:
    """Send a signal to a process that is (still) a living child of this parent; False when it is not."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        found = stat_of(pid)
        if found is None or found.state in DEAD or found.parent != parent:
            return False
        signal.pidfd_send_signal(pidfd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)


# ---- what it is --------------------------------------------------------------------------------------


def program(pid: int) -> str:
    """The path of what a process executes; empty for one that has gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def name(pid: int) -> str:
    """The name of a process, at most 15 bytes; empty for one that has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""


def has_variable(pid: int, assignment: str) -> bool:
    """Whether a living process was started with this `NAME=value` in its environment; a dead one has none left."""
    with suppress(OSError):
        return assignment.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def processes_with(assignment: str) -> list[int]:
    """The living processes that were started with this `NAME=value` in their environment."""
    return [pid for pid in all_pids() if name(pid) != STUCK_NAME and has_variable(pid, assignment)]


# ---- what it holds and uses; all of these raise OSError when the process is gone -----------------------


@dataclass(frozen=True, slots=True)
class Activity:
    """What processes have done since they began: context switches of all threads, processor time."""

    switches: int
    cpu_ns: int


def activity(pids: list[int]) -> Activity:
    """The sum over processes that live. *Raises:* OSError."""
    switches = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            switches += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return Activity(switches, sum(cpu_ns(pid) for pid in pids))


def cpu_ns(pid: int) -> int:
    """Run time of all threads that live now. *Raises:* OSError. *Source:* proc_pid_schedstat(5)."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: resident, resident with what is shared counted by its share (PSS), and what is the process's own alone."""

    rss_bytes: int
    pss_bytes: int
    private_bytes: int


def memory(pid: int) -> Memory:
    """*Raises:* OSError."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {key: int(value.split()[0]) * KIB for key, _, value in (line.partition(":") for line in lines)}
    return Memory(sizes["Rss"], sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"])


def rss_bytes(pid: int) -> int:
    """The resident memory of a process, as cheap as it can be read. *Raises:* OSError."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """How many descriptors are open. *Raises:* OSError."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def descriptor_kinds(pid: int) -> Counter[str]:
    """How many descriptors of which kind are open: `socket`, `pipe`, `anon_inode:[pidfd]`, a path. *Raises:* OSError."""
    kinds: Counter[str] = Counter()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            kinds[_kind(os.readlink(f"/proc/{pid}/fd/{descriptor}"))] += 1
    return kinds


def own_descriptors(pid: int) -> int:
    """How many descriptors are open, but one for each file of each process that lives: those follow the host. *Raises:* OSError.

    A second of the same file counts, and so does one that outlives its process.
    """
    targets: Counter[str] = Counter()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            targets[os.readlink(f"/proc/{pid}/fd/{descriptor}")] += 1
    return targets.total() - sum(_FILE_OF_PROCESS.match(target) is not None and os.path.exists(target) for target in targets)


def threads(pid: int) -> int:
    """How many threads there are. *Raises:* OSError."""
    return len(os.listdir(f"/proc/{pid}/task"))


def _kind(target: str) -> str:
    if target.startswith(("socket:", "pipe:")):
        return target.partition(":")[0]
    # The numbers of processes and of memory files come and go.
    return "/".join("N" if part.isdigit() else part for part in target.split("/"))
