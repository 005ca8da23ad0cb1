"""A host in memory whose processes run, sleep, gain threads and die between scans, and the records that its kernel would send."""

import random

from msgspec import Struct

from agent.model.proc_stat import Stat
from workers.process.exits.ledger import Moment
from workers.process.exits.taskstats_record import LAST_OF_GROUP, VERSION_WITH_TGID, ExitRecord, ExitRecords, GroupTotal
from workers.process.process_table import Scan, TrackedProcess
from workers.process.tracked_process import Totals
from workers.process.unit_command import UnitCommand

TICK_NS = 1_000_000_000
CLOCK_TICK_NS = 10_000_000
POD = "pod-1"


def record(pid: int, **values: int | bytes) -> ExitRecord:
    """A record of the only thread of a process that never slept."""
    fields: dict[str, int | bytes] = {
        "version": 16, "exit_code": 0, "flags": LAST_OF_GROUP, "run_delay_ns": 0, "run_ns": 0, "comm": b"job".ljust(32, b"\0"),
        "pid": pid, "ppid": 1, "elapsed_us": 1_000, "rss_max_kib": 100, "read_bytes": 0, "write_bytes": 0, "sleeps": 0,
        "preemptions": 0, "tgid": pid,
    }  # fmt: skip
    return ExitRecord(**{**fields, **values})  # type: ignore[arg-type]  # each value has the type of its field


def _as_drained(found: ExitRecord) -> ExitRecord:
    """Records that name their process are unpacked many at once, and are plain tuples: only their order is known."""
    return tuple(found) if found.version >= VERSION_WITH_TGID and found.tgid else found  # type: ignore[return-value]  # as drained


def records(*found: ExitRecord, groups: dict[int, GroupTotal] | None = None, lost: int = 0) -> ExitRecords:
    """Records as they were drained."""
    made = ExitRecords()
    made.threads, made.groups, made.lost = [_as_drained(each) for each in found], groups or {}, lost
    return made


