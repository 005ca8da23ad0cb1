"""Random hosts: whatever starts, ends, works, moves or cannot be read, top rows and tail are the whole host, exactly."""

import errno
from heapq import nlargest
from typing import ClassVar

from fakes.host import NS_PER_CLOCK_TICK, OTHER_POD, OTHER_POD_CGROUP, PAGE_BYTES, POD, POD_CGROUP, Host, Process, Tick
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from workers.process.exits.deaths import Deaths

POD_OF = {"/": None, "/system.slice": "/system.slice", POD_CGROUP: POD, OTHER_POD_CGROUP: OTHER_POD}
TOP_ROWS = 2

pids = st.integers(min_value=1, max_value=9)
cgroups = st.sampled_from(sorted(POD_OF))
clock_ticks = st.integers(min_value=0, max_value=300)
pages = st.integers(min_value=0, max_value=50)


class HostStory(RuleBasedStateMachine):
    """Between two ticks anything happens; each tick is compared with sums made from scratch over all processes."""

    has_clocks: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.host = Host(top_rows=TOP_ROWS, has_clocks=self.has_clocks)
        # What the probe read last of each process: (start, CPU).
        self.known: dict[int, tuple[int, int]] = {}
        self.last_uptime_ticks: int | None = None
        self.broken: set[int] = set()
        self.names = 0
        self.births = 0

    @rule(pid=pids, cpu=clock_ticks, rss=pages, cgroup=cgroups)
    def begin_process(self, pid: int, cpu: int, rss: int, cgroup: str) -> None:
        """A process starts; one of the same number ends first."""
        self._mend(pid)
        if pid in self.host.processes:
            self.host.die(pid)
        # No two processes ever have the same time on their clock.
        self.births += 1
        self.host.born(pid, cpu_ticks=cpu, rss_pages=rss, cgroup=cgroup, slices=self.births * 1000, short_runs=self.births * 1000)

    @rule(pid=pids)
    def end_process(self, pid: int) -> None:
        """A process dies."""
        self._mend(pid)
        if pid in self.host.processes:
            self.host.die(pid)

    @precondition(lambda self: self.host.processes)
    @rule(data=st.data(), cpu=clock_ticks, rss=pages)
    def work(self, data: st.DataObject, cpu: int, rss: int) -> None:
        """A process uses CPU and changes its memory."""
        process = self._draw(data)
        self.host.change(process.pid, cpu_ticks=process.cpu_ticks + cpu, rss_pages=rss)

    @precondition(lambda self: self.host.processes)
    @rule(data=st.data(), cgroup=cgroups)
    def move(self, data: st.DataObject, cgroup: str) -> None:
        """A process is moved and runs another program, as container runtimes do it."""
        process = self._draw(data)
        self.names += 1
        self.host.change(process.pid, cgroup=cgroup, name=b"n%d" % self.names)

    @precondition(lambda self: self.host.processes)
    @rule(data=st.data(), kind=st.sampled_from([errno.ESRCH, errno.ENOENT, errno.EACCES, None]))
    def break_line(self, data: st.DataObject, kind: int | None) -> None:
        """For the next tick a line cannot be read, or (None) not be parsed."""
        process = self._draw(data)
        self.broken.add(process.pid)
        if kind is None:
            self.host.change(process.pid)
            self.host.tree.put(f"{process.pid}/stat", b"what is this")
        else:
            self.host.fail(process.pid, kind)

    @rule(descriptors_max=st.integers(min_value=2, max_value=12))
    def limit_descriptors(self, descriptors_max: int) -> None:
        """The limit of open files of the sampler falls or rises, never below what it has open."""
        self.host.tree.descriptors_max = max(descriptors_max, self.host.tree.open_descriptors + 1)

    @rule(count=st.integers(1, 5), cpu_ns=st.integers(0, 10**10))
    def end_unseen(self, count: int, cpu_ns: int) -> None:
        """Processes began and ended within the tick."""
        self.host.exits.next = Deaths(count=count, unseen=count, cpu_ns=cpu_ns)

    @rule()
    def tick(self) -> None:
        """Measure, and compare."""
        is_first, deaths = self.last_uptime_ticks is None, self.host.exits.next
        tick = self.host.tick()
        self._check_account(tick, Deaths() if is_first else deaths)
        visible = [process for pid, process in self.host.processes.items() if pid not in self.broken]
        used = {process.pid: self._used(process) for process in visible}
        expected: dict[str | None, tuple[int, int, int]] = {}
        for process in visible:
            processes, cpu_ns, rss_bytes = expected.get(POD_OF[process.cgroup], (0, 0, 0))
            cpu_ns += used[process.pid] or 0
            expected[POD_OF[process.cgroup]] = (processes + 1, cpu_ns, rss_bytes + process.rss_pages * PAGE_BYTES)
        assert tick.sums() == expected
        self._check_rows(tick, visible, used)
        for row in tick.rows:
            assert row["cpu_ns"] == used[row["pid"]]
            assert row["start_ticks"] == self.host.processes[row["pid"]].start_ticks
            assert row["comm"] == self.host.processes[row["pid"]].name.decode()
        self.known = {process.pid: (process.start_ticks, self._cpu_ns(process)) for process in visible}
        self.last_uptime_ticks = self.host.uptime_ticks
        for pid in list(self.broken):
            self._mend(pid)

    def _check_account(self, tick: Tick, deaths: Deaths) -> None:
        """Rows, tail and the dead are what the account says, and no process is larger than the largest of its sum."""
        scan = tick.scan
        assert scan["processes"] == len(tick.rows) + sum(tail["processes"] for tail in tick.tails)
        assert (scan["cpu_dead_ns"] or 0) == deaths.cpu_ns
        for name, dead in (("cpu_ns", deaths.cpu_ns), ("rss_bytes", 0), ("threads", 0), ("read_bytes", 0), ("write_bytes", 0)):
            assert (scan[name] or 0) == sum(row[name] or 0 for row in [*tick.rows, *tick.tails]) + dead, name
        named = {row["pid"] for row in tick.rows}
        for tail in tick.tails:
            rest = [
                process.rss_pages * PAGE_BYTES
                for process in self.host.processes.values()
                if process.pid not in named | self.broken and POD_OF[process.cgroup] == tail["pod_uid"]
                and process.name.decode() == tail["command"]
            ]  # fmt: skip
            assert (tail["processes"], tail["rss_largest_bytes"]) == (len(rest), max(rest, default=0))

    def _check_rows(self, tick: Tick, visible: list[Process], used: dict[int, int | None]) -> None:
        """As many rows for each metric as have a value of it, hardly less than the largest; the account says what they hold."""
        cpu = {process.pid: used[process.pid] or 0 for process in visible}
        rss = {process.pid: process.rss_pages for process in visible}
        for word, values in (("cpu", cpu), ("rss", rss)):
            named = {row["pid"] for row in tick.rows if word in row["chosen_for"].split(",")}
            candidates = len(values) if word == "rss" else sum(value > 0 for value in values.values())
            assert len(named) == min(TOP_ROWS, candidates) == tick.scan[f"{word}_rows"]
            held = sum(values[row["pid"]] for row in tick.rows)
            assert held >= 0.75 * sum(nlargest(TOP_ROWS, values.values()))
            whole = sum(values.values()) + (tick.scan["cpu_dead_ns"] or 0 if word == "cpu" else 0)
            assert tick.scan[f"{word}_capture"] == (held / whole if whole else None)

    def teardown(self) -> None:
        """Everything that was opened is given back."""
        self.tick()
        self.host.probe.close()
        assert self.host.tree.open_descriptors == 0

    def _cpu_ns(self, process: Process) -> int:
        return process.run_ns if self.has_clocks else process.cpu_ticks * NS_PER_CLOCK_TICK

    def _used(self, process: Process) -> int | None:
        start_ticks, cpu_ns = self.known.get(process.pid, (-1, 0))
        if start_ticks == process.start_ticks:
            return self._cpu_ns(process) - cpu_ns
        is_born = self.last_uptime_ticks is not None and process.start_ticks >= self.last_uptime_ticks
        return self._cpu_ns(process) if is_born else None

    def _draw(self, data: st.DataObject) -> Process:
        pid = data.draw(st.sampled_from(sorted(self.host.processes)))
        self._mend(pid)
        return self.host.processes[pid]

    def _mend(self, pid: int) -> None:
        self.broken.discard(pid)
        self.host.fail(pid, None)
        if pid in self.host.processes:
            self.host.show(self.host.processes[pid])


class PolledHostStory(HostStory):
    """The same where there are no clocks."""

    has_clocks: ClassVar[bool] = False


TestHostStory = HostStory.TestCase
TestHostStory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestPolledHostStory = PolledHostStory.TestCase
TestPolledHostStory.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
