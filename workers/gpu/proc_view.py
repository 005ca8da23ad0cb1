"""Processes that a driver names, looked up in /proc by a collector. Light: it imports no module of the agent but light ones."""

import os
import time
from typing import Any

from workers.gpu.limit import CGROUP_BYTES_MAX, PROCESSES_MAX

# The inode of the first namespace of processes. *Source:* linux/include/linux/proc_ns.h, PROC_PID_INIT_INO.
_FIRST_NAMESPACE = "pid:[4026531836]"
_LOOKED_UP_MAX = 8 * PROCESSES_MAX


class ProcView:
    """Drivers number processes as the host does. `sees_host`: this /proc numbers them so too; otherwise none can be attributed."""

    def __init__(self, root: str, *, sees_host: bool | None = None) -> None:
        self.root = root
        self.sees_host = _sees_host(root) if sees_host is None else sees_host
        # Where other users' processes are hidden, one that is not there may well exist.
        self._sees_all = self.sees_host and os.path.exists(f"{root}/1/stat")
        # What is known of a number, with the start of its process: the number may be given to another one.
        self._known: dict[int, tuple[bytes, dict[str, Any]]] = {}
        self._told: dict[int, dict[str, Any]] = {}

    def wall_us(self) -> int:
        """Unix time, as drivers stamp samples."""
        return time.time_ns() // 1000

    @property
    def exists(self) -> Any:
        """Whether there is a process of that number; None where that cannot be asked."""
        return (lambda pid: os.path.exists(f"{self.root}/{pid}")) if self._sees_all else None

    def look(self, pid: int) -> None:
        """Have it among those that are told."""
        if pid not in self._told and len(self._told) < _LOOKED_UP_MAX:
            self._told[pid] = self._identity(pid)

    def told(self) -> dict[str, dict[str, Any]]:
        """Those that were looked up since the last call, by number."""
        told, self._told = self._told, {}
        # What is not named any more is forgotten: the rest is bounded by what a driver names at once, for one more answer.
        self._known = {pid: known for pid, known in self._known.items() if pid in told}
        return {str(pid): identity for pid, identity in told.items()}

    def _identity(self, pid: int) -> dict[str, Any]:
        if not self.sees_host:
            return {"absent": "not_attributable"}
        try:
            start = self._read(pid, "stat").rpartition(b")")[2].split()[19]
            known = self._known.get(pid)
            # Its cgroup is read each time: processes are moved.
            cgroup = self._read(pid, "cgroup")[:CGROUP_BYTES_MAX].decode(errors="replace")
            if known is None or known[0] != start:
                comm = self._read(pid, "comm").rstrip(b"\n").decode(errors="replace")
                known = self._known[pid] = (start, {"pid": pid, "comm": comm})
            return {**known[1], "cgroup": cgroup}
        except (OSError, IndexError) as failure:
            # It ended; what it was, the last look knew.
            known = self._known.get(pid)
            is_hidden = isinstance(failure, PermissionError) or not self._sees_all
            return {**({} if known is None else known[1]), "absent": "no_permission" if is_hidden else "vanished"}

    def _read(self, pid: int, name: str) -> bytes:
        descriptor = os.open(f"{self.root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 4096)
        finally:
            os.close(descriptor)


def _sees_host(root: str) -> bool:
    """Whether a proc file system shows the host's processes: this process is in that namespace, or kernel threads are there."""
    try:
        if os.readlink(f"{root}/self/ns/pid") == _FIRST_NAMESPACE:
            return True
    except OSError:
        pass
    try:
        with open(f"{root}/2/comm", "rb") as comm:
            return comm.read(64) == b"kthreadd\n"
    except OSError:
        return False
