"""What old kernels really send, through the sockets that the sources read: every death once, with its CPU."""

from errno import EPERM
from itertools import count
from types import SimpleNamespace
from typing import Self

import pytest
from fakes.bus import RecordingBus
from fakes.dying_world import tracked
from fakes.recorded_socket import KERNELS, RecordedSocket, facts, recorded
from fakes.row_problem import problem_of_row
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.table import Row
from agent.model.timebase import MS, S
from workers.process.exits import connector
from workers.process.exits.connector import ACKNOWLEDGED_NS_MAX, ConnectorListener
from workers.process.exits.connector_event import ConnectorExit, parse_exit
from workers.process.exits.deaths import Deaths, TickTimes
from workers.process.exits.taskstats import TaskstatsListener
from workers.process.exits.taskstats_record import FORKED, LAST_OF_GROUP, ExitRecords, parse_datagram
from workers.process.exits.watcher import ExitWatcher, Openers
from workers.process.process_table import ProcessTable, Scan
from workers.process.schema import PROCESS_EXIT
from workers.process.tracked_process import TrackedProcess

VERSIONS = {"5.10": 10, "6.1": 13, "6.12": 14}
# Answers to the orders come first.
TASKSTATS_ANSWERS, CONNECTOR_ANSWERS = 2, 1


def refused(_buffer_bytes: int) -> TaskstatsListener:
    raise PermissionError(EPERM, "netlink: Operation not permitted")


class Story:
    """The recorded host, looked at before the second process ends and afterwards."""

    def __init__(self, kernel: str, source: str) -> None:
        self.facts = facts(kernel)
        self.datagrams = recorded(kernel, source)
        self.bus = RecordingBus()
        if source == "taskstats":
            self.socket = RecordedSocket(self.datagrams[:TASKSTATS_ANSWERS])
            self.datagrams = self.datagrams[TASKSTATS_ANSWERS:]
            opened = TaskstatsListener("0", buffer_bytes=1 << 20, connection=self.socket)
            openers = Openers(taskstats=lambda _size: opened)
            self.first = self.facts["records_before_the_end"]
        else:
            self.socket = RecordedSocket(self.datagrams[:CONNECTOR_ANSWERS])
            self.datagrams = self.datagrams[CONNECTOR_ANSWERS:]
            openers = Openers(taskstats=refused, connector=self._open_connector)
            self.first = self.facts["events_before_the_end"]
        self.watcher = ExitWatcher(self.bus, buffer_bytes=1 << 20, openers=openers)
        self.table = ProcessTable.__new__(ProcessTable)
        self.table.processes = {}
        self.parent = self._track(self.facts["parent"], start_ns=0, ppid=1)
        self.threads = self._track(self.facts["threads"], start_ns=self.facts["start"], ppid=self.facts["parent"])
        self.threads.cpu_ns = self.facts["threads_cpu_ns_before_the_end"]
        # As it was seen while both threads ran.
        self.threads.stat = self.threads.stat._replace(threads=2)
        self.boot_ns = self.facts["start"]

    def _open_connector(self, buffer_bytes: int) -> ConnectorListener:
        return ConnectorListener(buffer_bytes=buffer_bytes, connection=self.socket)

    def _track(self, pid: int, *, start_ns: int, ppid: int) -> TrackedProcess:
        process = self.table.processes[str(pid)] = tracked(pid, start_ns=start_ns, ppid=ppid)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.watcher.close()

    def begin(self) -> Deaths:
        """A tick while the second process lives."""
        self.socket.play(self.datagrams[: self.first])
        return self.tick(Scan())

    def end(self) -> Deaths:
        """The tick after everything has ended."""
        self.socket.play(self.datagrams[self.first :])
        del self.table.processes[self.threads.name]
        return self.tick(Scan(gone=[self.threads]))

    def tick(self, scan: Scan) -> Deaths:
        # Less than the second process lived.
        self.boot_ns += 50 * MS
        deaths = self.watcher.settle(scan, self.table, TickTimes(self.boot_ns, self.boot_ns, self.boot_ns, S))
        assert [problem_of_row(PROCESS_EXIT, row) for row in deaths.rows] == [None] * len(deaths.rows)
        return deaths


