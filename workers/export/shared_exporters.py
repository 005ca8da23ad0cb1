"""Several sinks in one process: each has its own cursor, thread and account, and they take turns in one loop.

It saves some MiB for each sink beyond the first. A crash of one ends the process of all, and each may repeat a delivery.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.ports import Clock, Interest
from workers.export.work import ExporterWork
from workers.framework.work import BaseWork


class SharedExporters(BaseWork):
    """The work of all sinks of a process (`agent.ports.Work`), by the names of their workers."""

    def __init__(self, clock: Clock, works: Mapping[str, ExporterWork]) -> None:
        super().__init__()
        assert works, "a process has at least one sink"
        self._clock = clock
        self._works = dict(works)
        self._owners: dict[int, ExporterWork] = {}

    def on_start(self, now_ns: int) -> None:
        """All of them start."""
        for work in self._works.values():
            work.on_start(now_ns)

    def next_deadline_ns(self) -> int | None:
        """The first that any of them wants."""
        wanted = (work.next_deadline_ns() for work in self._works.values())
        return min((deadline_ns for deadline_ns in wanted if deadline_ns is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        """One turn of each that is due."""
        for work in self._works.values():
            deadline_ns = work.next_deadline_ns()
            at_ns = self._clock.now_ns()
            if deadline_ns is not None and deadline_ns <= at_ns:
                work.on_timer(at_ns)

    def interests(self) -> tuple[Interest, ...]:
        """Those of all of them."""
        wanted = [(interest, work) for work in self._works.values() for interest in work.interests()]
        self._owners = {interest.descriptor: work for interest, work in wanted}
        return tuple(interest for interest, _work in wanted)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """The one that waits there takes it."""
        if (work := self._owners.get(descriptor)) is not None:
            work.on_readable(descriptor, now_ns)

    def stats(self) -> dict[str, Any]:
        """What each says of itself, by its name."""
        return {"members": {name: work.stats() for name, work in self._works.items()}}

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """Each leaves it out: the process is measured as a whole."""
        for work in self._works.values():
            work.on_level(steps, is_off=is_off)

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """All of them stop."""
        super().on_stop(now_ns, for_good=for_good)
        for work in self._works.values():
            work.on_stop(now_ns, for_good=for_good)

    def is_done(self) -> bool:
        """When all are."""
        return all(work.is_done() for work in self._works.values())
