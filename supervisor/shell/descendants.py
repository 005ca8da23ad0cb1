"""Who is ours among the orphans that the kernel gives to this process: those that bear our mark.

As the first process of a container an agent is given everybody's orphans, also those of people who entered it (`docker
exec`). So descent from a fork server of ours must be seen on the process itself, whatever it did since its birth. The mark is
the soft limit RLIMIT_LOCKS of the fork server: the kernel hands it on through fork, exec and setsid, shows it in
`/proc/PID/limits`, and has limited nothing by it since Linux 2.4.25 (getrlimit(2)).

Refused: the environment (reading it waits for a lock of that process), process groups and sessions (a descendant leaves
them), a list of descendants (who is born after the last look is missing from it).
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


def mark_of_run(run: str) -> int:
    """The mark of a run: its fork servers bear it, and all who descend from them."""
    return int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big") % (1 << _MARK_BITS)


def set_mark(mark: int) -> None:
    """Be marked, and hand it on. Where the limit may not be so high there is no mark: then nobody is taken for ours."""
    with suppress(ValueError, OSError):
        _soft, hard = resource.getrlimit(RLIMIT_LOCKS)
        resource.setrlimit(RLIMIT_LOCKS, (mark, hard))


def has_mark(pid: int, mark: int) -> bool:
    """Whether this process is marked so. *Source:* proc_pid_limits(5)."""
    try:
        with open(f"/proc/{pid}/limits", "rb") as file:
            text = file.read(LIMITS_BYTES_MAX)
    except OSError:
        return False
    return any(line.removeprefix(_LINE).split()[:1] == [b"%d" % mark] for line in text.splitlines() if line.startswith(_LINE))
