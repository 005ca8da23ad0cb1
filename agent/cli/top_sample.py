"""One moment of a host as `agentctl top` shows it: its processes, what ended, and the rows of the host nearest to it. PURE.

The parts of the process tables belong to one tick and are all of the host's CPU: named processes (`process`), all others
(`process_tail`), and what ended within the tick (`process_exit`). `process_scan` is the tick's own account of them.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from agent.cli.top_command import command_of, program_name
from agent.model.absence import Absence
from agent.model.table import Value

PROCESS_TABLE = "process"
TAIL_TABLE = "process_tail"
EXIT_TABLE = "process_exit"
SCAN_TABLE = "process_scan"
HOST_TABLE, DISK_TABLE, NETWORK_TABLE = "host", "host_disk", "host_network"
# All rows of a tick have the same time in these.
TICK_TABLES = (PROCESS_TABLE, TAIL_TABLE, EXIT_TABLE, SCAN_TABLE)
# The host's sampler has a clock of its own: its nearest tick counts.
HOST_TABLES = (HOST_TABLE, DISK_TABLE, NETWORK_TABLE)
# How far a tick of the host may be from that of the processes, in the longer of their intervals; the usual one where none is known.
NEAR_INTERVALS = 1.5
# What `absent` says of the command line of a kernel thread: it never has one.
_OF_KERNEL_THREAD = f"command_line:{Absence.KERNEL_THREAD.value}"
INTERVAL_NS_USUAL = 1_000_000_000
# What happened so long ago may still matter: a process that was killed for memory, memory that grew.
BEFORE_NS = 60_000_000_000

Named = dict[str, Value]
RowsByTable = Mapping[str, Sequence[Named]]


class NamedProcess(Struct, frozen=True):
    """A named process.

    *Units:* shares are of one core, rates per second, times unix nanoseconds. *Absent:* None is a value that is not known;
    `absent` says why. `started_wall_ns` needs a row of the host, which has the time of the boot.
    """

    pid: int
    command: str
    uid: int | None
    pod_uid: str | None
    state: str | None
    threads: int | None
    cpu_share: float | None
    rss_bytes: int | None
    name: str = ""
    command_line: str | None = None
    ppid: int | None = None
    start_ticks: int | None = None
    started_wall_ns: int | None = None
    cgroup: str | None = None
    unit_kind: str | None = None
    container: str | None = None
    user_share: float | None = None
    system_share: float | None = None
    pss_bytes: int | None = None
    read_bytes_per_second: float | None = None
    write_bytes_per_second: float | None = None
    sent_bytes_per_second: float | None = None
    received_bytes_per_second: float | None = None
    minor_faults_per_second: float | None = None
    major_faults_per_second: float | None = None
    switches_per_second: float | None = None
    chosen_for: str | None = None
    absent: str | None = None
    # As in the lines of the tail and of the dead, which have no other name.
    comm: str | None = None
    # No columns of the tables: `named_sample` looks them up.
    pod_name: str | None = None
    container_name: str | None = None


class Tail(Struct, frozen=True):
    """All processes of a unit (None: of no unit) and a command (None: of several) that are not named."""

    pod_uid: str | None
    processes: int
    cpu_share: float | None
    rss_bytes: int | None
    command: str | None = None
    commands: int | None = None
    threads: int | None = None
    read_bytes_per_second: float | None = None
    write_bytes_per_second: float | None = None
    cpu_largest_share: float | None = None
    rss_largest_bytes: int | None = None
    absent: str | None = None
    pod_name: str | None = None


class Ended(Struct, frozen=True):
    """Processes that ended within the tick: one (`deaths` 1, `pid` known), or all of a unit and a command."""

    command: str
    pod_uid: str | None
    deaths: int
    unseen: int
    cpu_share: float | None
    pid: int | None = None
    ppid: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    rss_max_bytes: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    lifetime_ns: int | None = None
    source: str | None = None
    absent: str | None = None
    pod_name: str | None = None


class ScanAccount(Struct, frozen=True):
    """The tick's own account: everything that there was, and how much of it the named processes hold (ratios, 0 to 1)."""

    processes: int
    threads: int | None = None
    started: int | None = None
    deaths: int | None = None
    cpu_share: float | None = None
    cpu_dead_share: float | None = None
    rss_bytes: int | None = None
    read_bytes_per_second: float | None = None
    write_bytes_per_second: float | None = None
    cpu_capture: float | None = None
    rss_capture: float | None = None
    io_capture: float | None = None
    exit_source: str | None = None
    exit_records_lost: int | None = None
    io_unreadable: int | None = None
    unreadable: int | None = None
    elapsed_ns: int | None = None
    absent: str | None = None


class HostRows(Struct, frozen=True):
    """One tick of the host: the row of `host` and those of its devices, by column name. None and empty where there are none."""

    host: Named | None = None
    disks: tuple[Named, ...] = ()
    networks: tuple[Named, ...] = ()


