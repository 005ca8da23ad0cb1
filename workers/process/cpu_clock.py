"""The CPU clock of each process: run time of all its threads, ended ones included, in ns. It tells which processes ran. PURE.

Reading it opens no file and formats no text. A process whose clock stands still did not run, so it cannot have changed its name,
program, user, arguments or threads: nothing else of it needs to be read. All clocks are read and compared without a step of Python
for each. *Source:* clock_getcpuclockid(3), linux/kernel/time/posix-cpu-timers.c.
"""

from collections.abc import Callable
from contextlib import suppress

from agent.ports import KernelTree

STATUS_BYTES_MAX = 8 << 10
# *Source:* linux/include/linux/posix-timers_types.h, CPUCLOCK_SCHED and MAKE_PROCESS_CPUCLOCK.
_SCHED, _PID_SHIFT = 2, 3


def cpu_clock_of(pid: int) -> int:
    """The number of the CPU clock of a process."""
    return (~pid << _PID_SHIFT) | _SCHED


def has_clocks(tree: KernelTree, own_pid: int) -> bool:
    """Whether clocks can be had of the processes of this tree.

    A clock is named by a number of our own PID namespace. A `/proc` of another one, such as the host's in a container, has other
    numbers: it knows this process by several of them (`NSpid` of proc_pid_status(5)), or by another.
    """
    if tree.read_clocks([cpu_clock_of(own_pid)])[0] is None:
        return False
    text = b""
    with suppress(OSError):
        text = tree.read("self/status", STATUS_BYTES_MAX)
    numbers = [line.split()[1:] for line in text.split(b"\n") if line.startswith(b"NSpid:")]
    return numbers == [[b"%d" % own_pid]]


class ClockWatch:
    """The clocks of the watched processes. `beat` is called after each `clocks_per_beat` of them."""

    def __init__(self, tree: KernelTree, *, beat: Callable[[], None], clocks_per_beat: int) -> None:
        self._tree = tree
        self._beat = beat
        self._clocks_per_beat = clocks_per_beat
        # One place in each list per process; the last one takes the place of one that is removed.
        self._names: list[str] = []
        self._clocks: list[int] = []
        self._times: list[int | None] = []
        self._places: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def add(self, name: str) -> int | None:
        """Watch a process from now on; gives its run time in ns. *Absent:* it has ended, and is not watched."""
        assert name not in self._places, "a process is watched once"
        clock = cpu_clock_of(int(name))
        (time_ns,) = self._tree.read_clocks([clock])
        if time_ns is not None:
            self._places[name] = len(self._names)
            self._names.append(name)
            self._clocks.append(clock)
            self._times.append(time_ns)
        return time_ns

    def remove(self, name: str) -> None:
        """Watch it no longer, if it is watched."""
        place = self._places.pop(name, None)
        if place is None:
            return
        last_name, last_clock, last_time = self._names.pop(), self._clocks.pop(), self._times.pop()
        if last_name != name:
            self._places[last_name] = place
            self._names[place], self._clocks[place], self._times[place] = last_name, last_clock, last_time

    def changed(self) -> list[tuple[str, int | None]]:
        """Those that ran since the last call, with their run time in ns; None: it has ended, and must be removed."""
        found: list[tuple[str, int | None]] = []
        for start in range(0, len(self._clocks), self._clocks_per_beat):
            part = slice(start, start + self._clocks_per_beat)
            times, before = self._tree.read_clocks(self._clocks[part]), self._times[part]
            if times != before:
                each = zip(self._names[part], times, before, strict=True)
                found += [(name, time_ns) for name, time_ns, old in each if time_ns != old]
                self._times[part] = times
            if len(times) == self._clocks_per_beat:
                self._beat()
        return found
