"""The program that holds the port that the gateway wants, as far as this user can see it. *Source:* proc(5)."""

import os
from collections.abc import Iterator
from itertools import islice

from agent.kernel_file import read_text
from agent.model.foreign import readable
from workers.gateway.listener import Listener, listener_in_place_of

# Listening sockets come first in the kernel's tables, whatever else is connected; a line has 150 bytes.
TABLE_BYTES_MAX = 256 << 10
# A maximum over all processes, some 50 ms of work; the worker's next heartbeat waits for it.
DESCRIPTORS_MAX = 20_000
PROCESSES_MAX = 4_096
COMM_BYTES_MAX = 64


class HolderSearch:
    """Called repeatedly while the port is taken; searches the processes again only when another socket holds the port."""

    def __init__(self, proc_root: str) -> None:
        self._proc_root = proc_root
        self._listener: Listener | None = None
        self._description = ""

    def description(self, address: str, port: int) -> str:
        """`nginx (process 812)`, `a program of user 33 (`ss -ltnp` names it)`, or `another program` where nothing more can be seen.

        A worker has not the rights of root, and may not look at the descriptors of a process that has more rights than itself.
        """
        listener = self._find_listener(address, port)
        if listener is None:
            return "another program"
        if listener != self._listener:
            self._listener = listener
            self._description = self._find_process(listener) or f"a program of user {listener.user} (`ss -ltnp` names it)"
        return self._description

    def _find_listener(self, address: str, port: int) -> Listener | None:
        tables = []
        for name in ("tcp", "tcp6"):
            try:
                tables.append(read_text(f"{self._proc_root}/self/net/{name}", TABLE_BYTES_MAX))
            except OSError:
                # No IPv6 here, or no /proc: the sentence then names no program.
                continue
        return listener_in_place_of(address, port, *tables)

    def _find_process(self, listener: Listener) -> str:
        wanted = f"socket:[{listener.inode}]"
        for pid, descriptor in islice(_descriptors(self._proc_root), DESCRIPTORS_MAX):
            try:
                if os.readlink(f"{self._proc_root}/{pid}/fd/{descriptor}") == wanted:
                    name = read_text(f"{self._proc_root}/{pid}/comm", COMM_BYTES_MAX).removesuffix("\n")
                    return f"{readable(name)} (process {pid})"
            except OSError:
                continue
        return ""


def _descriptors(proc_root: str) -> Iterator[tuple[int, str]]:
    """Processes with their descriptors, the lowest pid first: a program that listens is mostly a service, which starts early."""
    try:
        pids = sorted(int(name) for name in os.listdir(proc_root) if name.isdecimal())
    except OSError:
        return
    for pid in pids[:PROCESSES_MAX]:
        try:
            names = os.listdir(f"{proc_root}/{pid}/fd")
        except OSError:
            # It has ended, or belongs to a user whose descriptors this one may not see.
            continue
        for name in names:
            yield pid, name