class Sample(Struct, frozen=True):
    """All processes of a host at one moment (unix time in nanoseconds), and the host itself.

    `bad_rows` counts the rows of the open spool that do not fit their table: what they say is not in the sample. `before` are the
    samples of the minute before in their order, which may lack processes and tail.
    *Absent:* data of an earlier build have no rows of the host, no `scan` and nothing that ended.
    """

    at_wall_ns: int
    host: str
    processes: tuple[NamedProcess, ...]
    tail: tuple[Tail, ...]
    bad_rows: int = 0
    ended: tuple[Ended, ...] = ()
    scan: ScanAccount | None = None
    machine: HostRows = HostRows()
    before: "tuple[Sample, ...]" = ()


def sample_of(at_wall_ns: int, host: str, rows: RowsByTable, bad_rows: int = 0) -> Sample:
    """A sample of rows by column name: those of the tick itself, of the host's ticks the nearest, and the minute before.

    Columns that are missing or of another type count as absent.
    """
    ticks, of_host = _by_stamp(rows, TICK_TABLES), _by_stamp(rows, HOST_TABLES)
    earlier = sorted(stamp for stamp in ticks or of_host if at_wall_ns - BEFORE_NS <= stamp < at_wall_ns)
    sample = tick_sample(at_wall_ns, host, ticks.get(at_wall_ns, {}), of_host)
    before = tuple(tick_sample(stamp, host, ticks.get(stamp, {}), of_host) for stamp in earlier)
    return replace(sample, bad_rows=bad_rows, before=before)


def tick_sample(at_wall_ns: int, host: str, tick: RowsByTable, of_host: Mapping[int, RowsByTable]) -> Sample:
    """A sample of the rows of one tick, with the nearest of the host's ticks, and without any before it."""
    scan_row = next(iter(tick.get(SCAN_TABLE, ())), None)
    processes = tick.get(PROCESS_TABLE, ())
    elapsed_ns = _elapsed_ns(scan_row, processes)
    machine = machine_near(at_wall_ns, elapsed_ns or INTERVAL_NS_USUAL, of_host)
    started = _start_of(machine.host)
    return Sample(
        at_wall_ns,
        host,
        tuple(_process(row, elapsed_ns, started) for row in processes),
        tuple(_tail(row, elapsed_ns) for row in tick.get(TAIL_TABLE, ())),
        ended=tuple(_ended(row) for row in tick.get(EXIT_TABLE, ())),
        scan=None if scan_row is None else _scan(scan_row, elapsed_ns),
        machine=machine,
    )


def elapsed_of(sample: Sample) -> int:
    """The time between a sample and the one before it; the usual one where it is not known."""
    return (sample.scan.elapsed_ns if sample.scan is not None else None) or INTERVAL_NS_USUAL


def _by_stamp(rows: RowsByTable, tables: Sequence[str]) -> dict[int, dict[str, list[Named]]]:
    """The rows of some tables by their time."""
    found: dict[int, dict[str, list[Named]]] = {}
    for table in tables:
        for row in rows.get(table, ()):
            if (at := _whole(row, "timestamp")) is not None:
                found.setdefault(at, {}).setdefault(table, []).append(row)
    return found


def machine_near(at_wall_ns: int, interval_ns: int, of_host: Mapping[int, RowsByTable]) -> HostRows:
    """The tick of the host that is nearest to a moment; nothing where none is near."""
    nearest = min(of_host, key=lambda at: abs(at - at_wall_ns), default=None)
    if nearest is None:
        return HostRows()
    tables = of_host[nearest]
    host = next(iter(tables.get(HOST_TABLE, ())), None)
    own_interval_ns = (_whole(host, "elapsed_ns") if host is not None else None) or INTERVAL_NS_USUAL
    if abs(nearest - at_wall_ns) > NEAR_INTERVALS * max(interval_ns, own_interval_ns):
        return HostRows()
    return HostRows(host, tuple(tables.get(DISK_TABLE, ())), tuple(tables.get(NETWORK_TABLE, ())))


def _elapsed_ns(scan: Named | None, processes: Sequence[Named]) -> int | None:
    """The time since the tick before: what the scan says, else what any process's CPU time is to its share."""
    if scan is not None:
        return _whole(scan, "elapsed_ns") or None
    for row in processes:
        cpu_ns, share = _whole(row, "cpu_ns"), _number(row, "cpu_share")
        if cpu_ns and share:
            return round(cpu_ns / share)
    return None


def _start_of(host: Named | None) -> Callable[[int | None], int | None]:
    """The start of a process as a time, of its ticks since boot."""
    boot_ns = _whole(host, "boot_timestamp") if host is not None else None
    per_second = _whole(host, "ticks_per_second") if host is not None else None

    def started(start_ticks: int | None) -> int | None:
        if start_ticks is None or boot_ns is None or not per_second:
            return None
        return boot_ns + start_ticks * 1_000_000_000 // per_second

    return started


