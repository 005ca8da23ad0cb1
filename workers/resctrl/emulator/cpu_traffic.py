"""Memory traffic derived from the CPU time that threads use, in the domain of the CPU they last ran on."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from workers.resctrl.emulator.traffic import matches

# Values up to a quarter of a second old are smooth enough for people and samplers.
PERIOD_NS = 250_000_000
# At most this many threads at a time, about 4 ms, so that no reader waits long; the others follow in the next turn.
THREADS_A_LOOK = 400
# At most this part of the time is spent on reading threads.
_COST_SHARE = 20
_NS_PER_SECOND = 1_000_000_000
NS_PER_TICK = _NS_PER_SECOND // os.sysconf("SC_CLK_TCK")


class Charged(Protocol):
    """The part of the emulation that takes CPU times."""

    def on_thread_times(self, times: Iterable[tuple[int, int, int]], now_ns: int) -> None:
        """Threads ran this long in these domains: thread id, domain, nanoseconds."""
        ...


class CpuTraffic:
    """Reads the CPU time of the threads in groups, a few hundred at a time. Groups whose traffic is declared are left out."""

    def __init__(
        self,
        charged: Charged,
        members: Callable[[], Iterator[tuple[str, int]]],
        cpu_time: Callable[[int], tuple[int, int]],
        domain_of_cpu: Callable[[int], int],
        clock_ns: Callable[[], int],
    ) -> None:
        self._charged = charged
        self._members = members
        self._cpu_time = cpu_time
        self._domain_of_cpu = domain_of_cpu
        self._clock_ns = clock_ns
        self._declared: list[str] = []
        self._waiting: list[int] = []
        self._ticks: dict[int, int] = {}
        self.next_look_ns = 0

    def leave_out(self, pattern: str) -> None:
        """The traffic of groups with such a path is declared from now on."""
        self._declared.append(pattern)

    def look(self) -> None:
        """Charges some threads with the CPU time since their last reading, and sets when to read again."""
        before_ns = self._clock_ns()
        if not self._waiting:
            self._begin_round()
        # Charged together, because what ran at the same time entered the cache at the same time.
        ran = [ran for thread_id in self._waiting[-THREADS_A_LOOK:] if (ran := self._look_at(thread_id)) is not None]
        self._charged.on_thread_times(ran, before_ns)
        del self._waiting[-THREADS_A_LOOK:]
        cost_ns = self._clock_ns() - before_ns
        self.next_look_ns = before_ns + max(PERIOD_NS, _COST_SHARE * cost_ns)

    def _begin_round(self) -> None:
        self._waiting = [thread for path, thread in self._members() if not self._is_declared(path)]
        present = set(self._waiting)
        self._ticks = {thread_id: ticks for thread_id, ticks in self._ticks.items() if thread_id in present}

    def _is_declared(self, path: str) -> bool:
        return any(matches(pattern, path) for pattern in self._declared)

    def _look_at(self, thread_id: int) -> tuple[int, int, int] | None:
        """The thread, its domain and its CPU time since the last reading; None: no CPU time."""
        try:
            ticks, cpu = self._cpu_time(thread_id)
        except ProcessLookupError:
            self._ticks.pop(thread_id, None)
            return None
        before = self._ticks.get(thread_id)
        self._ticks[thread_id] = ticks
        # CPU time from before the thread was first seen in a group is not charged to the group.
        if before is None or ticks <= before:
            return None
        return thread_id, self._domain_of_cpu(cpu), (ticks - before) * NS_PER_TICK
