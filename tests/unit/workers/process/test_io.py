"""Storage I/O of the processes that ran."""

import errno

import pytest
from fakes.bus import RecordingBus
from fakes.kernel_tree import MemoryTree
from fakes.side_reader import InlineReader
from fakes.tracked import CountedCpu, tracked
from hypothesis import given
from hypothesis import strategies as st

from workers.framework.condition import Conditions
from workers.process.breaker import FileBreaker
from workers.process.files import ProcFiles, side_read
from workers.process.io import LIMITS, READS_MAX, REFUSED_PERIOD_TICKS, IoReader, parse_io
from workers.process.tracked_process import ProcessIo, Scan, TrackedProcess

TEXT = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: %d\nwrite_bytes: %d\ncancelled_write_bytes: 7\n"


class Storage:
    """A reader over files that the test writes."""

    def __init__(self) -> None:
        self.tree = MemoryTree()
        self.side = InlineReader(side_read(self.tree, 4096))
        self.cpu = CountedCpu()
        self.bus = RecordingBus()
        self.files = ProcFiles(self.tree, lambda: None)
        self.reader = IoReader(self.files, self.side, FileBreaker("io", LIMITS, Conditions(self.bus)), self.cpu)

    def put(self, process: TrackedProcess, read: int, written: int) -> None:
        self.tree.put(f"{process.name}/io", TEXT % (read, written))

    def tick(self, *ran: TrackedProcess, started: tuple[TrackedProcess, ...] = (), gone: tuple[TrackedProcess, ...] = ()) -> Scan:
        """Measure those that ran."""
        scan = Scan(active=list(ran), touched=list(ran), started=list(started), gone=list(gone))
        self.reader.read(scan)
        return scan


def test_the_second_reading_has_the_interval() -> None:
    """The first one has only the totals; the sums get what belongs to the interval."""
    storage, process = Storage(), tracked(5)
    storage.put(process, 100, 1000)
    scan = storage.tick(process)
    assert (process.io, scan.io_read) == (ProcessIo(100, 1000, None, None), [process])
    storage.put(process, 103, 1004)
    storage.tick(process)
    assert process.io == ProcessIo(103, 1004, 3, 4)
    assert (process.totals.read_bytes, process.totals.write_bytes, process.why_no_io) == (3, 4, None)


def test_a_process_that_began_in_the_interval_did_all_of_it_there() -> None:
    """It has no reading before."""
    storage, process = Storage(), tracked(5)
    storage.put(process, 100, 1000)
    storage.tick(process, started=(process,))
    assert process.io == ProcessIo(100, 1000, 100, 1000)


def test_who_runs_again_keeps_its_file_open() -> None:
    """The first reading opens and closes it: most processes of a fork storm are read once."""
    storage, process = Storage(), tracked(5)
    storage.put(process, 1, 1)
    storage.tick(process)
    assert storage.tree.open_descriptors == 0
    storage.tick(process)
    storage.tick(process)
    assert storage.tree.open_descriptors == 1
    assert storage.tree.calls.count(("open", "5/io")) == 2
    storage.files.give_back("5")
    assert storage.tree.open_descriptors == 0


def test_all_are_read_in_one_hand_over_and_sleepers_are_not() -> None:
    """Whatever the number."""
    storage = Storage()
    processes = [tracked(pid) for pid in range(1, 51)]
    for process in processes:
        storage.put(process, 1, 1)
    storage.tick(*processes[:40])
    (paths,) = storage.side.hand_overs
    assert paths == [f"{pid}/io" for pid in range(1, 41)]


@pytest.mark.parametrize(
    ("code", "reason", "unreadable"),
    [(errno.EACCES, "no_permission", 1), (errno.ESRCH, "vanished", 0), (errno.EIO, "unreadable", 0)],
)
def test_what_cannot_be_read_has_its_reason(code: int, reason: str, unreadable: int) -> None:
    """Refused ones are counted."""
    storage, process = Storage(), tracked(5)
    storage.put(process, 1, 1)
    storage.tick(process)
    storage.tree.fail("5/io", code)
    storage.tick(process)
    assert (process.io, process.why_no_io, storage.reader.unreadable) == (None, reason, unreadable)


