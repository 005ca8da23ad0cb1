"""The mark that a process hands on to all its descendants: which agent they are of, or that they outlive every agent.

The mark is the soft limit RLIMIT_LOCKS: the kernel hands it on through fork, exec and setsid, shows it in `/proc/PID/limits`, and
has limited nothing by it since Linux 2.4.25 (getrlimit(2)).
"""

import resource
from contextlib import suppress

from agent.model.checksum import blake2b

# asm-generic/resource.h; the module `resource` has no name for it.
RLIMIT_LOCKS = 10
LIMITS_BYTES_MAX = 8192
_LINE = b"Max file locks"
# Well below what a limit may be, and no number that anybody else would choose.
_MARK_BITS = 61
_CGROUP_BYTES_MAX = 64 << 10


def mark_of(text: str) -> int:
    """The mark for this text. *Range:* 0 to 2^61 - 1."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % (1 << _MARK_BITS)


# Borne by the keeper and all workloads: no agent ends them as strays, neither the one that started them nor a later one.
KEEPER_MARK = mark_of("the keeper of workloads and all that it starts")


def set_mark(mark: int) -> None:
    """Mark this process and all that it will fork. Where the limit may not be so high there is no mark: then no process counts
    as ours."""
    assert 0 <= mark < 1 << _MARK_BITS
    with suppress(ValueError, OSError):
        _soft, hard = resource.getrlimit(RLIMIT_LOCKS)
        resource.setrlimit(RLIMIT_LOCKS, (mark, hard))


def has_mark(pid: int, mark: int) -> bool:
    """Whether this process bears the mark; one that is gone does not. *Source:* proc_pid_limits(5)."""
    text = _read(f"/proc/{pid}/limits", LIMITS_BYTES_MAX)
    return any(line.removeprefix(_LINE).split()[:1] == [b"%d" % mark] for line in text.splitlines() if line.startswith(_LINE))


def is_spared(pid: int) -> bool:
    """Whether it is a keeper, a workload or what a workload has started: of no agent's worker, and ended by no agent.

    A workload may change its limits, but where it is kept in a cgroup of its own it stays one.
    """
    if has_mark(pid, KEEPER_MARK):
        return True
    groups = _read(f"/proc/{pid}/cgroup", _CGROUP_BYTES_MAX)
    # An agent may run as a workload itself: then its workers are in the same cgroup, and no workloads of their own.
    return b".workload" in groups and groups != _read("/proc/self/cgroup", _CGROUP_BYTES_MAX)


def _read(path: str, bytes_max: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(bytes_max)
    except OSError:
        return b""
