"""What this user may read of other users' processes, without waiting for a process that never answers.

Reading `smaps_rollup` takes the memory lock of the process and may never return. The kernel decides on permission when the file is
opened, so it is only opened. Opening it, or reading `io`, still waits for an exec that does not end, so `SideReader` does both.
"""

import os

from agent.model.errors import KernelFormatError
from agent.model.proc_stat import STAT_BYTES_MAX
from agent.process_stat import read_stat
from agent.side_reader import SideReader, Unanswered

# At most OTHERS_MAX processes of other users are tried, among the newest PROCESSES_MAX processes.
OTHERS_MAX, PROCESSES_MAX = 16, 4_096
_ONLY_OPENED = "smaps_rollup"


def folders_of_others(proc_root: str, pids: list[str], ours: int) -> list[str]:
    """The folders of some processes of other users, newest first.

    Process 1, which a container may protect more than others, and kernel threads, which have no memory map, are left out: they
    would not show what permission this user has. *Range:* at most OTHERS_MAX.
    """
    found: list[str] = []
    for pid in sorted(pids, key=int, reverse=True)[:PROCESSES_MAX]:
        folder = os.path.join(proc_root, pid)
        try:
            if pid != "1" and os.stat(folder).st_uid != ours and not _is_kernel_thread(folder):
                found.append(folder)
        except OSError:
            continue
        if len(found) == OTHERS_MAX:
            break
    return found


def may_read_any(folders: list[str], name: str) -> bool | None:
    """Whether the file of this name can be read in any of the folders. *Absent:* None when no folder gave an answer."""
    reader: SideReader[bool] = SideReader(_may_read)
    answers = reader.read_all([(folder, os.path.join(folder, name)) for folder in folders]).values()
    reader.close()
    told = [answer is True for answer in answers if not isinstance(answer, Unanswered)]
    return any(told) if told else None


def _may_read(path: str) -> bool:
    """*Raises:* OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if os.path.basename(path) != _ONLY_OPENED:
            os.read(descriptor, STAT_BYTES_MAX)
        return True
    finally:
        os.close(descriptor)


def _is_kernel_thread(folder: str) -> bool:
    """What the process's `stat` says. One that cannot be read is a hidden process, and kernel threads are never hidden alone."""
    try:
        return read_stat(folder).is_kernel_thread
    except (OSError, KernelFormatError):
        return False
