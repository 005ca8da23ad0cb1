"""What is remembered of one process between ticks, what one scan of all of them gives, and the sums they are part of. PURE."""

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.proc_stat import Stat
from workers.process.unit_command import UnitCommand


class ProcessIdentity(Struct):
    """Who a process is: what only rows show. `read_as` is the name under which it was read, `at_ns` when."""

    at_ns: int | None = None
    read_as: str = ""
    # The scan at which the process had run last when this was read; what did not run since then is still the same.
    ran_at: int = -1
    uid: int | None = None
    command_line: str | None = None
    why_no_command_line: str | None = None
    # Tells whether the bytes are others than last time, without keeping them.
    digest: int | None = None

    def forget(self, why: str) -> None:
        """The command line cannot be had; it is asked for again whether the process runs or not."""
        self.digest = self.command_line = None
        self.why_no_command_line, self.ran_at = why, -1


class ProcessIo(Struct):
    """What a process has read from and written to storage: since its start, and since the last tick.

    *Units:* bytes. *Absent:* an interval is None where the process was not read at its beginning.
    """

    read_bytes: int
    write_bytes: int
    interval_read: int | None = None
    interval_write: int | None = None


class Totals(Struct):
    """Sums over the living processes of one unit and command. CPU and I/O are those since the last tick.

    `incomplete` counts the processes of which CPU or memory is not known.
    """

    processes: int = 0
    cpu_ns: int = 0
    rss_bytes: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    threads: int = 0
    incomplete: int = 0

    def take(self, other: "Totals") -> None:
        """Add other sums."""
        self.processes += other.processes
        self.cpu_ns += other.cpu_ns
        self.rss_bytes += other.rss_bytes
        self.read_bytes += other.read_bytes
        self.write_bytes += other.write_bytes
        self.threads += other.threads
        self.incomplete += other.incomplete

    def move(self, process: "TrackedProcess", sign: int) -> None:
        """Add or take away everything of a process except what belongs to the interval."""
        self.processes += sign
        self.rss_bytes += sign * process.rss_bytes
        self.threads += sign * process.threads
        self.incomplete += sign * process.is_incomplete

    def move_interval(self, process: "TrackedProcess", sign: int) -> None:
        """Add or take away what a process did in this interval."""
        self.cpu_ns += sign * (process.interval_cpu_ns or 0)
        if (io := process.io) is not None:
            self.read_bytes += sign * (io.interval_read or 0)
            self.write_bytes += sign * (io.interval_write or 0)


class TrackedProcess(Struct, eq=False):
    """What is remembered of one process between ticks.

    Values named `interval_…` are of this tick's interval: 0 for a process that did not run, None where it was not read at
    the interval's beginning. `cpu_ns` and its two parts count from the start of the process and never fall.
    """

    name: str
    pid: int
    stat: Stat
    # The line that `stat` was parsed from.
    line: bytes
    comm: str
    key: UnitCommand
    # The sums of its key, found without looking the key up.
    totals: Totals
    cgroup: str | None = None
    container: str | None = None
    unit_kind: str | None = None
    # A thread that goes on where the first one has ended.
    thread: str | None = None
    cpu_ns: int | None = None
    user_ns: int = 0
    # The kernel's counter as it was read last, and how far `cpu_ns` is ahead of it since it went back; usually 0.
    counter_ns: int | None = None
    offset_ns: int = 0
    interval_cpu_ns: int | None = None
    interval_user_ns: int | None = None
    interval_system_ns: int | None = None
    # Why the CPU of this interval is not what was used, beside `first_tick`.
    why_no_cpu: str | None = None
    reaped_ns: int = 0
    interval_reaped_ns: int = 0
    # By so many pages `statm` had more than `stat` when both were read.
    more_pages: int = 0
    # Resident memory as it stands in the sums; 0 where it is not known.
    rss_bytes: int = 0
    why_no_rss: str | None = None
    # Threads as they stand in the sums; 0 where they are not known.
    threads: int = 0
    interval_minor_faults: int | None = None
    interval_major_faults: int | None = None
    # How often its only thread was given a CPU, since its start and in this interval.
    slices: int | None = None
    interval_switches: int | None = None
    why_no_switches: str | None = Absence.FIRST_TICK.value
    io: ProcessIo | None = None
    why_no_io: str | None = Absence.FIRST_TICK.value
    pss_bytes: int | None = None
    why_no_pss: str | None = Absence.OVER_BUDGET.value
    pss_at_ns: int | None = None
    tcp_sent: int | None = None
    tcp_received: int | None = None
    why_no_tcp: str | None = Absence.UNSUPPORTED.value
    identity: ProcessIdentity | None = None
    # Its exit record was counted: what still comes of it is not counted again.
    has_died: bool = False
    # The numbers of the scans at which it ran last (polled: may have run), and was read last.
    ran_at: int = -1
    read_at: int = -1
    # What the sketches remember of it.
    sketched: object | None = None

    @property
    def start_ticks(self) -> int:
        """Its start after boot; with the pid its identity."""
        return self.stat.start_ticks

    @property
    def pod_uid(self) -> str | None:
        """The pod or unit that it runs in."""
        return self.key.pod_uid

    @property
    def is_incomplete(self) -> bool:
        """Whether its part of the sums is not known."""
        return self.why_no_rss is not None or self.stat.cpu_ticks is None


class Scan(Struct):
    """What one scan found; no process is twice in one list."""

    # Those that ran, and those whose CPU of the interval is not known.
    active: list[TrackedProcess] = []
    # Those that were read: memory, name and unit may be others than before. The active ones are among them.
    touched: list[TrackedProcess] = []
    # Those that began since the last scan.
    started: list[TrackedProcess] = []
    # Those that are not there any more, as they were seen last.
    gone: list[TrackedProcess] = []
    # Those that live on and can be followed no longer, because they could not be read.
    lost: list[TrackedProcess] = []
    # Those whose `io` was asked for.
    io_read: list[TrackedProcess] = []
