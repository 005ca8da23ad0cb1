"""What this user may read of other users' processes. A process that answers nothing keeps nobody waiting for it.

Reading `smaps_rollup` takes the memory lock of the process, and may never return. Whether one may is decided when the file is
opened, so it is only opened. That, and reading `io`, still waits for an exec that does not end: both are done aside.
"""

import os

from agent.model.errors import KernelFormatError
from agent.model.proc_stat import STAT_BYTES_MAX, parse_stat
from agent.side_reader import SideReader, Unanswered

# So many processes of other users are looked at, among so many processes at all.
OTHERS_MAX, PROCESSES_MAX = 16, 4_096
_ONLY_OPENED = "smaps_rollup"


def folders_of_others(proc_root: str, pids: list[str], ours: int) -> list[str]:
    """The folders of some processes that are not ours, newest first.

    Left out are process 1, which a container may guard more than others, and kernel threads, which have no memory map:
    neither tells of permission.
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
    """Whether the file of this name can be read in one of the folders, None where no folder tells it."""
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
    """By its own line; one that cannot be read is that of a hidden process, and no kernel thread is hidden alone."""
    try:
        descriptor = os.open(os.path.join(folder, "stat"), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return parse_stat(os.read(descriptor, STAT_BYTES_MAX)).is_kernel_thread
        finally:
            os.close(descriptor)
    except (OSError, KernelFormatError):
        return False