def columns_of(row: Row) -> dict[str, object]:
    """A row by column."""
    return dict(zip(PROCESS_EXIT.column_names, row, strict=True))


def named(deaths: Deaths, pid: int) -> dict[str, object]:
    """The row of one process."""
    (found,) = [found for found in map(columns_of, deaths.rows) if found["pid"] == pid]
    return found


@pytest.mark.parametrize("kernel", KERNELS)
def test_records_have_the_layout_and_the_marks_of_their_version(kernel: str) -> None:
    """Before version 12 neither the process nor its last thread is named; a killed one always has its signal."""
    said = facts(kernel)
    parsed = [parse_datagram(each, said["family"]) for each in recorded(kernel, "taskstats")[TASKSTATS_ANSWERS:]]
    threads = [each.thread for each in parsed if each is not None and each.thread is not None]
    assert len(threads) == len(parsed) == 4
    assert {each.version for each in threads} == {VERSIONS[kernel]}
    names_process = VERSIONS[kernel] >= 12
    expected = [said["shell"], said["threads"], said["threads"], said["killed"]] if names_process else [0] * 4
    assert [each.tgid for each in threads] == expected
    assert [bool(each.flags & LAST_OF_GROUP) for each in threads] == [names_process, False, names_process, names_process]
    assert [each.exit_code for each in threads] == [3 << 8, 0, 7 << 8, 9]
    # Each of them ran a program of its own.
    assert not any(each.flags & FORKED for each in threads)