def test_a_refused_process_is_asked_again_once_in_a_while() -> None:
    """Not at each tick, and it is counted no longer when it can be read or has ended."""
    storage, process, other = Storage(), tracked(5), tracked(6)
    for each in (process, other):
        storage.put(each, 1, 1)
        storage.tree.fail(f"{each.name}/io", errno.EACCES)
    storage.tick(process, other)
    storage.side.hand_overs.clear()
    for _ in range(REFUSED_PERIOD_TICKS):
        storage.tick(process)
    assert sum(map(len, storage.side.hand_overs)) == 1
    assert storage.reader.unreadable == 2
    storage.tree.fail("5/io", None)
    for _ in range(REFUSED_PERIOD_TICKS):
        storage.tick(process)
    assert process.io is not None
    assert storage.reader.unreadable == 1
    storage.tick(gone=(other,))
    assert storage.reader.unreadable == 0


def test_a_process_that_does_not_answer_is_null_and_begins_again() -> None:
    """What it did meanwhile is not shown as if it were of one interval."""
    storage, process = Storage(), tracked(5)
    storage.put(process, 1, 1)
    storage.tick(process)
    storage.side.stuck_paths.add(storage.files.word_of("5/io"))
    storage.tick(process)
    assert (process.io, process.why_no_io) == (None, "not_answered")
    storage.side.stuck_paths.clear()
    storage.put(process, 9, 9)
    storage.tick(process)
    assert process.io == ProcessIo(9, 9, None, None)


def test_what_there_is_no_time_for_is_read_at_the_next_tick() -> None:
    """Those that ended meanwhile are not."""
    storage = Storage()
    processes = [tracked(pid) for pid in range(1, READS_MAX + 4)]
    for process in processes:
        storage.put(process, 1, 1)
    storage.tick(*processes)
    left = [process for process in processes if process.io is None]
    assert (len(left), {process.why_no_io for process in left}) == (3, {"over_budget"})
    storage.tick(gone=(left[0],))
    assert [process.io is None for process in left] == [True, False, False]


def test_while_the_breaker_is_open_values_are_absent() -> None:
    """Reads that take seconds are not repeated; a few are tried after a while."""
    storage, process = Storage(), tracked(5)
    storage.put(process, 1, 1)
    storage.cpu.step_ns = 10 * LIMITS.cost_ns_max
    storage.tick(process)
    storage.cpu.step_ns = 0
    assert [told.kind for told in storage.bus.conditions] == ["breaker_open:io"]
    storage.tick(process)
    assert (process.io, process.why_no_io) == (None, "breaker_open")
    for _ in range(40):
        storage.tick(process)
    assert process.io is not None
    assert [told.active for told in storage.bus.conditions] == [True, False]


def test_counters_that_go_back_are_nothing_done() -> None:
    """Never negative."""
    storage, process = Storage(), tracked(5)
    storage.put(process, 100, 100)
    storage.tick(process)
    storage.put(process, 5, 200)
    storage.tick(process)
    assert process.io == ProcessIo(5, 200, 0, 100)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [(TEXT % (5, 6), (5, 6)), (b"", None), (b"read_bytes: 5\nwrite_bytes: 6\n", None), (TEXT % (1 << 63, 1), None),
     (b"\nread_bytes: x\nwrite_bytes: 6\n", None), (b"\nread_bytes: 5\n", None)],
)  # fmt: skip
def test_two_lines_of_the_file_count(text: bytes, numbers: tuple[int, int] | None) -> None:
    """Anything else is no such file."""
    assert parse_io(text) == numbers


@given(st.binary(max_size=300))
def test_any_bytes_are_two_numbers_or_nothing(text: bytes) -> None:
    """Nothing is raised, for a prefix either."""
    found = [parse_io(text), *(parse_io((TEXT % (5, 6))[:end] + text[:3]) for end in range(len(TEXT)))]
    assert all(0 <= number < 1 << 63 for numbers in found if numbers is not None for number in numbers)
