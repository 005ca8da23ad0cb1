"""One tick of the host itself as `agentctl top` shows it: rows of the tables `host`, `host_disk` and `host_network`. PURE.

Every field has the name of its column, and the unit that the column has. Counts, bytes and times (`_ns`) without another word are
those since the tick before. *Absent:* None where the row has no value, or an earlier version has no such column.
"""

from msgspec import Struct

from agent.cli.row_struct import struct_of
from agent.cli.top_sample import Named
from agent.model.timebase import S


class HostSample(Struct, frozen=True):
    """A row of table `host`."""

    timestamp: int | None = None
    boot_timestamp: int | None = None
    ticks_per_second: int | None = None
    elapsed_ns: int | None = None
    cores: int | None = None
    cpu_ns: int | None = None
    cpu_user_ns: int | None = None
    cpu_nice_ns: int | None = None
    cpu_system_ns: int | None = None
    cpu_idle_ns: int | None = None
    cpu_iowait_ns: int | None = None
    cpu_irq_ns: int | None = None
    cpu_softirq_ns: int | None = None
    cpu_steal_ns: int | None = None
    load_1: float | None = None
    load_5: float | None = None
    load_15: float | None = None
    running: int | None = None
    blocked: int | None = None
    threads: int | None = None
    processes_started: int | None = None
    context_switches: int | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_dirty_bytes: int | None = None
    memory_writeback_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    pressure_cpu_some_ns: int | None = None
    pressure_memory_some_ns: int | None = None
    pressure_memory_full_ns: int | None = None
    pressure_io_some_ns: int | None = None
    pressure_io_full_ns: int | None = None
    major_faults: int | None = None
    swapped_in_bytes: int | None = None
    swapped_out_bytes: int | None = None
    reclaimed_bytes: int | None = None
    scanned_pages: int | None = None
    oom_kills: int | None = None
    tcp_retransmits: int | None = None

    def per_second(self, amount: int | None) -> float | None:
        """An amount since the last tick as a rate. *Absent:* where the amount or the time is."""
        return None if amount is None or not self.elapsed_ns else amount * S / self.elapsed_ns

    def share_of_time(self, time_ns: int | None) -> float | None:
        """A time since the last tick as a part of it, 0..1. *Absent:* where either is."""
        return None if time_ns is None or not self.elapsed_ns else min(1.0, max(0.0, time_ns / self.elapsed_ns))

    def share_of_cpu(self, *modes_ns: int | None) -> float | None:
        """The part of the time of all cores that was spent in some modes, 0..1. *Absent:* where all of them are."""
        known = [mode_ns for mode_ns in modes_ns if mode_ns is not None]
        every = (
            self.cpu_user_ns,
            self.cpu_nice_ns,
            self.cpu_system_ns,
            self.cpu_idle_ns,
            self.cpu_iowait_ns,
            self.cpu_irq_ns,
            self.cpu_softirq_ns,
            self.cpu_steal_ns,
        )
        whole = sum(mode_ns for mode_ns in every if mode_ns is not None)
        return sum(known) / whole if known and whole > 0 else None

    @property
    def busy_cores(self) -> float | None:
        """How many cores were busy on average: the root group's CPU time, which is exact, else the time of the busy modes."""
        if self.cpu_ns is not None and self.elapsed_ns:
            return self.cpu_ns / self.elapsed_ns
        busy = self.share_of_cpu(
            self.cpu_user_ns, self.cpu_nice_ns, self.cpu_system_ns, self.cpu_irq_ns, self.cpu_softirq_ns, self.cpu_steal_ns
        )
        return None if busy is None or self.cores is None else busy * self.cores


class DiskSample(Struct, frozen=True):
    """A row of table `host_disk`: a block device. `utilisation` is the part of the time in which it had a request, 0..1."""

    device: str
    reads: int | None = None
    writes: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    utilisation: float | None = None
    queue: float | None = None
    read_latency_ns: int | None = None
    write_latency_ns: int | None = None
    in_flight: int | None = None


class NetworkSample(Struct, frozen=True):
    """A row of table `host_network`: an interface. `utilisation` is the part of its speed that the busier direction used, 0..1."""

    interface: str
    received_bytes: int | None = None
    sent_bytes: int | None = None
    received_packets: int | None = None
    sent_packets: int | None = None
    received_errors: int | None = None
    sent_errors: int | None = None
    received_drops: int | None = None
    sent_drops: int | None = None
    speed_bits_per_second: int | None = None
    utilisation: float | None = None
    is_up: bool | int | None = None


def host_of(row: Named) -> HostSample:
    """A row of table `host`."""
    return struct_of(HostSample, row)


def disk_of(row: Named) -> DiskSample:
    """A row of table `host_disk`."""
    return struct_of(DiskSample, row)


def network_of(row: Named) -> NetworkSample:
    """A row of table `host_network`."""
    return struct_of(NetworkSample, row)