@pytest.mark.parametrize("late_ns", [ACKNOWLEDGED_NS_MAX, 10 * S])
def test_an_acknowledgement_that_was_there_in_time_counts_however_late_it_is_read(
    late_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gets no processor for a while after the order has not been refused; without an answer the source is given up."""
    times = count(0, late_ns)
    monkeypatch.setattr(connector, "time", SimpleNamespace(monotonic_ns=lambda: next(times)))
    others, answer = recorded("6.12", "connector")[CONNECTOR_ANSWERS:][:2], recorded("6.12", "connector")[:CONNECTOR_ANSWERS]
    ConnectorListener(buffer_bytes=1, connection=RecordedSocket([*others, *answer])).close()
    with pytest.raises(OSError, match="does not answer in this namespace"):
        ConnectorListener(buffer_bytes=1, connection=RecordedSocket(others))


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_death_is_counted_once_with_its_cpu(kernel: str) -> None:
    """The end of a thread is none, also where no record says whose it was."""
    with Story(kernel, "taskstats") as story:
        first, second = story.begin(), story.end()
        assert (first.source, first.count, first.unseen, second.count, second.unseen) == ("taskstats", 1, 1, 2, 1)
        shell, killed = named(first, story.facts["shell"]), named(second, story.facts["killed"])
        assert (shell["exit_code"], shell["signal"], killed["exit_code"], killed["signal"]) == (3, None, None, 9)
        assert shell["unit_from"] == killed["unit_from"] == "parent"
        threads = named(second, story.facts["threads"])
        assert (threads["exit_code"], threads["unit_from"], threads["start_ticks"]) == (7, "seen", story.threads.start_ticks)
        (group,) = (
            parsed.group
            for each in story.datagrams
            if (parsed := parse_datagram(each, story.facts["family"])) is not None and parsed.group is not None
        )
        # What both threads used by the kernel's count, less what the clock showed at the look; what the record misses is estimated.
        assert isinstance(threads["cpu_ns"], int)
        assert isinstance(threads["cpu_tail_ns"], int)
        since_ns = group.run_ns - story.facts["threads_cpu_ns_before_the_end"]
        assert max(0, since_ns) < threads["cpu_ns"] <= since_ns + 10 * MS
        assert story.bus.conditions == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_events_name_who_ended_with_a_filter_and_without(kernel: str) -> None:
    """Before Linux 6.6 forks and execs come too, whatever is ordered; none of them, and no thread's end, is a death."""
    said, datagrams = facts(kernel), recorded(kernel, "connector")[CONNECTOR_ANSWERS:]
    ends = [event for each in datagrams if (event := parse_exit(each)) is not None]
    parent = said["parent"]
    assert ends == [
        ConnectorExit(said["shell"], 3 << 8, parent),
        ConnectorExit(said["threads"], 7 << 8, parent),
        ConnectorExit(said["killed"], 9, parent),
    ]
    has_filter = tuple(map(int, kernel.split("."))) >= (6, 6)
    # The end of the thread is an event of its own.
    assert (len(datagrams) == len(ends) + 1) is has_filter


@pytest.mark.parametrize("kernel", KERNELS)
def test_without_records_the_events_of_every_kernel_count_deaths(kernel: str) -> None:
    """Their CPU is what the counters of their parent grew by: nothing of it is lost, or given to one of them."""
    with Story(kernel, "connector") as story:
        story.parent.interval_reaped_ns = 130 * MS
        first = story.watcher.settle(Scan(touched=[story.parent]), story.table, TickTimes(1, 1, story.boot_ns, S))
        assert (first.source, first.count, first.cpu_ns) == ("connector", 0, 130 * MS)
        story.parent.interval_reaped_ns = 0
        deaths = [story.begin(), story.end()]
        assert [(each.count, each.unseen) for each in deaths] == [(1, 1), (2, 1)]
        assert named(deaths[1], story.facts["killed"])["signal"] == 9
        assert [condition.kind for condition in story.bus.conditions] == ["sampler_fallback:exits"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_records_that_the_kernel_dropped_are_counted_and_their_cpu_is_their_parents(kernel: str) -> None:
    """One of four found no room. The counters of its parent have it, and what the records that came say is taken off."""
    with Story(kernel, "taskstats") as story:
        killed = recorded(kernel, "taskstats")[-1]
        story.datagrams.remove(killed)
        story.begin()
        story.socket.drops += 1
        story.parent.interval_reaped_ns = 300 * MS
        story.socket.play(story.datagrams[story.first :])
        del story.table.processes[story.threads.name]
        deaths = story.tick(Scan(gone=[story.threads], touched=[story.parent]))
        assert (deaths.lost, deaths.count) == (1, 1)
        (rest,) = [found for found in map(columns_of, deaths.rows) if found["pid"] is None]
        assert (rest["deaths"], rest["absent"]) == (0, "incomplete")
        came = parse_datagram(story.datagrams[-1], story.facts["family"])
        assert came is not None
        assert came.group is not None
        assert isinstance(rest["cpu_ns"], int)
        assert 300 * MS - came.group.run_ns - 20 * MS <= rest["cpu_ns"] <= 300 * MS - 40 * MS
        assert story.watcher.stats()["exit_records_lost"] == 1


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_cut_and_altered_bytes_are_counted_as_malformed_and_end_nothing(kernel: str, data: st.DataObject) -> None:
    """Whatever arrives, it is a record or is counted."""
    datagrams = recorded(kernel, "taskstats")
    altered = []
    for datagram in datagrams[TASKSTATS_ANSWERS:]:
        place = data.draw(st.integers(0, len(datagram) - 1))
        end = data.draw(st.integers(1, len(datagram)))
        altered.append((datagram[:place] + bytes([datagram[place] ^ 0xFF]) + datagram[place + 1 :])[:end])
    listener = TaskstatsListener("0", buffer_bytes=1, connection=RecordedSocket([*datagrams[:TASKSTATS_ANSWERS], *altered]))
    found = ExitRecords()
    listener.drain(found)
    listener.close()
    assert len(found.threads) + found.malformed == len(altered)
