"""What each unit moved in its own network: one reading of each network namespace a tick, however many units share it.

A namespace is read through a process of the unit, by paths: a descriptor that stayed open would keep the namespace after its last
process. The process is held by a pidfd, which keeps nothing but tells whether the number still is that process's.

Which namespace a process is in is known by the inode of `net/dev`, of which each namespace has one of its own, and everybody may
look at it. The link `ns/net` would need CAP_SYS_PTRACE for a process with more capabilities than the agent, such as a container's.
"""

import os
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from errno import EACCES, EPERM, ESRCH
from typing import Any

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from agent.model.rule import UnitKind
from agent.model.timebase import S
from agent.ports import KernelTree
from workers.host.network import NET_DEV_BYTES_MAX
from workers.host.tcp import SNMP_BYTES_MAX, SOCKSTAT_BYTES_MAX
from workers.unit.network_reading import UNKNOWN, Counters, grown, parse_namespace, parse_retransmits, parse_sockets
from workers.unit.part import QuietPart
from workers.unit.tracked_unit import NETWORK_COLUMNS_COUNT, Instant, TrackedUnit

# Sockets and retransmits are three further files, which take longer than the first one: they are read at this interval.
SLOW_NS = 10 * S
# Of the processes of a unit so many are tried, the first ones: a process that is just ending has no network any more.
PROCESSES_TRIED_MAX = 8
PROCS_BYTES_MAX = 4096
# Of a unit without a process of its own so many cgroups are looked at for one.
CGROUPS_SEARCHED_MAX = 32
# Without a process a unit is looked at again at this interval, where it has something to tell.
RETRY_NS = 5 * S
# Most services use the host's network for as long as they run.
HOST_RETRY_NS = 30 * S
_REASON = "network"
_NOTHING: list[int | None] = [None] * NETWORK_COLUMNS_COUNT


class HeldProcess(Struct):
    """A process that a namespace is read through; `pidfd` is -1 where the kernel has none (before Linux 5.3)."""

    pid: int
    pidfd: int


class ProcessNetworks:
    """The files of network namespaces below a proc root, by the numbers of processes."""

    def __init__(self, proc: KernelTree, proc_root: str) -> None:
        self._proc = proc
        self._root = proc_root

    def namespace(self, pid: int) -> int | Absence:
        """What tells the namespace that a process is in now from all others that live; looking at it keeps nothing.

        *Source:* linux/fs/proc/generic.c, proc_alloc_inum: one number space for the whole kernel.
        """
        try:
            return os.stat(f"{self._root}/{pid}/net/dev").st_ino
        except OSError as refused:
            return Absence.NO_PERMISSION if refused.errno in (EACCES, EPERM) else Absence.VANISHED

    def hold(self, pid: int) -> HeldProcess:
        """A process by its number. *Raises:* OSError: it has ended."""
        try:
            return HeldProcess(pid, os.pidfd_open(pid))
        except OSError as refused:
            if refused.errno == ESRCH:
                raise
            # An old kernel, or no descriptor left: the number alone has to do.
            return HeldProcess(pid, -1)

    def is_alive(self, process: HeldProcess) -> bool:
        """Whether the number still is that of this process, so that what was read was its."""
        if process.pidfd < 0:
            return True
        try:
            signal.pidfd_send_signal(process.pidfd, 0)
        except PermissionError:
            return True
        except OSError:
            return False
        return True

    def release(self, process: HeldProcess) -> None:
        """Hold it no longer."""
        if process.pidfd >= 0:
            with suppress(OSError):
                os.close(process.pidfd)
            process.pidfd = -1

    def read(self, pid: int, name: str, bytes_max: int) -> bytes:
        """A file of its network. *Raises:* OSError."""
        return self._proc.read(f"{pid}/net/{name}", bytes_max)


class _Slow(Struct):
    at_ns: int
    retransmits: int | None = None
    sockets: int | None = None


class _Namespace(Struct):
    """What was read of one namespace at one tick; None: it could not be read."""

    counters: Counters | None
    slow: _Slow | None


class _Followed:
    """A unit: the process that its network is read through, and what its last row had."""

    def __init__(self) -> None:
        self.process: HeldProcess | None = None
        self.namespace: int | None = None
        self.told: Counters | None = None
        self.retransmits_told: int | None = None
        self.retry_at_ns = 0
        self.reason: Absence | None = None


