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
from agent.model.timebase import MS, US
from agent.model.worker_kind import Statistic
from agent.ports import KernelTree
from agent.side_reader import SideReader
from workers.framework.sampler import NoRules, Sample, Sampler, SamplerContext, UnreadableError, enabled_setting, interval_setting
from workers.host.cpu import Values
from workers.host.disk import DISKSTATS_BYTES_MAX, Disks, parse_diskstats
from workers.host.files import KeptFiles
from workers.host.interval import HostInterval
from workers.host.links import LINK_BYTES_MAX, LinkReader
from workers.host.links import ROOT as LINKS_ROOT
from workers.host.network import NET_DEV_BYTES_MAX, Interfaces, named_interfaces, network_rows
from workers.host.root_cpu import RootCpu
from workers.host.schema import HOST, HOST_DISK, HOST_NETWORK
from workers.host.source import Given, HostCounters, sources
from workers.host.tcp import SOCKSTAT_BYTES_MAX, parse_sockstat

# The boot is the difference of two clocks that are read one after the other. A new one is taken when they have moved apart by
# more than this: the wall clock was set, or has drifted.
BOOT_STEP_NS = 10 * MS
# They are read within this time, or again, so often at most.
BOOT_SPREAD_NS, BOOT_TRIES = 100 * US, 4


class HostTrees(Struct, frozen=True):
    """Where the probe reads: the proc file system, all files, and the folder in the proc root with the network.

    `links` reads below /sys/class/net; None: that folder shows another network.
    """

    proc: KernelTree
    root: KernelTree
    network: str = "self/net"
    links: LinkReader | None = None


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
        self._links = trees.links
        self._last_at_ns: int | None = None

    def check(self) -> None:
        """See `workers.framework.sampler.Probe`."""
        self._read_all()

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One tick: rows of `host`, `host_disk` and `host_network`, see `workers.framework.sampler.Probe`."""
        # The CPU first: the process sampler, which starts at the same moment, is compared with it.
        cpu = self._root_cpu.read()
        readings = self._read_all()
        interval = HostInterval(wall_ns, None if self._last_at_ns is None else max(1, now_ns - self._last_at_ns))
        self._last_at_ns = now_ns
        given = Given(self._follow_boot(), cpu, self._root_cpu.source, self._sockets_tcp())
        row = self._counters.row(readings, given, interval)
        return ((HOST, [row]), (HOST_DISK, self._disk_rows(interval)), (HOST_NETWORK, self._network_rows(interval, now_ns)))

    def stats(self) -> dict[str, Any]:
        """Files that are kept open, the file that `cpu_ns` comes from, and why others cannot be read."""
        return {
            "files": self._files.kept,
            "cpu_source": self._root_cpu.source,
            "readers_stuck": 0 if self._links is None else self._links.stuck,
            "files_absent": {path: reason.value for path, reason in sorted(self._files.reasons.items())},
        }

    def close(self) -> None:
        """Close every descriptor."""
        self._files.close()
        self._root_cpu.close()
        if self._links is not None:
            self._links.close()

    def _read_all(self) -> dict[str, Values | Absence]:
        """What every file has. With `subset=pid` most are missing; where all are, there is no proc file system."""
        readings = {
            source.path: self._files.parsed(self._path(source.path), source.bytes_max, source.parse) for source in self._sources
        }
        if all(isinstance(reading, Absence) for reading in readings.values()):
            problem = f"none of its files can be read: {readings['stat']}"
            raise UnreadableError("/proc", problem, "look at the mount and at kernel.proc_root")
        return readings

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

    def _network_rows(self, interval: HostInterval, now_ns: int) -> list[Row]:
        interfaces = self._files.parsed(f"{self._network}/dev", NET_DEV_BYTES_MAX, self._interfaces.parse)
        if isinstance(interfaces, Absence):
            return []
        increases = self._interfaces.increases(interfaces)
        named, others = named_interfaces(increases)
        links = {} if self._links is None else self._links.links(named, now_ns)
        return network_rows(increases, (named, others), links, interval)


def boot_at_wall_ns(read_boot_ns: Callable[[], int], read_wall_ns: Callable[[], int]) -> int:
    """The boot as unix time: one clock read between two readings of the other, again if this process was interrupted meanwhile."""
    pairs: list[tuple[int, int]] = []
    while len(pairs) < BOOT_TRIES and (not pairs or pairs[-1][0] > BOOT_SPREAD_NS):
        before_ns, wall_ns, after_ns = read_boot_ns(), read_wall_ns(), read_boot_ns()
        pairs.append((after_ns - before_ns, wall_ns - (before_ns + after_ns) // 2))
    return min(pairs)[1]


def _boot_at_wall_ns() -> int:
    """By CLOCK_BOOTTIME, which counts suspended time too, as the starts of processes do."""
    return boot_at_wall_ns(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns)


def network_folder(proc_root: str) -> tuple[str, bool]:
    """The folder below the proc root that shows the host's network, and whether it is also the agent's own.

    An agent in a container with the host's processes and a network of its own sees the host's in that of the first process.
    """
    try:
        is_own = os.path.samestat(os.stat(f"{proc_root}/1/ns/net"), os.stat(f"{proc_root}/self/ns/net"))
    except OSError:
        # Only a privileged agent may look. Its own network is what it is sure to see.
        is_own = True
    return ("self/net", True) if is_own else ("1/net", False)


def _open(around: SamplerContext) -> HostProbe:
    proc_root = around.config.of(PROC_ROOT)
    network, is_own = network_folder(proc_root)
    tree = around.tree(LINKS_ROOT)
    links = LinkReader(SideReader(lambda path: tree.read(path, LINK_BYTES_MAX), beat=around.heartbeat)) if is_own else None
    trees = HostTrees(around.tree(proc_root), around.tree("/"), network, links)
    return HostProbe(trees, around.config, boot_at_wall_ns=_boot_at_wall_ns)


SAMPLER = Sampler(
    name="host",
    about="the host itself: CPU, load, memory, swap, pressure, disks and network interfaces",
    tables=(HOST, HOST_DISK, HOST_NETWORK),
    files=(
        "/proc/{stat,loadavg,meminfo,vmstat,diskstats,pressure/*,self/net/*}",
        "/sys/class/net/INTERFACE/{speed,operstate}",
        "/sys/fs/cgroup/cpuacct/cpuacct.usage or /sys/fs/cgroup/cpu.stat",
    ),
    is_enabled=enabled_setting("host"),
    interval=interval_setting("host"),
    further_settings=(),
    statistics=(Statistic("evergauge_sampler_host_files", "gauge", "Kernel files kept open.", ("files",)),),
    open=_open,
    process="node",
)
