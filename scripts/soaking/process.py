"""Single processes as the kernel shows them, and signals that never reach a stranger."""

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

KIB = 1024


def children_of(pid: int) -> list[int]:
    """The pids of the children of a process's main thread, dead ones included; none when it is gone."""
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def state_and_parent(pid: int) -> tuple[str, int] | None:
    """The state letter and the parent of a process; None when it is gone."""
    with suppress(OSError):
        # The name, in brackets, may hold anything; what follows the last bracket is plain.
        state, parent = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        return state, int(parent)
    return None


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP holds a process."""
    found = state_and_parent(pid)
    return found is not None and found[0] == "T"


def signal_child(pid: int, parent: int, number: int) -> bool:
    """Send a signal to a process that is (still) a living child of this parent; False when it is not."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        found = state_and_parent(pid)
        if found is None or found[0] == "Z" or found[1] != parent:
            return False
        signal.pidfd_send_signal(pidfd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)


def descriptor_kinds(pid: int) -> Counter[str]:
    """How many descriptors of which kind a process has open: `socket`, `pipe`, `anon_inode:[pidfd]`, a path.

    *Raises:* OSError when it is gone.
    """
    kinds: Counter[str] = Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            kinds[_kind(os.readlink(f"/proc/{pid}/fd/{name}"))] += 1
    return kinds


def threads_of(pid: int) -> int:
    """How many threads a process has. *Raises:* OSError when it is gone."""
    return len(os.listdir(f"/proc/{pid}/task"))


def memory_bytes(pid: int) -> dict[str, int]:
    """The memory of a process: `rss`, and `pss`, in which what it shares counts by its share. *Raises:* OSError."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0].lower(): int(line.split()[1]) * KIB for line in lines}
    return {kind: sizes[kind] for kind in ("rss", "pss")}


def zombies_below(*parents: int) -> int:
    """How many children of these are dead and not waited for."""
    found = [state_and_parent(pid) for parent in parents for pid in children_of(parent)]
    return sum(1 for each in found if each is not None and each[0] == "Z")


def has_variable(pid: int, assignment: str) -> bool:
    """Whether a living process was started with this `NAME=value` in its environment; a dead one has none left."""
    with suppress(OSError):
        return assignment.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def processes_with(assignment: str) -> list[int]:
    """The living processes that were started with this `NAME=value` in their environment."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and has_variable(int(name), assignment)]


def _kind(target: str) -> str:
    if target.startswith(("socket:", "pipe:")):
        return target.partition(":")[0]
    # The numbers of processes and of memory files come and go.
    return "/".join("N" if part.isdigit() else part for part in target.split("/"))
