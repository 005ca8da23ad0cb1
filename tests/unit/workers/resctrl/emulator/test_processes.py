"""Events of threads on their way to the emulation, and what /proc says about a thread."""

import os
import threading
import time
from collections.abc import Collection, Iterable
from types import SimpleNamespace

import pytest

from workers.resctrl.emulator import process_events
from workers.resctrl.emulator.process_events import (
    ConnectorEvents,
    EventKind,
    EventSource,
    PerfEvents,
    ThreadEvent,
    open_event_source,
)
from workers.resctrl.emulator.processes import HostThreads, ThreadWatch


class Told:
    """What the emulation hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def on_fork(self, parent_thread: int, child_thread: int, at_ns: int) -> None:
        self.heard.append(("fork", parent_thread, child_thread, at_ns))

    def on_exit(self, thread_id: int, at_ns: int) -> None:
        self.heard.append(("exit", thread_id, at_ns))

    def on_rescan(self, live: Iterable[int], at_ns: int) -> None:
        self.heard.append(("rescan", sorted(live), at_ns))


class Source:
    """News that a test writes."""

    name = "test"

    def __init__(self) -> None:
        self.events: list[ThreadEvent] = []
        self.lost = False

    def descriptors(self) -> list[int]:
        return []

    def drain(self) -> tuple[list[ThreadEvent], bool]:
        events, self.events = self.events, []
        lost, self.lost = self.lost, False
        return events, lost

    def close(self) -> None:
        pass


def watch(
    source: Source | None, processes: dict[int, set[int]] | None = None, still_there: Collection[int] = ()
) -> tuple[ThreadWatch, Told]:
    """A watch over these processes, at the instant 100; who has ended is gone, but for those who are still there."""
    told = Told()
    return ThreadWatch(source, lambda: processes or {}, lambda thread_id: thread_id in still_there, told, lambda: 100), told


def test_forks_and_exits_are_told_with_their_instants() -> None:
    """Everything that came is told in its order, once."""
    source = Source()
    source.events = [
        ThreadEvent(1, EventKind.FORK, 10, 11, 10),
        ThreadEvent(2, EventKind.EXIT, 10, 11),
        ThreadEvent(3, EventKind.FORK, 12, 12, 10),
    ]
    watched, told = watch(source)
    watched.settle()
    watched.settle()
    assert told.heard == [("fork", 10, 11, 1), ("exit", 11, 2), ("fork", 10, 12, 3)]
    assert (watched.events, watched.rescans) == (3, 0)


def test_lost_news_are_made_good_by_a_look() -> None:
    """After a loss all living threads are told; what had come before the loss is told first."""
    source = Source()
    watched, told = watch(source, {10: {10, 11}, 20: {20}})
    source.events, source.lost = [ThreadEvent(1, EventKind.FORK, 20, 20, 10)], True
    watched.settle()
    assert told.heard == [("fork", 10, 20, 1), ("rescan", [10, 11, 20], 100)]


def test_without_news_every_settling_is_a_look() -> None:
    """Where the kernel tells nothing the living threads are told each time."""
    watched, told = watch(None, {10: {10}})
    watched.settle()
    watched.settle()
    assert told.heard == [("rescan", [10], 100)] * 2


def test_exec_by_another_thread_hands_its_group_on() -> None:
    """Process 10 had the threads 11 and 12; all but 12 end, then 12 calls exec and is 10 from then on."""
    source = Source()
    watched, told = watch(source, {10: {10, 11}})
    source.events = [
        ThreadEvent(1, EventKind.FORK, 10, 12, 10),
        ThreadEvent(2, EventKind.EXIT, 10, 10),
        ThreadEvent(3, EventKind.EXIT, 10, 11),
        ThreadEvent(4, EventKind.EXEC, 10, 10),
    ]
    watched.settle()
    assert told.heard[-4:] == [("exit", 11, 3), ("exit", 10, 3), ("fork", 12, 10, 4), ("exit", 12, 4)]


def test_a_process_stays_until_somebody_has_waited_for_it() -> None:
    """The end of a process is told when it is gone, not when it has ended; another thread's end is told at once."""
    source = Source()
    still_there = {10}
    watched, told = watch(source, {10: {10, 11}}, still_there)
    source.events = [ThreadEvent(1, EventKind.EXIT, 10, 10), ThreadEvent(2, EventKind.EXIT, 10, 11)]
    watched.settle()
    assert told.heard == [("exit", 11, 2)]
    still_there.clear()
    watched.settle()
    watched.settle()
    assert told.heard == [("exit", 11, 2), ("exit", 10, 100)]


