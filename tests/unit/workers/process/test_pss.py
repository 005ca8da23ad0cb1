"""Proportional memory of the winners, within its budget."""

import errno

import pytest
from fakes.bus import RecordingBus
from fakes.kernel_tree import MemoryTree
from fakes.side_reader import InlineReader
from fakes.tracked import CountedCpu, tracked

from agent.model.timebase import MS, S
from workers.framework.condition import Conditions
from workers.process.breaker import BreakerLimits, FileBreaker
from workers.process.pss import BELIEVED_NS, READ_NS, REFRESH_NS, SAVED_TICKS, PssReader, parse_pss
from workers.process.tracked_process import TrackedProcess

MIB = 1 << 20
TEXT = b"55b0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:   2048 kB\nPss:      %d kB\nPss_Dirty: 5 kB\n"


class Memory:
    """A reader with one second between two ticks."""

    def __init__(self, budget_ns: int = MS) -> None:
        self.tree = MemoryTree()
        self.side = InlineReader(lambda path: self.tree.read(path, 4096))
        self.cpu = CountedCpu(READ_NS)
        self.bus = RecordingBus()
        breaker = FileBreaker("smaps_rollup", BreakerLimits(100 * MS), Conditions(self.bus))
        self.reader = PssReader(self.side, breaker, budget_ns=budget_ns, cpu_ns=self.cpu)
        self.now_ns = 100 * S

    def process(self, pid: int, rss_bytes: int = 4096) -> TrackedProcess:
        self.tree.put(f"{pid}/smaps_rollup", TEXT % pid)
        return tracked(pid, rss_bytes=rss_bytes)

    def tick(self, *winners: TrackedProcess, seconds: int = 1) -> list[str]:
        """Read; gives which were read."""
        self.now_ns += seconds * S
        self.side.hand_overs.clear()
        self.reader.read(winners, self.now_ns)
        return [path.partition("/")[0] for paths in self.side.hand_overs for path in paths]


