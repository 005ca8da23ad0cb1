"""What the kernel tells of the processes of the benchmark. All of them live in a pid namespace of their own."""

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


def all_pids() -> list[int]:
    """Every process of the namespace."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parents() -> dict[int, tuple[int, str]]:
    """Each process's parent and state letter. *Source:* proc_pid_stat(5)."""
    found = {}
    for pid in all_pids():
        try:
            rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[pid] = (int(rest[1]), rest[0])
    return found


def family(root: int) -> list[int]:
    """A process and everything below it that is no zombie, parents before children."""
    below: dict[int, list[int]] = {}
    for pid, (parent, state) in parents().items():
        if state not in "ZX":
            below.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found += below.get(pid, [])
    return found


def is_alive(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


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


@dataclass(frozen=True, slots=True)
class Activity:
    """What processes have done since they began: context switches of all threads, processor time."""

    switches: int
    cpu_ns: int


def activity(pids: list[int]) -> Activity:
    """The sum over processes that live. *Source:* proc_pid_status(5), proc_pid_schedstat(5)."""
    switches = cpu_ns = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            switches += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
            cpu_ns += int((task / "schedstat").read_text().split()[0])
    return Activity(switches, cpu_ns)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: the process's share (PSS), and what is its own alone."""

    pss_bytes: int
    private_bytes: int


def memory(pid: int) -> Memory:
    """*Source:* proc_pid_smaps(5)."""
    kib = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, _, value = line.partition(":")
        kib[key] = int(value.split()[0])
    return Memory(kib["Pss"] * 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024)


def descriptors(pid: int) -> int:
    """How many descriptors are open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    """How many threads there are."""
    return len(os.listdir(f"/proc/{pid}/task"))


def zombies_below(root: int) -> int:
    """Zombies whose parent is the process or one below it."""
    known = set(family(root))
    return sum(1 for parent, state in parents().values() if state == "Z" and parent in known)
