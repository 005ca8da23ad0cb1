"""Settles exit records with what was seen of their processes: each death is counted once, with the CPU since its last sample. PURE.

Records come after the scan, and the kernel sends a record before the process leaves /proc, so every process that
has vanished has its record, except one that was lost. A record says that its process is dead when it is of the last thread.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.command_family import command_of
from agent.model.foreign import readable
from agent.model.timebase import MS
from workers.process.exits.calibration import (
    STALE_NS_MAX,
    STALE_SLEPT_NS_MAX,
    TAIL_NS,
    ChildSums,
    ExitCalibration,
    tail_ns_of,
)
from workers.process.exits.connector_event import ConnectorExit
from workers.process.exits.taskstats_record import FORKED, LAST_OF_GROUP, VERSION_WITH_TGID, ExitRecord, ExitRecords, GroupTotal
from workers.process.process_table import Scan, TrackedProcess
from workers.process.unit_command import UnitCommand

SEEN, PARENT = "seen", "parent"
# The parent of all kernel threads.
KERNEL_THREADS_PARENT = 2
# Starts are known in steps of a clock tick, and a process is not read at the instant of the listing.
AGE_SLACK_NS = 30 * MS
PARENTS_DEEP_MAX = 8
NAMES_MAX, PROCESSES_WITH_THREADS_MAX = 8_192, 16_384
RECORDS_PER_BEAT = 512
# wait(2): the signal that ended a process.
SIGNAL_BITS = 0x7F
# A process that ran for less than this part of the interval was asleep when the signal came, nineteen times in twenty.
ASLEEP_FACTOR = 20


# Input and output of a process that had several threads: the record has that of the last one alone.
_OF_ONE_THREAD = (None, None, Absence.SEVERAL_THREADS.value)


# Of one process or thread: time that is certain, the tail that is expected, the stale part that is, and its upper bound.
Parts = tuple[int, int, int, int]


class DeadProcess(NamedTuple):
    """One death. `cpu_ns` since its last sample, of it `tail_ns` estimated.

    *Absent:* `process`: it was never seen; `record`: it was lost; `absent` says why values are None.
    """

    cpu_ns: int | None
    tail_ns: int
    key: UnitCommand
    unit_from: str | None
    process: TrackedProcess | None
    record: ExitRecord | ConnectorExit | None
    read_bytes: int | None
    write_bytes: int | None
    absent: str | None


class Moment(Struct, frozen=True):
    """When a tick's listing began and when the one before did, on CLOCK_BOOTTIME; `suspended_ns` is what that clock counted while
    CLOCK_MONOTONIC stood still, since the boot."""

    boot_ns: int
    last_boot_ns: int
    suspended_ns: int
    ns_per_tick: int


class _Turn(Struct):
    """What is known in one tick, and what is found."""

    processes: Mapping[str, TrackedProcess]
    moment: Moment
    # Vanished, and without a record so far.
    gone: dict[int, TrackedProcess]
    # The units of processes that are or were tracked, and the parents of those that were never seen.
    vanished: dict[int, TrackedProcess]
    parents: dict[int, int] = {}
    # By parent and name: the key, and how its unit is known.
    places: dict[tuple[int, bytes], tuple[UnitCommand, str | None]] = {}
    children: dict[int, ChildSums] = {}
    # Processes whose children stand under their parent, because it has taken them over with them; and that parent.
    folded: dict[int, int] = {}
    dead: list[DeadProcess] = []
    # Deaths whose parent was not known when its record came: its own record may follow.
    unplaced: list[tuple[int, int, bytes]] = []
    threaded_parents: set[int | None] | None = None


class _EndedThreads(Struct):
    """What the total of a process lacks of its threads that have ended, and the name of the first one if it is among them."""

    known_ns: int = 0
    tail_ns: int = 0
    slack_ns: int = 0
    limit_ns: int = 0
    comm: bytes | None = None

    def add(self, parts: Parts) -> None:
        """Add a thread."""
        self.known_ns += parts[0]
        self.tail_ns += parts[1]
        self.slack_ns += parts[2]
        self.limit_ns += parts[3]


class Ledger:
    """What must be remembered between ticks to count each death once."""

    def __init__(self, calibration: ExitCalibration, beat: Callable[[], None] = lambda: None) -> None:
        self._calibration = calibration
        self._beat = beat
        # Counted, and still listed, with the scan that read them last: zombies, and those that died after it.
        self._died: dict[str, tuple[TrackedProcess, int]] = {}
        # The ended threads of processes that live on.
        self._threads: dict[int, _EndedThreads] = {}
        self._keys: dict[tuple[str | None, bytes, bool], UnitCommand] = {}
        self._children: dict[int, ChildSums] = {}
        # The last tick's dead that were never seen: one may be met now, as a zombie.
        self._unseen: Mapping[int, int] = {}

    def settle(
        self, scan: Scan, processes: Mapping[str, TrackedProcess], records: ExitRecords, moment: Moment
    ) -> list[DeadProcess]:
        """The deaths of one tick, in the order of their records; those without one at the end."""
        self._recognise_living(processes)
        self._recognise_dead(scan)
        vanished = {process.pid: process for process in scan.gone}
        gone = {pid: process for pid, process in vanished.items() if not process.has_died}
        turn = _Turn(processes, moment, gone, vanished)
        groups = records.groups
        for index, record in enumerate(records.threads):
            self._take(turn, record, groups.get(index) if groups else None)
            if index % RECORDS_PER_BEAT == RECORDS_PER_BEAT - 1:
                self._beat()
        for index, ppid, comm in turn.unplaced:
            self._place(turn, index, ppid, comm)
        for process in turn.gone.values():
            turn.dead.append(_without_record(process))
        self._correct(turn, is_whole=not records.lost and moment.last_boot_ns < moment.boot_ns)
        self._children = turn.children
        self._unseen = turn.parents
        return turn.dead

    def _recognise_living(self, processes: Mapping[str, TrackedProcess]) -> None:
        """Forget those that have vanished, and believe those that still run: a record was taken for theirs that was not."""
        for name, (process, read_at) in list(self._died.items()):
            if processes.get(name) is not process:
                del self._died[name]
            elif process.read_at > read_at and not process.stat.is_ended:
                process.has_died = False
                del self._died[name]

    def _recognise_dead(self, scan: Scan) -> None:
        """A zombie that is seen for the first time after its death was counted is not counted again."""
        for process in scan.started:
            if process.pid in self._unseen and process.stat.is_ended:
                process.has_died = True
                self._died[process.name] = (process, process.read_at)
                process.totals.cpu_ns -= process.interval_cpu_ns or 0
                process.interval_cpu_ns = process.interval_user_ns = process.interval_system_ns = 0

    def _take(self, turn: _Turn, record: ExitRecord, group: GroupTotal | None) -> None:
        version, _, flags, delay_ns, run_ns, comm, pid, ppid, elapsed_us, rss_kib, _, _, sleeps, _, tgid = record
        # Conditions and not `min` and `max`, which are calls: this is done thousands of times a second where processes come and go.
        stale_ns = elapsed_us * 1_000 - delay_ns - run_ns
        stale_ns = stale_ns if stale_ns > 0 else 0
        known_ns = slack_ns = limit_ns = 0
        if sleeps:
            # Its last run is expected to be no longer than those before; it can have been all but a clock tick.
            limit_ns = stale_ns if stale_ns < STALE_SLEPT_NS_MAX else STALE_SLEPT_NS_MAX
            run_mean_ns = run_ns // sleeps
            slack_ns = run_mean_ns if run_mean_ns < limit_ns else limit_ns
        else:
            known_ns = stale_ns if stale_ns < STALE_NS_MAX else STALE_NS_MAX
        owner = group.tgid if group is not None else tgid or pid
        is_death = bool(flags & LAST_OF_GROUP) if version >= VERSION_WITH_TGID else self._is_death(turn, record, group)
        if not is_death:
            self._note_thread(owner, (known_ns, TAIL_NS, slack_ns, limit_ns), comm if pid == owner else None)
            return
        tail_ns = tail_ns_of(rss_kib, is_forked=bool(flags & FORKED))
        known_ns += run_ns if group is None else group.run_ns
        if self._threads and (threads := self._threads.pop(owner, None)) is not None:
            comm = threads.comm or comm
            threads.add((known_ns, tail_ns, slack_ns, limit_ns))
            known_ns, tail_ns, slack_ns, limit_ns = threads.known_ns, threads.tail_ns, threads.slack_ns, threads.limit_ns
        process = None
        if owner in turn.gone or str(owner) in turn.processes:
            # Of a process whose first thread did not end last, the record has the life of another thread.
            process = self._tracked(turn, owner, elapsed_us if pid == owner else None)
            if process is not None and process.cpu_ns is not None:
                parts = (known_ns, tail_ns, slack_ns, limit_ns)
                known_ns, tail_ns, slack_ns, limit_ns = _held(process, record, group, parts, turn.moment)
        estimated_ns = self._calibration.estimate_ns(ppid, tail_ns, slack_ns)
        sums = turn.children.get(ppid)
        if sums is None:
            sums = turn.children[ppid] = ChildSums()
        sums.known_ns += known_ns
        sums.tail_ns += tail_ns
        sums.slack_ns += slack_ns
        sums.limit_ns += limit_ns
        sums.estimated_ns += estimated_ns
        if owner in turn.children and owner != ppid:
            sums.fold(turn.children.pop(owner))
            turn.folded[owner] = ppid
        cpu = (known_ns + estimated_ns, estimated_ns)
        if process is None:
            turn.parents[owner] = ppid
            place = turn.places.get((ppid, comm)) or self._place_by_parent(turn, ppid, comm)
            read_bytes, write_bytes, absent = (record[10], record[11], None) if group is None else _OF_ONE_THREAD
            # `DeadProcess(...)` takes three times as long.
            turn.dead.append(tuple.__new__(DeadProcess, (*cpu, *place, None, record, read_bytes, write_bytes, absent)))
            return
        # All that it used is in its parent's counters, and what it had waited for before.
        sums.known_ns += process.reaped_ns + max(0, (process.cpu_ns or 0) - known_ns)
        dead = _seen(process, record, turn.moment, cpu, is_whole=group is None)
        turn.dead.append(dead)
        # Still listed, it may be read once more: what is counted here is not counted again.
        if dead.cpu_ns and process.cpu_ns is not None and process.name in self._died:
            process.cpu_ns += dead.cpu_ns

    def _is_death(self, turn: _Turn, record: ExitRecord, group: GroupTotal | None) -> bool:
        """Before version 12 a record does not say whether its thread was the last one, nor of which process."""
        if group is not None or record.pid in turn.gone:
            return True
        process = turn.processes.get(str(record.pid))
        if process is not None:
            # The first thread of a process that goes on, or a process of one thread.
            return (process.stat.threads or 0) <= 1
        if record.exit_code or record.flags & FORKED:
            # The kernel gives both of a first thread alone.
            return True
        if turn.threaded_parents is None:
            threaded = (each for each in turn.processes.values() if (each.stat.threads or 0) > 1)
            turn.threaded_parents = {each.stat.ppid for each in threaded}
        # A thread has the parent of its process: most likely it was one of those.
        return record.ppid not in turn.threaded_parents

    def _note_thread(self, owner: int, parts: Parts, comm: bytes | None) -> None:
        threads = self._threads.get(owner)
        if threads is None:
            if len(self._threads) >= PROCESSES_WITH_THREADS_MAX:
                # The record of its last thread was lost.
                self._threads.pop(next(iter(self._threads)))
            threads = self._threads[owner] = _EndedThreads()
        threads.add(parts)
        threads.comm = comm or threads.comm

    def _tracked(self, turn: _Turn, pid: int, elapsed_us: int | None) -> TrackedProcess | None:
        """The process that was followed under this number; not if the record is known to be too young to be its own."""
        moment = turn.moment
        process = turn.gone.get(pid) or turn.processes.get(str(pid))
        if process is None or process.has_died:
            return None
        # It lived at the listing before. At this one it may have been a zombie already, whose age is no longer its life.
        age_ns = moment.last_boot_ns - process.start_ticks * moment.ns_per_tick - moment.suspended_ns - AGE_SLACK_NS
        if elapsed_us is not None and elapsed_us * 1_000 < age_ns:
            return None
        process.has_died = True
        if turn.gone.pop(pid, None) is None:
            self._died[process.name] = (process, process.read_at)
        return process

    def _place_by_parent(self, turn: _Turn, ppid: int, comm: bytes) -> tuple[UnitCommand, str | None]:
        """The key of the next death, which was never seen, and how its unit is known."""
        parent = turn.processes.get(str(ppid)) or turn.vanished.get(ppid)
        key = self._key(None if parent is None else parent.key.pod_uid, comm, is_kernel_thread=ppid == KERNEL_THREADS_PARENT)
        if parent is None:
            turn.unplaced.append((len(turn.dead), ppid, comm))
            return key, None
        place = turn.places[ppid, comm] = (key, PARENT)
        return place

    def _place(self, turn: _Turn, index: int, ppid: int, comm: bytes) -> None:
        """Its unit is that of the nearest ancestor which was seen: a fork inherits the cgroup."""
        pid: int | None = ppid
        for _ in range(PARENTS_DEEP_MAX):
            pid = None if pid is None else turn.parents.get(pid)
            parent = None if pid is None else turn.processes.get(str(pid)) or turn.vanished.get(pid)
            if parent is not None:
                key = self._key(parent.key.pod_uid, comm, is_kernel_thread=False)
                turn.dead[index] = turn.dead[index]._replace(key=key, unit_from=PARENT)
                return

    def _key(self, pod_uid: str | None, comm: bytes, *, is_kernel_thread: bool) -> UnitCommand:
        known = (pod_uid, comm, is_kernel_thread)
        key = self._keys.get(known)
        if key is None:
            if len(self._keys) >= NAMES_MAX:
                self._keys.clear()
            name = command_of(readable(comm.partition(b"\0")[0]), is_kernel_thread=is_kernel_thread)
            key = self._keys[known] = UnitCommand(pod_uid, name)
        return key

    def counted_of_children(self) -> dict[int, int]:
        """What the last tick's records say of the CPU of each parent's children."""
        return {parent: sums.known_ns + sums.estimated_ns for parent, sums in self._children.items()}

    def _correct(self, turn: _Turn, *, is_whole: bool) -> None:
        """Scale estimates so that they follow the parents' counters."""
        reaped: dict[int, int] = {}
        for pid in {*turn.children, *self._calibration.parents()}:
            parent = turn.processes.get(str(pid))
            if parent is not None:
                reaped[pid] = parent.interval_reaped_ns
        scales = self._calibration.take(turn.children, reaped, is_whole=is_whole)
        for child, parent_pid in reversed(turn.folded.items()):
            if parent_pid in scales:
                scales[child] = scales[parent_pid]
        if scales:
            self._scale(turn, scales)

    def _scale(self, turn: _Turn, scales: Mapping[int, float]) -> None:
        dead = turn.dead
        for index, each in enumerate(dead):
            cpu_ns, tail_ns, _, _, process, record, *_ = each
            # By place: most records are plain tuples, and the parent is the eighth value of them.
            scale = None if record is None else scales.get(record[7])  # type: ignore[misc]  # no events here
            if scale is not None and cpu_ns is not None and tail_ns:
                more_ns = int(tail_ns * (scale - 1.0))
                dead[index] = tuple.__new__(DeadProcess, (cpu_ns + more_ns, tail_ns + more_ns, *each[2:]))
                if process is not None and process.cpu_ns is not None and process.name in self._died:
                    process.cpu_ns += more_ns