def _process(row: Named, elapsed_ns: int | None, started: Callable[[int | None], int | None]) -> NamedProcess:
    comm, line, start_ticks = _text(row, "comm"), _text(row, "command_line"), _whole(row, "start_ticks")
    absent = _text(row, "absent")
    return NamedProcess(
        pid=_whole(row, "pid") or 0,
        command=command_of(comm, line, is_kernel_thread=_OF_KERNEL_THREAD in (absent or "")),
        uid=_whole(row, "uid"),
        pod_uid=_text(row, "pod_uid"),
        state=_text(row, "state"),
        threads=_whole(row, "threads"),
        cpu_share=_number(row, "cpu_share"),
        rss_bytes=_whole(row, "rss_bytes"),
        name=program_name(comm, line),
        command_line=line,
        ppid=_whole(row, "ppid"),
        start_ticks=start_ticks,
        started_wall_ns=started(start_ticks),
        cgroup=_text(row, "cgroup"),
        unit_kind=_text(row, "unit_kind"),
        container=_text(row, "container"),
        user_share=_part(row, "cpu_user_ns", elapsed_ns),
        system_share=_part(row, "cpu_system_ns", elapsed_ns),
        pss_bytes=_whole(row, "pss_bytes"),
        read_bytes_per_second=_rate(row, "read_bytes", elapsed_ns),
        write_bytes_per_second=_rate(row, "write_bytes", elapsed_ns),
        sent_bytes_per_second=_rate(row, "tcp_sent_bytes", elapsed_ns),
        received_bytes_per_second=_rate(row, "tcp_received_bytes", elapsed_ns),
        minor_faults_per_second=_rate(row, "minor_faults", elapsed_ns),
        major_faults_per_second=_rate(row, "major_faults", elapsed_ns),
        switches_per_second=_rate(row, "context_switches", elapsed_ns),
        chosen_for=_text(row, "chosen_for"),
        absent=absent,
        comm=comm,
    )


def _tail(row: Named, elapsed_ns: int | None) -> Tail:
    return Tail(
        pod_uid=_text(row, "pod_uid"),
        processes=_whole(row, "processes") or 0,
        cpu_share=_number(row, "cpu_share"),
        rss_bytes=_whole(row, "rss_bytes"),
        command=_text(row, "command"),
        commands=_whole(row, "commands"),
        threads=_whole(row, "threads"),
        read_bytes_per_second=_rate(row, "read_bytes", elapsed_ns),
        write_bytes_per_second=_rate(row, "write_bytes", elapsed_ns),
        cpu_largest_share=_part(row, "cpu_largest_ns", elapsed_ns),
        rss_largest_bytes=_whole(row, "rss_largest_bytes"),
        absent=_text(row, "absent"),
    )


def _ended(row: Named) -> Ended:
    return Ended(
        command=_text(row, "command") or "?",
        pod_uid=_text(row, "pod_uid"),
        deaths=_whole(row, "deaths") or 0,
        unseen=_whole(row, "unseen") or 0,
        cpu_share=_number(row, "cpu_share"),
        pid=_whole(row, "pid"),
        ppid=_whole(row, "ppid"),
        exit_code=_whole(row, "exit_code"),
        signal=_whole(row, "signal"),
        rss_max_bytes=_whole(row, "rss_max_bytes"),
        read_bytes=_whole(row, "read_bytes"),
        write_bytes=_whole(row, "write_bytes"),
        lifetime_ns=_whole(row, "lifetime_ns"),
        source=_text(row, "source"),
        absent=_text(row, "absent"),
    )


def _scan(row: Named, elapsed_ns: int | None) -> ScanAccount:
    return ScanAccount(
        processes=_whole(row, "processes") or 0,
        threads=_whole(row, "threads"),
        started=_whole(row, "started"),
        deaths=_whole(row, "deaths"),
        cpu_share=_number(row, "cpu_share"),
        cpu_dead_share=_part(row, "cpu_dead_ns", elapsed_ns),
        rss_bytes=_whole(row, "rss_bytes"),
        read_bytes_per_second=_rate(row, "read_bytes", elapsed_ns),
        write_bytes_per_second=_rate(row, "write_bytes", elapsed_ns),
        cpu_capture=_number(row, "cpu_capture"),
        rss_capture=_number(row, "rss_capture"),
        io_capture=_number(row, "io_capture"),
        exit_source=_text(row, "exit_source"),
        exit_records_lost=_whole(row, "exit_records_lost"),
        io_unreadable=_whole(row, "io_unreadable"),
        unreadable=_whole(row, "unreadable"),
        elapsed_ns=elapsed_ns,
        absent=_text(row, "absent"),
    )


def _text(row: Named, name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _whole(row: Named, name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) else None


def _number(row: Named, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None


def _rate(row: Named, name: str, elapsed_ns: int | None) -> float | None:
    """A number since the tick before, per second."""
    value = _number(row, name)
    return None if value is None or not elapsed_ns else value * 1e9 / elapsed_ns


def _part(row: Named, name: str, elapsed_ns: int | None) -> float | None:
    """A time since the tick before, as a part of it."""
    value = _number(row, name)
    return None if value is None or not elapsed_ns else value / elapsed_ns
