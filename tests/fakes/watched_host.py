"""This host's real processes, followed with whatever source of deaths is to be had: a scan and its deaths, tick by tick."""

import os
import select
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from fakes.bus import RecordingBus
from harness.waiting import SLOWNESS

from agent.model.timebase import S
from workers.process.exits.deaths import Deaths, TickTimes
from workers.process.exits.watcher import ExitWatcher, Openers
from workers.process.files import ProcFiles
from workers.process.process_table import ProcessTable
from workers.runtime.kernel_tree import OpenKernelTree

BURNER = str(Path(__file__).with_name("burner.py"))
INTERVAL_MS, TICKS_MAX = 250, 1_000
# In a guest each child burns so much longer that fewer of them use more CPU. The kernel's steps of 10 ms count less in it.
_FEWER = 1 if SLOWNESS == 1 else 5
# What a share may be off, and how often it is tried.
RIGHT, TRIES = 0.1, 4
NS_PER_CLOCK_TICK = S // os.sysconf("SC_CLK_TCK")


def fewer(children: int) -> int:
    """How many children of a burner say as much as this number of them on a usual host."""
    return children // _FEWER


class WatchedHost:
    """The process table and the exit watcher of a sampler, without rows of the living. A context."""

    def __init__(self, *, buffer_bytes: int = 8 << 20, openers: Openers | None = None) -> None:
        self.bus = RecordingBus()
        self._tree = OpenKernelTree("/proc")
        self._files = ProcFiles(self._tree, lambda: None)
        self.table = ProcessTable(
            self._files,
            boot_ns=lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            ns_per_tick=NS_PER_CLOCK_TICK,
            page_bytes=os.sysconf("SC_PAGE_SIZE"),
            beat=lambda: None,
            own_pid=os.getpid(),
        )
        self.watcher = ExitWatcher(self.bus, buffer_bytes=buffer_bytes, ns_per_tick=NS_PER_CLOCK_TICK, openers=openers)
        self._last_at_ns: int | None = None
        # How much later it is for the watcher than by the clock.
        self.later_ns = 0
        # By command: CPU of the dead and how many they were, since the last `forget`.
        self.dead_ns: Counter[str | None] = Counter()
        self.deaths = self.unseen = self.lost = 0
        # The name of the last burner's children.
        self.command = ""
        # CPU time of our own that the deaths took.
        self.cost_ns = 0

    def tick(self) -> Deaths:
        """One scan and its deaths."""
        boot_ns, now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.monotonic_ns()
        names = [name for name in self._tree.list_names() if name.isdecimal()]
        scan = self.table.scan(names, boot_ns // NS_PER_CLOCK_TICK)
        elapsed_ns = None if self._last_at_ns is None else now_ns - self._last_at_ns
        before_ns = time.thread_time_ns()
        deaths = self.watcher.settle(scan, self.table, TickTimes(time.time_ns(), now_ns + self.later_ns, boot_ns, elapsed_ns))
        self.cost_ns += time.thread_time_ns() - before_ns
        self._last_at_ns = now_ns
        for process in {id(each): each for each in (*scan.active, *scan.started)}.values():
            # Children that were seen while they lived, in each tick that they ran in; a burner's own work is none of theirs.
            if process.stat.ppid != os.getpid():
                self.dead_ns[process.key.command] += process.interval_cpu_ns or 0
        self.table.end_interval(scan)
        for key, cpu_ns in deaths.by_key.items():
            self.dead_ns[key.command] += cpu_ns
        self.deaths += deaths.count
        self.unseen += deaths.unseen
        self.lost += deaths.lost
        return deaths

    def forget(self) -> None:
        """Set all counts to zero."""
        self.dead_ns.clear()
        self.deaths = self.unseen = self.lost = self.cost_ns = 0

    def burn(self, children: int, *, rate: float, seconds: float, pause: float = 0.0) -> int:
        """Let a burner fork, ticking until all its children are counted; the CPU that the kernel counted of them, in ns.

        The burner itself lives on until everything is counted, so that its own end is not among the dead. In a guest the way in and
        out of a process takes longer: so does the burning, or the part after the kernel's record would be a larger one there.
        """
        rate, seconds = rate / SLOWNESS, seconds * SLOWNESS
        arguments = [sys.executable, "-S", BURNER, str(children), str(rate), str(seconds), str(pause)]
        pipe = subprocess.PIPE
        with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True) as burner:
            assert burner.stdout is not None
            self.command = f"burn-{burner.pid}"
            poller = select.poll()
            poller.register(burner.stdout, select.POLLIN)
            ticks = 0
            # The wait for the burner's word is the interval.
            while not poller.poll(INTERVAL_MS) and ticks < TICKS_MAX:
                self.tick()
                ticks += 1
            used_ns = round(float(burner.stdout.readline()) * S)
            self.tick()
            burner.kill()
        return used_ns

    def share_of_burn(self, children: int, *, rate: float, seconds: float) -> float:
        """The part of a burner's CPU that is attributed: of a few burners the first that is right, or the best one.

        Where others take the processor, a burner with little CPU tells little: from 0.92 to 1.00 were seen of exit records. And a
        buffer can overflow while this process stands still, which says nothing of what came.
        """
        shares = [0.0]
        for _ in range(TRIES):
            self.forget()
            used_ns = self.burn(children, rate=rate, seconds=seconds)
            assert self.lost or self.dead_ns[self.command]
            if not self.lost:
                shares.append(self.dead_ns[self.command] / used_ns)
                if abs(shares[-1] - 1) <= RIGHT:
                    break
        return min(shares, key=lambda share: abs(share - 1))

    def end_unseen(self, children: int) -> None:
        """So many children begin and end between two ticks."""
        self.tick()
        for _ in range(children):
            if (pid := os.fork()) == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        self.tick()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.watcher.close()
        self._files.close()