def _held(process: TrackedProcess, record: ExitRecord, group: GroupTotal | None, parts: Parts, moment: Moment) -> Parts:
    """The parts; a process that is known until the last scan can have missed only so much since."""
    known_ns, tail_ns, slack_ns, limit_ns = parts
    counted_ns = process.cpu_ns or 0
    if group is None:
        return (known_ns, tail_ns, 0, 0) if record[12] and _died_asleep(process, record, moment) else parts
    # Hundreds of threads that sleep until the end miss no clock tick each: all of them ran this long since then.
    ran_ns = max(0, group.run_ns - counted_ns)
    most_ns = max(ran_ns, STALE_SLEPT_NS_MAX) + (process.stat.threads or 1) * TAIL_NS + tail_ns_of(record[9])
    exact_ns = min(known_ns - group.run_ns, most_ns)
    tail_ns = min(tail_ns, most_ns - exact_ns)
    limit_ns = min(limit_ns, most_ns - exact_ns - tail_ns)
    return group.run_ns + exact_ns, tail_ns, min(slack_ns, limit_ns), limit_ns


def _died_asleep(process: TrackedProcess, record: ExitRecord, moment: Moment) -> bool:
    """Whether a signal most likely ended it in its sleep: it ran for its end alone, and of that no clock tick is missing."""
    if not record[1] & SIGNAL_BITS or process.cpu_ns is None:
        return False
    return (record[4] - process.cpu_ns) * ASLEEP_FACTOR < moment.boot_ns - moment.last_boot_ns


