"""Which processes descend from this agent: its children as the kernel lists them, and the mark that every descendant bears.

As the first process of a container an agent is given everybody's orphans, also those of people who entered it (`docker
exec`). So descent from a fork server of ours must show on the process itself, whatever it did since it was forked. The mark is
the soft limit RLIMIT_LOCKS of the fork server: the kernel hands it on through fork, exec and setsid, shows it in
`/proc/PID/limits`, and has limited nothing by it since Linux 2.4.25 (getrlimit(2)).

Refused: the environment (reading it waits for a lock of that process), process groups and sessions (a descendant leaves
them), a list of descendants (a process forked after the last look is missing from it).
"""

import resource
from contextlib import suppress

from agent.model.checksum import blake2b
from agent.prctl import PR_SET_CHILD_SUBREAPER, prctl

# asm-generic/resource.h; the module `resource` has no name for it.
RLIMIT_LOCKS = 10
LIMITS_BYTES_MAX = 8192
_LINE = b"Max file locks"
# Well below what a limit may be, and no number that anybody else would choose.
_MARK_BITS = 61


def mark_of_run(run: str) -> int:
    """The mark that the fork servers of a run set, and all their descendants bear. *Range:* 0 to 2^61 - 1."""
    return int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big") % (1 << _MARK_BITS)


def set_mark(mark: int) -> None:
    """Mark this process and all that it will fork. Where the limit may not be so high there is no mark: then no process counts
    as ours."""
    assert 0 <= mark < 1 << _MARK_BITS
    with suppress(ValueError, OSError):
        _soft, hard = resource.getrlimit(RLIMIT_LOCKS)
        resource.setrlimit(RLIMIT_LOCKS, (mark, hard))


def has_mark(pid: int, mark: int) -> bool:
    """Whether this process bears the mark; one that is gone does not. *Source:* proc_pid_limits(5)."""
    try:
        with open(f"/proc/{pid}/limits", "rb") as file:
            text = file.read(LIMITS_BYTES_MAX)
    except OSError:
        return False
    return any(line.removeprefix(_LINE).split()[:1] == [b"%d" % mark] for line in text.splitlines() if line.startswith(_LINE))


def become_subreaper() -> None:
    """Have the kernel give this process the orphans among its descendants. *Raises:* OSError."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def children_of(pid: int) -> list[int]:
    """The pids of a process's children; none when it is gone. *Raises:* OSError. *Source:* proc_pid_task(5)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as children:
            return [int(word) for word in children.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
