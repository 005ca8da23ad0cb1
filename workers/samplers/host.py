"""The host itself, once a tick: CPU, load, memory, pressure, disks and network interfaces, from files that are kept open."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from agent.config import CGROUP_ROOT, PROC_ROOT, Config
from agent.model.absence import Absence
from agent.model.table import Row
from agent.model.timebase import MS
from agent.model.worker_kind import Statistic
from agent.ports import KernelTree
from workers.framework.sampler import NoRules, Sample, Sampler, SamplerContext, UnreadableError, enabled_setting, interval_setting
from workers.host.disk import DISKSTATS_BYTES_MAX, Disks, parse_diskstats
from workers.host.files import KeptFiles
from workers.host.interval import HostInterval
from workers.host.network import NET_DEV_BYTES_MAX, Interfaces, network_rows, parse_net_dev
from workers.host.root_cpu import RootCpu
from workers.host.schema import HOST, HOST_DISK, HOST_NETWORK
from workers.host.source import Given, HostCounters, sources
from workers.host.tcp import SOCKSTAT_BYTES_MAX, parse_sockstat

# The boot is the difference of two clocks that are read one after the other. A new one is taken when they have moved apart by
# more than this: the wall clock was set, or has drifted.
BOOT_STEP_NS = 10 * MS


class HostTrees(Struct, frozen=True):
    """Where the probe reads: the proc file system, all files, and the folder in the proc root with the network."""

    proc: KernelTree
    root: KernelTree
    network: str = "self/net"


class HostProbe(NoRules):
    """Reads a dozen files. `boot_at_wall_ns` gives the boot as unix time by the clock of now."""

    def __init__(self, trees: HostTrees, config: Config, *, boot_at_wall_ns: Callable[[], int]) -> None:
        ticks_per_second = os.sysconf("SC_CLK_TCK")
        self._network = trees.network
        self._boot = boot_at_wall_ns
        self._boot_at_wall_ns: int | None = None
        self._files = KeptFiles(trees.proc)
        self._root_cpu = RootCpu(trees.root, trees.proc, config.of(CGROUP_ROOT))
        self._sources = sources(ticks_per_second, os.sysconf("SC_PAGE_SIZE"))
        self._counters = HostCounters(ticks_per_second, self._sources)
        self._disks = Disks()
        self._interfaces = Interfaces()
        self._last_at_ns: int | None = None

    def check(self) -> None:
        """See `workers.framework.sampler.Probe`: without `/proc/stat` there is no proc file system."""
        source = self._sources[0]
        if isinstance(self._files.parsed(source.path, source.bytes_max, source.parse), Absence):
            raise UnreadableError("/proc/stat", f"cannot be read: {self._files.reasons[source.path].value}", "mount /proc")

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One tick: rows of `host`, `host_disk` and `host_network`, see `workers.framework.sampler.Probe`."""
        self.check()
        interval = HostInterval(wall_ns, None if self._last_at_ns is None else max(1, now_ns - self._last_at_ns))
        self._last_at_ns = now_ns
        return (
            (HOST, [self._host_row(interval)]),
            (HOST_DISK, self._disk_rows(interval)),
            (HOST_NETWORK, self._network_rows(interval)),
        )

    def stats(self) -> dict[str, Any]:
        """Files that are kept open, the file that `cpu_ns` comes from, and why others cannot be read."""
        return {
            "files": self._files.kept,
            "cpu_source": self._root_cpu.source,
            "files_absent": {path: reason.value for path, reason in sorted(self._files.reasons.items())},
        }

    def close(self) -> None:
        """Close every descriptor."""
        self._files.close()
        self._root_cpu.close()

    def _host_row(self, interval: HostInterval) -> Row:
        # The CPU first: the process sampler, which starts at the same moment, is compared with it.
        cpu = self._root_cpu.read()
        readings = {
            source.path: self._files.parsed(self._path(source.path), source.bytes_max, source.parse) for source in self._sources
        }
        given = Given(self._follow_boot(), cpu, self._root_cpu.source, self._sockets_tcp())
        return self._counters.row(readings, given, interval)

    def _path(self, path: str) -> str:
        return f"{self._network}/{path.removeprefix('net/')}" if path.startswith("net/") else path

    def _follow_boot(self) -> int:
        now = self._boot()
        if self._boot_at_wall_ns is None or abs(now - self._boot_at_wall_ns) > BOOT_STEP_NS:
            self._boot_at_wall_ns = now
        return self._boot_at_wall_ns

    def _sockets_tcp(self) -> int | Absence:
        counts = [
            self._files.parsed(f"{self._network}/{name}", SOCKSTAT_BYTES_MAX, partial(parse_sockstat, protocol=word))
            for name, word in (("sockstat", b"TCP"), ("sockstat6", b"TCP6"))
        ]
        first, second = counts
        # Without IPv6 there is no second file.
        return first if isinstance(first, Absence) else first + (0 if isinstance(second, Absence) else second)

    def _disk_rows(self, interval: HostInterval) -> list[Row]:
        devices = self._files.parsed("diskstats", DISKSTATS_BYTES_MAX, parse_diskstats)
        return [] if isinstance(devices, Absence) else self._disks.rows(devices, interval)

    def _network_rows(self, interval: HostInterval) -> list[Row]:
        interfaces = self._files.parsed(f"{self._network}/dev", NET_DEV_BYTES_MAX, parse_net_dev)
        if isinstance(interfaces, Absence):
            return []
        return network_rows(self._interfaces.increases(interfaces), {}, interval)


def _boot_at_wall_ns() -> int:
    """The boot as unix time. CLOCK_BOOTTIME counts suspended time too, as the starts of processes do."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _open(around: SamplerContext) -> HostProbe:
    trees = HostTrees(around.tree(around.config.of(PROC_ROOT)), around.tree("/"))
    return HostProbe(trees, around.config, boot_at_wall_ns=_boot_at_wall_ns)


SAMPLER = Sampler(
    name="host",
    about="the host itself: CPU, load, memory, swap, pressure, disks and network interfaces",
    tables=(HOST, HOST_DISK, HOST_NETWORK),
    files=(
        "/proc/{stat,loadavg,meminfo,vmstat,diskstats,pressure/*,self/net/*}",
        "/sys/fs/cgroup/cpuacct/cpuacct.usage or /sys/fs/cgroup/cpu.stat",
    ),
    is_enabled=enabled_setting("host"),
    interval=interval_setting("host"),
    further_settings=(),
    statistics=(Statistic("evergauge_sampler_host_files", "gauge", "Kernel files kept open.", ("files",)),),
    open=_open,
)