def tracked(
    pid: int, *, cpu_ns: int | None = 0, state: str = "S", threads: int = 1, start_ns: int = 0, ppid: int = 1
) -> TrackedProcess:
    """A process as it was read last."""
    stat = Stat(state, ppid, 0, threads, start_ns // CLOCK_TICK_NS, 10)
    process = TrackedProcess(str(pid), pid, stat, b"", "job", UnitCommand(POD, "job"), Totals())
    process.cpu_ns = cpu_ns
    return process


class LivingProcess(Struct):
    """A process and the truth about it."""

    pid: int
    ppid: int
    born_ns: int
    cpu_ns: int = 0
    # What its ended threads used, and how many there were.
    ended_threads_ns: int = 0
    ended_threads: int = 0
    is_zombie: bool = False


class DyingWorld:
    """Everything is drawn from `rng`; `truth_ns` is all CPU ever used, the tail of each exit included."""

    def __init__(self, rng: random.Random, *, tail_ns: int, version: int = 16) -> None:
        self._rng = rng
        self._tail_ns = tail_ns
        self._version = version
        self._next_pid = 100
        self.boot_ns = self._last_boot_ns = 100 * TICK_NS
        self.living: dict[int, LivingProcess] = {}
        self.processes: dict[str, TrackedProcess] = {}
        self.truth_ns = 0
        self.deaths = 0

    def tick(self) -> tuple[Scan, ExitRecords, Moment]:
        """A second of life, the scan, and what happens between the scan and the records."""
        drained = records()
        self._live(drained, steps=40)
        scan = self._look()
        self._live(drained, steps=4)
        moment = Moment(self.boot_ns, self._last_boot_ns, 0, CLOCK_TICK_NS)
        self._last_boot_ns = self.boot_ns
        self.boot_ns += TICK_NS // 10
        return scan, drained, moment

    def unread_ns(self) -> int:
        """What those that live have used since the scan. Of a zombie nothing is left: its record has come."""
        return sum(
            process.cpu_ns - (self.processes[str(pid)].cpu_ns or 0 if str(pid) in self.processes else 0)
            for pid, process in self.living.items()
            if not process.is_zombie
        )

    def _live(self, drained: ExitRecords, *, steps: int) -> None:
        for _ in range(steps):
            self.boot_ns += TICK_NS // 45
            what = self._rng.choice(("fork", "fork", "run", "run", "thread", "die", "die", "reap", "moment"))
            getattr(self, f"_{what}")(drained)

    def _pick(self, *, zombies: bool = False) -> LivingProcess | None:
        found = [process for process in self.living.values() if process.is_zombie is zombies]
        return self._rng.choice(found) if found else None

    def _fork(self, _drained: ExitRecords) -> LivingProcess:
        parent = self._pick()
        self._next_pid += 1
        process = LivingProcess(self._next_pid, 1 if parent is None else parent.pid, self.boot_ns)
        self.living[process.pid] = process
        return process

    def _run(self, _drained: ExitRecords) -> None:
        if (process := self._pick()) is not None:
            self._use(process, self._rng.randrange(50_000_000))

    def _use(self, process: LivingProcess, cpu_ns: int) -> None:
        process.cpu_ns += cpu_ns
        self.truth_ns += cpu_ns

    def _thread(self, drained: ExitRecords) -> None:
        """A further thread runs and ends while its process goes on."""
        if (process := self._pick()) is not None:
            used_ns = self._rng.randrange(20) * 1_000_000
            self._use(process, used_ns + self._tail_ns)
            process.ended_threads_ns += used_ns
            process.ended_threads += 1
            self._next_pid += 1
            drained.threads.append(self._record(process, self._next_pid, used_ns, flags=0))

    def _die(self, drained: ExitRecords) -> None:
        if (process := self._pick()) is None:
            return
        last_ns = process.cpu_ns - process.ended_threads_ns - process.ended_threads * self._tail_ns
        last_thread = process.pid
        if process.ended_threads and self._version >= 12 and self._rng.random() < 0.5:
            # Another thread goes on for a moment.
            drained.threads.append(self._record(process, process.pid, last_ns, flags=0))
            self._use(process, self._tail_ns)
            self._next_pid += 1
            process.ended_threads_ns, last_thread, last_ns = process.ended_threads_ns + last_ns, self._next_pid, 0
        if process.ended_threads:
            drained.groups[len(drained.threads)] = GroupTotal(process.pid, last_ns + process.ended_threads_ns, 0, 0)
        drained.threads.append(self._record(process, last_thread, last_ns, flags=LAST_OF_GROUP))
        self._use(process, self._tail_ns)
        process.is_zombie = True
        self.deaths += 1
        for child in self.living.values():
            child.ppid = 1 if child.ppid == process.pid else child.ppid

    def _moment(self, drained: ExitRecords) -> None:
        """A process that begins and ends at once."""
        process = self._fork(drained)
        self._use(process, self._rng.randrange(3_000_000))
        last_ns = process.cpu_ns
        drained.threads.append(self._record(process, process.pid, last_ns, flags=LAST_OF_GROUP))
        self._use(process, self._tail_ns)
        self.deaths += 1
        del self.living[process.pid]

    def _reap(self, _drained: ExitRecords) -> None:
        if (process := self._pick(zombies=True)) is not None:
            del self.living[process.pid]

    def _record(self, process: LivingProcess, thread: int, run_ns: int, *, flags: int) -> ExitRecord:
        """Its run time is known in full: it waited for a CPU all the rest of its life."""
        elapsed_us = (self.boot_ns - process.born_ns) // 1_000 if thread == process.pid else run_ns // 1_000
        elapsed_us = max(elapsed_us, run_ns // 1_000 + 1)
        return record(
            thread, run_ns=run_ns, run_delay_ns=elapsed_us * 1_000 - run_ns, elapsed_us=elapsed_us, ppid=process.ppid, flags=flags,
            rss_max_kib=0, tgid=process.pid if self._version >= 12 else 0, version=self._version,
        )  # fmt: skip

    def _look(self) -> Scan:
        """As `ProcessTable.scan`: what vanished, and what each living process has used since it was read last."""
        scan = Scan()
        for name in [name for name in self.processes if int(name) not in self.living]:
            scan.gone.append(self.processes.pop(name))
        for pid, process in self.living.items():
            known = self.processes.get(str(pid))
            if known is None:
                known = self.processes[str(pid)] = tracked(pid, start_ns=process.born_ns, ppid=process.ppid)
                scan.started.append(known)
            assert known.cpu_ns is not None
            known.stat = known.stat._replace(state="Z" if process.is_zombie else "S")
            known.read_at += 1
            used_ns = max(0, process.cpu_ns - known.cpu_ns)
            known.interval_cpu_ns = used_ns
            known.cpu_ns += used_ns
            scan.touched.append(known)
        return scan