def test_a_number_that_is_given_anew_was_somebody_who_has_gone() -> None:
    """When a fork makes a number that a process had, that process has ended before."""
    source = Source()
    watched, told = watch(source, {10: {10}}, {10})
    source.events = [ThreadEvent(1, EventKind.EXIT, 10, 10), ThreadEvent(9, EventKind.FORK, 10, 10, 7)]
    watched.settle()
    assert told.heard == [("exit", 10, 8), ("fork", 7, 10, 9)]


def test_exec_by_the_first_thread_changes_nothing() -> None:
    """When the others have ended the first thread's exec is no news for the groups."""
    source = Source()
    watched, told = watch(source, {10: {10, 11}})
    source.events = [ThreadEvent(3, EventKind.EXIT, 10, 11), ThreadEvent(4, EventKind.EXEC, 10, 10)]
    watched.settle()
    assert told.heard == [("exit", 11, 3)]


def test_every_thread_of_the_host_is_known() -> None:
    """Each thread of this process exists, is listed, has its owner and its CPU time; a number that is nobody's has none."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        threads = HostThreads()
        assert thread.native_id is not None
        assert {os.getpid(), thread.native_id} <= set(threads.live())
        assert thread.native_id in threads.processes()[os.getpid()]
        assert threads.exists(thread.native_id)
        assert threads.owner(thread.native_id) == (os.getuid(), os.getuid())
        ticks, cpu = threads.cpu_time(thread.native_id)
        # It only waits; the sum of its process would be much more.
        assert (ticks, cpu < (os.cpu_count() or 1)) == (0, True)
    finally:
        ended.set()
        thread.join()
    nobody = 2**22 + 1
    assert not threads.exists(nobody)
    for question in (threads.owner, threads.cpu_time):
        with pytest.raises(ProcessLookupError):
            question(nobody)


def _child_that_ended() -> int:
    """Its number."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hears of everybody's forks")
@pytest.mark.parametrize("kind", [PerfEvents, ConnectorEvents])
def test_the_kernel_tells_of_a_fork(kind: type[PerfEvents] | type[ConnectorEvents]) -> None:
    """A child that comes and goes is two events, in order, with this thread as its parent."""
    source: EventSource = kind()
    try:
        # A storm of forks beside it may fill the buffer meanwhile.
        for _ in range(20):
            child = _child_that_ended()
            events, lost = source.drain()
            if not lost:
                break
    finally:
        source.close()
    assert not lost
    mine = [event for event in events if event.thread == child]
    assert [(event.kind, event.process) for event in mine] == [(EventKind.FORK, child), (EventKind.EXIT, child)]
    assert mine[0].parent == threading.get_native_id()
    assert mine[0].at_ns < mine[1].at_ns


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hears of everybody's forks")
def test_what_happens_while_rings_are_read_waits_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One CPU's ring is read before another one's: a thread that begins on the first and ends on the second would only end."""
    source = PerfEvents()
    try:
        for _ in range(20):
            began_ns = time.monotonic_ns()
            child = _child_that_ended()
            with monkeypatch.context() as patched:
                patched.setattr(process_events, "time", SimpleNamespace(monotonic_ns=lambda at_ns=began_ns: at_ns))
                early, lost = source.drain()
            late, _ = source.drain()
            if not lost:
                break
    finally:
        source.close()
    assert all(event.at_ns <= began_ns for event in early)
    assert [event.kind for event in late if event.thread == child] == [EventKind.FORK, EventKind.EXIT]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hears of everybody's forks")
def test_only_perf_knows_which_thread_made_a_thread() -> None:
    """A thread made by another than the first is told with its maker by perf, with the first thread by the connector."""
    makers: dict[str, tuple[int, int]] = {}

    def make(name: str) -> None:
        child = threading.Thread(target=lambda: None)
        child.start()
        child.join()
        makers[name] = (child.native_id or 0, threading.get_native_id())

    parents = {}
    for source in (PerfEvents(), ConnectorEvents()):
        try:
            maker = threading.Thread(target=make, args=(source.name,))
            maker.start()
            maker.join()
            events, _ = source.drain()
        finally:
            source.close()
        child_id, maker_id = makers[source.name]
        (fork,) = (event for event in events if event.kind == EventKind.FORK and event.thread == child_id)
        parents[source.name] = (fork.parent, maker_id)
    told, truth = parents["perf"]
    assert told == truth
    assert parents["process connector"][0] == os.getpid()


def test_the_first_source_that_works_is_taken() -> None:
    """One that is not allowed is passed over; where none works there is none."""

    def refused() -> EventSource:
        raise PermissionError(1, "not here")

    source = Source()
    assert open_event_source((refused, lambda: source)) is source
    assert open_event_source((refused, refused)) is None