class UnitNetworks(QuietPart):
    """Fills the columns of the network. `list_processes` gives `cgroup.procs` of a unit. *Raises:* OSError."""

    def __init__(
        self, networks: ProcessNetworks, list_processes: Callable[[TrackedUnit], bytes], host_namespace: int | Absence
    ) -> None:
        self._networks = networks
        self._list_processes = list_processes
        self._host = host_namespace
        self._followed: dict[tuple[str, str | None], _Followed] = {}
        # Of this tick, by namespace; sockets and retransmits of the last ten seconds.
        self._read_at_ns = -1
        self._namespaces: dict[int, _Namespace] = {}
        self._slow: dict[int, _Slow] = {}
        self.reads = 0

    def begin(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`."""
        self._followed[unit.key] = _Followed()

    def end(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`. Nothing of its namespace is kept."""
        followed = self._followed.pop(unit.key, None)
        if followed is not None and followed.process is not None:
            self._networks.release(followed.process)

    def read(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`."""
        if at.now_ns != self._read_at_ns:
            self._read_at_ns = at.now_ns
            self._namespaces = {}
            self._slow = {number: slow for number, slow in self._slow.items() if at.now_ns - slow.at_ns < 2 * SLOW_NS}
        followed = self._followed.get(unit.key)
        if followed is None:
            return
        found = self._found(unit, followed, at)
        if isinstance(found, Absence):
            unit.network = list(_NOTHING)
            unit.absences[_REASON] = followed.reason = found
            followed.told = followed.retransmits_told = None
            return
        unit.network = self._columns(followed, found)
        if followed.told is None:
            unit.absences[_REASON] = Absence.FIRST_TICK
        else:
            unit.absences.pop(_REASON, None)
        followed.told = found.counters
        if found.slow is not None:
            followed.retransmits_told = found.slow.retransmits

    def stats(self) -> dict[str, Any]:
        """Namespaces of the last tick, and readings so far."""
        return {"network_namespaces": len(self._namespaces), "network_reads": self.reads}

    def close(self) -> None:
        """Hold no process any more."""
        for followed in self._followed.values():
            if followed.process is not None:
                self._networks.release(followed.process)
        self._followed = {}

    def _columns(self, followed: _Followed, found: _Namespace) -> list[int | None]:
        assert found.counters is not None
        counters = UNKNOWN if followed.told is None else grown(followed.told, found.counters)
        if found.slow is None:
            return [*counters, None, None]
        before, now = followed.retransmits_told, found.slow.retransmits
        return [*counters, None if before is None or now is None or now < before else now - before, found.slow.sockets]

    def _found(self, unit: TrackedUnit, followed: _Followed, at: Instant) -> _Namespace | Absence:
        """What its namespace has now, through the process of the last time or through another one."""
        if followed.process is not None:
            found = self._through(followed, followed.process, at)
            if found is not None:
                return found
            self._networks.release(followed.process)
            followed.process = None
        if at.now_ns < followed.retry_at_ns and followed.reason is not None:
            return followed.reason
        followed.retry_at_ns = at.now_ns + RETRY_NS
        try:
            pids = [int(word) for word in self._list_processes(unit).split()[:PROCESSES_TRIED_MAX] if word.isdigit()]
        except OSError:
            return Absence.VANISHED
        return self._through_any(followed, pids, at)

    def _through_any(self, followed: _Followed, pids: list[int], at: Instant) -> _Namespace | Absence:
        for pid in pids:
            try:
                process = self._networks.hold(pid)
            except OSError:
                continue
            found = self._through(followed, process, at)
            if found is Absence.HOST_NETWORK:
                followed.retry_at_ns = at.now_ns + HOST_RETRY_NS
                self._networks.release(process)
                return found
            if found is not None:
                followed.process = process
                return found
            self._networks.release(process)
        return Absence.NO_PROCESS

    def _through(self, followed: _Followed, process: HeldProcess, at: Instant) -> _Namespace | Absence | None:
        """*Absent:* the process has ended, or has no network any more."""
        number = self._networks.namespace(process.pid)
        if isinstance(number, Absence):
            return number if number is Absence.NO_PERMISSION and self._networks.is_alive(process) else None
        if number == self._host:
            return Absence.HOST_NETWORK if self._networks.is_alive(process) else None
        if isinstance(self._host, Absence):
            return self._host
        found = self._namespaces.get(number) or self._read_namespace(number, process, at)
        if found is None:
            return None
        if number != followed.namespace:
            # Another network, whose counters have nothing to do with those of before.
            followed.namespace, followed.told, followed.retransmits_told = number, None, None
        return found

    def _read_namespace(self, number: int, process: HeldProcess, at: Instant) -> _Namespace | None:
        self.reads += 1
        try:
            counters = parse_namespace(self._networks.read(process.pid, "dev", NET_DEV_BYTES_MAX))
            slow = self._slow_of(number, process.pid, at)
        except (OSError, KernelFormatError):
            return None
        # Read by number: only of a process that was alive all the time, and has not gone elsewhere, it was this namespace.
        if not self._networks.is_alive(process) or self._networks.namespace(process.pid) != number:
            return None
        found = self._namespaces[number] = _Namespace(counters, slow)
        return found

    def _slow_of(self, number: int, pid: int, at: Instant) -> _Slow | None:
        """At this tick; at others nothing is known of them."""
        last = self._slow.get(number)
        # Those that began together are read at different ticks.
        if last is not None and at.now_ns - last.at_ns < SLOW_NS - number % 4 * S // 2:
            return None
        found = self._slow[number] = _Slow(at.now_ns)
        with suppress(KernelFormatError, OSError):
            found.retransmits = parse_retransmits(self._networks.read(pid, "snmp", SNMP_BYTES_MAX))
        with suppress(KernelFormatError, OSError):
            found.sockets = parse_sockets(self._networks.read(pid, "sockstat", SOCKSTAT_BYTES_MAX), self._sockstat6(pid))
        return found

    def _sockstat6(self, pid: int) -> bytes | None:
        try:
            return self._networks.read(pid, "sockstat6", SOCKSTAT_BYTES_MAX)
        except OSError:
            return None


def processes_of(tree: KernelTree, unit: TrackedUnit) -> bytes:
    """`cgroup.procs` of a unit below the cgroup root, or of the first cgroup below it that has processes: of a pod's containers,
    of a service that divides itself. Nothing for a slice. *Raises:* OSError: it is gone."""
    home = f"{unit.home}{unit.path}".lstrip("/")
    found = tree.read(f"{home}/cgroup.procs", PROCS_BYTES_MAX)
    if unit.kind is UnitKind.SLICE:
        return found
    pending = deque([f"{container.home}{container.path}".lstrip("/") for container in unit.containers.values()] or [home])
    for _ in range(CGROUPS_SEARCHED_MAX):
        if found or not pending:
            break
        below = pending.popleft()
        # It may have gone meanwhile.
        with suppress(OSError):
            found = tree.read(f"{below}/cgroup.procs", PROCS_BYTES_MAX)
            if not found:
                pending += [f"{below}/{name}" for name in tree.list_directories(below)]
    return found
