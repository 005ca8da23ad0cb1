"""A host on which nothing is wrong, as a sample of top; a test changes what its story is about."""

from collections.abc import Iterable
from typing import Any

from agent.cli.top_sample import Ended, HostRows, Named, NamedProcess, Sample, ScanAccount, Tail
from agent.model.timebase import S

GIB = 1 << 30
MIB = 1 << 20
AT_NS = 1_700_000_000 * S
CORES = 4


def host_row(**changed: Any) -> Named:
    """A row of table `host`: a quarter of four cores busy, two thirds of 16 GiB available, no wait to speak of."""
    row: Named = {
        "timestamp": AT_NS,
        "elapsed_ns": S,
        "cores": CORES,
        "cpu_ns": S,
        "cpu_user_ns": 800_000_000,
        "cpu_nice_ns": 0,
        "cpu_system_ns": 200_000_000,
        "cpu_idle_ns": 2_980_000_000,
        "cpu_iowait_ns": 20_000_000,
        "cpu_irq_ns": 0,
        "cpu_softirq_ns": 0,
        "cpu_steal_ns": 0,
        "load_1": 1.1,
        "load_5": 0.9,
        "load_15": 0.8,
        "running": 2,
        "blocked": 0,
        "processes_started": 12,
        "memory_total_bytes": 16 * GIB,
        "memory_available_bytes": 10 * GIB,
        "memory_dirty_bytes": MIB,
        "swap_total_bytes": 0,
        "swap_free_bytes": 0,
        "pressure_cpu_some_ns": 30_000_000,
        "pressure_memory_some_ns": 0,
        "pressure_memory_full_ns": 0,
        "pressure_io_some_ns": 10_000_000,
        "pressure_io_full_ns": 5_000_000,
        "swapped_in_bytes": 0,
        "swapped_out_bytes": 0,
        "oom_kills": 0,
        "tcp_retransmits": 0,
    }
    return row | changed


def disk_row(**changed: Any) -> Named:
    """A row of table `host_disk`: a database's disk by day."""
    row: Named = {
        "device": "vda",
        "reads": 40,
        "writes": 60,
        "read_bytes": MIB,
        "write_bytes": 3 * MIB,
        "utilisation": 0.12,
        "queue": 0.2,
        "read_latency_ns": 400_000,
        "write_latency_ns": 900_000,
    }
    return row | changed


def network_row(**changed: Any) -> Named:
    """A row of table `host_network`: a gigabit interface at five percent."""
    row: Named = {
        "interface": "eth0",
        "received_bytes": 6 * MIB,
        "sent_bytes": 2 * MIB,
        "received_packets": 6_000,
        "sent_packets": 4_000,
        "received_errors": 0,
        "sent_errors": 0,
        "received_drops": 1,
        "sent_drops": 0,
        "speed_bits_per_second": 10**9,
        "utilisation": 0.05,
        "is_up": True,
    }
    return row | changed


def process(pid: int, name: str = "postgres", *, cpu: float | None = 0.1, rss: int | None = 200 * MIB, **more: Any) -> NamedProcess:
    """A named process of no pod."""
    fields = {"state": "S", "threads": 1, "pod_uid": None, "comm": name, "start_ticks": pid * 10, **more}
    return NamedProcess(pid=pid, command=name, name=name, uid=0, cpu_share=cpu, rss_bytes=rss, **fields)


def ended(command: str, deaths: int = 1, *, pod_uid: str | None = None, **more: Any) -> Ended:
    """Processes that ended within the tick."""
    return Ended(command, pod_uid, deaths, more.pop("unseen", 0), more.pop("cpu_share", 0.0), **more)


def account(**changed: Any) -> ScanAccount:
    """The account of a tick of a second in which all is well."""
    fields: dict[str, Any] = {
        "processes": 220,
        "threads": 480,
        "started": 4,
        "deaths": 4,
        "cpu_share": 1.0,
        "cpu_dead_share": 0.01,
        "cpu_capture": 0.97,
        "rss_capture": 0.96,
        "io_capture": 1.0,
        "exit_source": "taskstats",
        "exit_records_lost": 0,
        "elapsed_ns": S,
    }
    return ScanAccount(**(fields | changed))


CALM_PROCESSES = (
    process(1, "systemd", cpu=0.0, rss=12 * MIB),
    process(310, "postgres", cpu=0.55, rss=3 * GIB, threads=1, write_bytes_per_second=2.5 * MIB, sent_bytes_per_second=float(MIB)),
    process(322, "java", cpu=0.25, rss=2 * GIB, threads=180),
    process(450, "nginx", cpu=0.1, rss=40 * MIB),
)


def sample(
    *processes: NamedProcess,
    host: Named | None = None,
    disks: Iterable[Named] | None = None,
    networks: Iterable[Named] | None = None,
    tail: tuple[Tail, ...] = (Tail(None, 216, 0.05, GIB),),
    ended: tuple[Ended, ...] = (),
    scan: ScanAccount | None = None,
    at_wall_ns: int = AT_NS,
) -> Sample:
    """The calm host with these processes too, and with rows of its own in place of the usual ones."""
    row = host_row() if host is None else host
    machine = HostRows(
        row | {"timestamp": at_wall_ns},
        tuple([disk_row()] if disks is None else disks),
        tuple([network_row(interface="lo", utilisation=None), network_row()] if networks is None else networks),
    )
    return Sample(at_wall_ns, "node-1", (*CALM_PROCESSES, *processes), tail, 0, ended, scan or account(), machine)
