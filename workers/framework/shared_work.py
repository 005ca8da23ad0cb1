"""Several samplers in one process: each has its own grid, interval and outbox, and they take their turns.

One that cannot read says so in a condition of its own and keeps no other from its ticks. What one does while another waits counts
as the process's own work, should it make a tick of the other late.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.model.rule_state import RuleState
from agent.ports import Clock, Interest
from workers.framework.sampler_work import SamplerWork
from workers.framework.work import BaseWork


class SharedWork(BaseWork):
    """The work of all samplers of a process (`agent.ports.Work`), by name, in the order of their turns."""

    def __init__(self, clock: Clock, works: Mapping[str, SamplerWork]) -> None:
        super().__init__()
        assert works, "a process has at least one sampler"
        self._clock = clock
        self._works = dict(works)
        self._owners: dict[int, SamplerWork] = {}

    def on_start(self, now_ns: int) -> None:
        """All of them start; the ticks of one interval have one grid."""
        for work in self._works.values():
            work.on_start(self._clock.now_ns())

    def on_rules(self, rules: RuleState) -> None:
        """Each follows them."""
        for work in self._works.values():
            self._take_turn(work, lambda each=work: each.on_rules(rules))  # type: ignore[misc]  # mypy infers no default of a lambda

    def next_deadline_ns(self) -> int | None:
        """The first that any of them wants."""
        room_until_ns = self._first_tick_ns()
        wanted = (work.next_deadline_ns(room_until_ns) for work in self._works.values())
        return min((deadline_ns for deadline_ns in wanted if deadline_ns is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        """One turn of each that is due: ticks of one moment one after the other."""
        for work in self._works.values():
            deadline_ns = work.next_deadline_ns(self._first_tick_ns())
            at_ns = self._clock.now_ns()
            if deadline_ns is not None and deadline_ns <= at_ns:
                self._take_turn(work, lambda each=work, now=at_ns: each.on_timer(now))  # type: ignore[misc]  # as above

    def interests(self) -> tuple[Interest, ...]:
        """Those of all of them."""
        wanted = [(interest, work) for work in self._works.values() for interest in work.interests()]
        self._owners = {interest.descriptor: work for interest, work in wanted}
        return tuple(interest for interest, _work in wanted)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """The one that waits there takes it."""
        if (work := self._owners.get(descriptor)) is not None:
            self._take_turn(work, lambda: work.on_readable(descriptor, now_ns))

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """The one that waits there goes on."""
        if (work := self._owners.get(descriptor)) is not None:
            self._take_turn(work, lambda: work.on_writable(descriptor, now_ns))

    def stats(self) -> dict[str, Any]:
        """What each says of itself, by its name."""
        return {"members": {name: work.stats() for name, work in self._works.items()}}

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """Each leaves it out: the process is measured as a whole."""
        for work in self._works.values():
            work.on_level(steps, is_off=is_off)

    def on_taken_over(self, now_ns: int) -> None:
        """Each is told."""
        for work in self._works.values():
            work.on_taken_over(now_ns)

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """All of them stop."""
        super().on_stop(now_ns, for_good=for_good)
        for work in self._works.values():
            work.on_stop(self._clock.now_ns(), for_good=for_good)

    def is_done(self) -> bool:
        """When all are."""
        return all(work.is_done() for work in self._works.values())

    def _first_tick_ns(self) -> int | None:
        """Until when there is room for work that need not be done at once."""
        ticks = (work.next_tick_ns for work in self._works.values())
        return min((tick_ns for tick_ns in ticks if tick_ns is not None), default=None)

    def _take_turn(self, work: SamplerWork, turn: Callable[[], None]) -> None:
        began_ns = self._clock.now_ns()
        turn()
        took_ns = self._clock.now_ns() - began_ns
        for other in self._works.values():
            if other is not work:
                other.note_busy(took_ns)
