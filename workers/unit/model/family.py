"""Which process of a unit is its root: the one that all others descend from. PURE."""

from collections.abc import Iterable

from msgspec import Struct

from agent.model.proc_stat import Stat


class Relative(Struct, frozen=True):
    """One process of a unit: its number, its name and what else its line of `/proc/PID/stat` says."""

    pid: int
    comm: str
    stat: Stat

    @property
    def birth(self) -> tuple[int, int]:
        """What tells it from every other process of this boot."""
        return self.pid, self.stat.start_ticks

    def is_as(self, before: "Relative") -> bool:
        """Whether it is the same process under the same name: to execute another program, or to write a title, changes the name."""
        return self.birth == before.birth and self.comm == before.comm and not self.stat.is_ended


def parse_pids(text: bytes, most: int) -> list[int]:
    """The first numbers of `cgroup.procs`. A process that this namespace has no number for is listed as 0, and left out."""
    return [pid for word in text.split(None, most)[:most] if word.isdigit() and (pid := int(word))]


def in_order_of_descent(processes: Iterable[Relative]) -> list[Relative]:
    """The root first, then the others by their start. Those that have ended are left out.

    The root is started from outside of the unit. Where there are several such processes, it is the oldest: others were put into
    a unit that was there, as `kubectl exec` does.
    """
    alive = sorted((each for each in processes if not each.stat.is_ended), key=lambda each: (each.stat.start_ticks, each.pid))
    pids = {each.pid for each in alive}
    roots = [each for each in alive if each.stat.ppid not in pids][:1]
    return [*roots, *(each for each in alive if each not in roots)]
