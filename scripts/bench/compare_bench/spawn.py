"""Starting a workload as the keeper does it, beside posix_spawn of the same program.

CPU time of both sides, the child's until it ends: on a busy machine the time of a start is mostly a wait for a processor. The
cgroup is of this machine's version 2 hierarchy.
"""

import os
import time
from pathlib import Path

from compare_bench.judgement import CannotMeasureError, median_ratio
from workers.keeper.birth import BirthOrder, give_birth

PROGRAM = "/bin/true"
PAIRS = 41
# Where version 2 alone is mounted, and beside version 1.
ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


def spawn_ratio() -> float:
    """One start in a cgroup that is made and removed for it, divided by a plain start. *Raises:* CannotMeasureError."""
    root = next((each for each in ROOTS if (each / "cgroup.procs").exists() and (each / "cgroup.controllers").exists()), None)
    if root is None or not os.access(root, os.W_OK):
        raise CannotMeasureError("needs a writable cgroup hierarchy of version 2; try it as root")
    output = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _plain()
        _born(root, output)
        return median_ratio([(_born(root, output), _plain()) for _ in range(PAIRS)])
    finally:
        os.close(output)


def _plain() -> float:
    began = time.thread_time()
    pid = os.posix_spawn(PROGRAM, [PROGRAM], {})
    return _used_by(pid) + time.thread_time() - began


def _used_by(pid: int) -> float:
    _pid, status, usage = os.wait4(pid, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime


def _born(root: Path, output: int) -> float:
    began = time.thread_time()
    path = root / f"evergauge-compare-{os.getpid()}"
    path.mkdir()
    cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        born = give_birth(BirthOrder((PROGRAM,), {}, "/", "", output, cgroup))
        os.write(born.gate, b"!")
        used = _used_by(born.pid)
        for descriptor in (born.pidfd, born.gate, born.said):
            os.close(descriptor)
    finally:
        os.close(cgroup)
        path.rmdir()
    return used + time.thread_time() - began
