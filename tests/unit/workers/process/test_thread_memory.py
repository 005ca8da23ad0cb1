"""The memory of processes whose first thread has ended, and what finding it may cost."""

from fakes.bus import RecordingBus
from fakes.kernel_tree import MemoryTree
from fakes.tracked import CountedCpu, tracked

from agent.model.absence import Absence
from workers.framework.condition import Conditions
from workers.process.breaker import FAR_OVER, WAIT_TICKS, FileBreaker, Metered
from workers.process.thread_memory import LISTINGS_MAX, TASK_LIMITS, THREADS_TRIED_MAX, ThreadMemory
from workers.process.tracked_process import TrackedProcess

LINE = b"%d (busy) S 1 0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 2 0 7 4096 %d" + b" 0" * 25


class Threads:
    """Processes with threads, and listings that cost what the test says."""

    def __init__(self, *, is_metered: bool = True) -> None:
        self.tree = MemoryTree()
        self.bus, self.cpu = RecordingBus(), CountedCpu()
        listings = Metered(FileBreaker("task", TASK_LIMITS, Conditions(self.bus)), self.cpu)
        self.memory = ThreadMemory(self.tree.read, self.tree.list_names, listings if is_metered else None)

    def process(self, pid: int, *threads: tuple[int, int]) -> TrackedProcess:
        """Each thread is its number and its resident pages."""
        for thread, pages in ((pid, 0), *threads):
            self.tree.put(f"{pid}/task/{thread}/stat", LINE % (thread, pages))
        return tracked(pid)

    def tick(self, *processes: TrackedProcess) -> list[tuple[int | None, Absence]]:
        """One scan."""
        self.memory.begin_tick()
        found = [self.memory.pages_of(process) for process in processes]
        self.memory.end_tick()
        return found

    @property
    def listings(self) -> int:
        """How often threads were listed."""
        return sum(call == "list_names" for call, _path in self.tree.calls)


def test_the_thread_that_told_last_is_asked_first() -> None:
    """Threads are listed again only when it has ended."""
    threads = Threads(is_metered=False)
    process = threads.process(5, (6, 0), (7, 30))
    assert [threads.tick(process)[0][0] for _ in range(3)] == [30, 30, 30]
    assert (process.thread, threads.listings) == ("7", 1)
    threads.tree.remove("5/task/7")
    threads.process(5, (8, 40))
    assert threads.tick(process)[0][0] == 40
    assert threads.listings == 2


def test_of_many_threads_that_have_ended_only_some_are_asked() -> None:
    """Then it is not known, which is no zero."""
    threads = Threads()
    process = threads.process(5, *((6 + number, 0) for number in range(THREADS_TRIED_MAX)), (99, 7))
    assert threads.tick(process) == [(None, Absence.UNREADABLE)]
    assert threads.tick(tracked(9)) == [(None, Absence.UNREADABLE)]


def test_processes_beyond_the_listings_of_a_scan_wait_for_the_next() -> None:
    """With the reason."""
    threads = Threads()
    processes = [threads.process(1000 * pid, (1000 * pid + 1, pid)) for pid in range(1, LISTINGS_MAX + 2)]
    assert threads.tick(*processes)[-1] == (None, Absence.OVER_BUDGET)
    assert threads.tick(*processes)[-1][0] == LISTINGS_MAX + 1
    bare = Threads(is_metered=False)
    processes = [bare.process(1000 * pid, (1000 * pid + 1, pid)) for pid in range(1, LISTINGS_MAX + 2)]
    assert bare.tick(*processes)[-1] == (None, Absence.OVER_BUDGET)


def test_listings_that_cost_too_much_are_not_made_for_a_while() -> None:
    """A process of 10^5 threads that come and go: its memory is absent with the reason, and the condition says what it cost."""
    threads = Threads()
    process = threads.process(5, (6, 30))
    threads.cpu.step_ns = TASK_LIMITS.cost_ns_max * (FAR_OVER + 1)
    assert threads.tick(process)[0][0] == 30
    threads.tree.remove("5/task/6")
    threads.process(5, (7, 40))
    assert threads.tick(process) == [(None, Absence.BREAKER_OPEN)]
    assert [condition.kind for condition in threads.bus.conditions] == ["breaker_open:task"]
    threads.cpu.step_ns = 0
    for _ in range(WAIT_TICKS):
        threads.tick(process)
    assert process.thread == "7"
    assert not threads.bus.conditions[-1].active