def _without_record(process: TrackedProcess) -> DeadProcess:
    """A process that vanished without a record. One that had ended before was counted whole."""
    if process.stat.is_ended:
        return DeadProcess(0, 0, process.key, SEEN, process, None, None, None, Absence.RECORD_LOST.value)
    return DeadProcess(None, 0, process.key, SEEN, process, None, None, None, Absence.RECORD_LOST.value)


def _seen(process: TrackedProcess, record: ExitRecord, moment: Moment, cpu: tuple[int, int], *, is_whole: bool) -> DeadProcess:
    total_ns, estimated_ns = cpu
    reasons = [] if is_whole else [Absence.SEVERAL_THREADS.value]
    cpu_ns = None
    if process.cpu_ns is None:
        reasons.append(Absence.OUT_OF_RANGE.value)
    else:
        cpu_ns = max(0, total_ns - process.cpu_ns)
        estimated_ns = min(estimated_ns, cpu_ns)
    read_bytes = write_bytes = None
    if is_whole and process.io is not None:
        read_bytes = max(0, record[10] - process.io.read_bytes)
        write_bytes = max(0, record[11] - process.io.write_bytes)
    elif is_whole and process.start_ticks * moment.ns_per_tick >= moment.last_boot_ns:
        read_bytes, write_bytes = record[10], record[11]
    elif is_whole:
        reasons.append(process.why_no_io or Absence.FIRST_TICK.value)
    absent = ",".join(reasons) or None
    return DeadProcess(cpu_ns, estimated_ns, process.key, SEEN, process, record, read_bytes, write_bytes, absent)