def test_a_winner_gets_its_value_and_keeps_it_until_it_is_refreshed() -> None:
    """It is not read at every tick."""
    memory = Memory()
    process = memory.process(5)
    assert memory.tick(process) == ["5"]
    assert (process.pss_bytes, process.why_no_pss) == (5 << 10, None)
    memory.tree.put("5/smaps_rollup", TEXT % 8)
    assert [memory.tick(process) for _ in range(REFRESH_NS // S - 1)] == [[]] * (REFRESH_NS // S - 1)
    assert process.pss_bytes == 5 << 10
    assert memory.tick(process) == ["5"]
    assert process.pss_bytes == 8 << 10


def test_the_oldest_values_are_refreshed_first_as_far_as_the_budget_goes() -> None:
    """Those that were never read before all others; the rest have their turn later."""
    memory = Memory(budget_ns=2 * READ_NS + 500)
    processes = [memory.process(pid, rss_bytes=0) for pid in (1, 2, 3, 4, 5)]
    memory.cpu.step_ns = 2 * READ_NS
    read = [memory.tick(*processes) for _ in range(3)]
    assert read == [["1", "2"], ["3", "4"], ["5"]]
    assert {process.why_no_pss for process in processes} == {None}


def test_a_process_for_which_the_budget_must_be_saved_waits_until_it_is() -> None:
    """What costs ten ticks is read after ten ticks; until then the row says why it has none."""
    memory = Memory(budget_ns=MS)
    large = memory.process(5, rss_bytes=400 * MIB)
    ticks = 0
    while not memory.tick(large):
        ticks += 1
        assert (large.pss_bytes, large.why_no_pss) == (None, "over_budget")
    assert 8 <= ticks <= 10
    assert large.pss_bytes == 5 << 10


def test_a_process_that_costs_more_than_can_be_saved_is_never_read() -> None:
    """Of 200 GB the file takes seconds, in which the process may stand still."""
    memory = Memory(budget_ns=MS)
    huge = memory.process(5, rss_bytes=200_000 * MIB)
    assert [memory.tick(huge) for _ in range(2 * SAVED_TICKS)] == [[]] * (2 * SAVED_TICKS)
    assert huge.why_no_pss == "over_budget"


def test_reads_that_cost_more_than_expected_become_fewer() -> None:
    """What they took decides what the next ones are expected to take."""
    memory = Memory(budget_ns=MS)
    processes = [memory.process(pid, rss_bytes=0) for pid in range(1, 200)]
    memory.cpu.step_ns = 20 * MS
    counts = [len(memory.tick(*processes)) for _ in range(60)]
    assert counts[0] == MS // READ_NS
    # 20 ms in a tick are made up for by twenty ticks of 1 ms.
    assert sum(bool(count) for count in counts) <= 4


def test_a_value_that_became_too_old_is_not_shown() -> None:
    """There was no budget to refresh it."""
    memory = Memory(budget_ns=READ_NS + 100)
    process = memory.process(5, rss_bytes=0)
    memory.tick(process)
    process.rss_bytes = 200_000 * MIB
    memory.tick(process, seconds=BELIEVED_NS // S - 1)
    shown = [process.pss_bytes]
    memory.tick(process)
    assert [*shown, process.pss_bytes] == [5 << 10, None]
    assert process.why_no_pss == "over_budget"


@pytest.mark.parametrize(("state", "is_kernel_thread", "reason"), [("S", True, "kernel_thread"), ("Z", False, "vanished")])
def test_what_has_no_memory_of_its_own_is_not_read(state: str, is_kernel_thread: bool, reason: str) -> None:
    """Kernel threads and what has ended."""
    memory = Memory()
    process = tracked(5, state=state, is_kernel_thread=is_kernel_thread)
    assert memory.tick(process) == []
    assert (process.pss_bytes, process.why_no_pss) == (None, reason)


@pytest.mark.parametrize(("code", "reason"), [(errno.EACCES, "no_permission"), (errno.ESRCH, "vanished")])
def test_what_cannot_be_read_has_its_reason_and_is_not_asked_at_each_tick(code: int, reason: str) -> None:
    """It is tried again when others would be refreshed."""
    memory = Memory()
    process = memory.process(5)
    memory.tree.fail("5/smaps_rollup", code)
    assert [memory.tick(process), memory.tick(process)] == [["5"], []]
    assert (process.pss_bytes, process.why_no_pss) == (None, reason)


def test_a_text_without_the_line_is_unreadable() -> None:
    """A kernel that writes another file."""
    memory = Memory()
    process = memory.process(5)
    memory.tree.put("5/smaps_rollup", b"Rss: 5 kB\n")
    memory.tick(process)
    assert (process.pss_bytes, process.why_no_pss) == (None, "unreadable")


def test_a_read_that_takes_seconds_opens_the_breaker() -> None:
    """Nothing more is read, and the rows say so."""
    memory = Memory(budget_ns=MS)
    process, other = memory.process(5), memory.process(6)
    memory.cpu.step_ns = 4 * S
    memory.tick(process)
    assert [told.kind for told in memory.bus.conditions] == ["breaker_open:smaps_rollup"]
    assert [memory.tick(process, other) for _ in range(40)] == [[]] * 40
    assert other.why_no_pss == "breaker_open"


def test_switched_off_nothing_is_read() -> None:
    """A budget of nothing is the switch."""
    memory = Memory(budget_ns=0)
    process = memory.process(5)
    assert memory.tick(process) == []
    assert process.why_no_pss == "switched_off"


@pytest.mark.parametrize(
    ("text", "value"),
    [(TEXT % 3, 3072), (b"\nPss: 5 kB", 5120), (b"\nPss: x kB\n", None), (b"\nPss:\n", None), (b"", None), (b"\nPss: 5\n", None),
     (b"\nPss: %d kB\n" % (1 << 53), None)],
)  # fmt: skip
def test_the_line_is_found_or_there_is_no_value(text: bytes, value: int | None) -> None:
    """Damaged ones are no value."""
    assert parse_pss(text) == value
