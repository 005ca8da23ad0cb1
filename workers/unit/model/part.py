"""The part of the unit sampler that says which model each unit serves: rows of table `unit_model`.

Everything is asked in threads beside (`workers.unit.model.side_queue`): a tick hands over a few units that are due, and takes what
has come back. Who is believed is decided in `workers.unit.model.finding`, when is looked in `look_times`.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from agent.model.absence import Absence
from agent.model.rule import Unit, UnitKind
from agent.model.table import Row
from agent.model.timebase import DAY, MINUTE
from agent.side_reader import Unanswered
from workers.framework.sampler import Sample
from workers.unit.model.engine_address import EngineAddress, engine_of
from workers.unit.model.family import Relative
from workers.unit.model.finding import LABEL, ModelFinding, ModelSource, UnitModel, decide, in_common, of_container, of_label
from workers.unit.model.look import Look, LookOrder
from workers.unit.model.look_times import LONGEST_NS, WATCH_NS, LookTimes, distance_ns
from workers.unit.part import QuietPart
from workers.unit.schema import UNIT_MODEL
from workers.unit.tracked_unit import Instant, TrackedUnit

# At the agent's start all units are new; they are handed over in parts, and the ticks are not for that.
LOOKS_PER_TICK = 16
# When a day begins everything that is known is told again, in parts.
ROWS_PER_TICK = 256
# An engine that answers may load another model.
ASK_NS = 1 * MINUTE
REASONS = {Unanswered.STUCK: Absence.NOT_ANSWERED, Unanswered.NOT_ASKED: Absence.READERS_STUCK}

UnitKey = tuple[str, str | None]
Asked = TypeVar("Asked", contravariant=True)
Came = TypeVar("Came", covariant=True)


class AsideQueue(Protocol[Asked, Came]):
    """What `workers.unit.model.side_queue.SideQueue` is here."""

    @property
    def waiting(self) -> int:
        """Asks without an answer yet."""
        ...

    @property
    def stuck(self) -> int:
        """Threads that have not come back."""
        ...

    def put(self, key: Hashable, ask: Asked) -> None:
        """Ask."""
        ...

    def collect(self) -> Sequence[tuple[Hashable, Came | Unanswered]]:
        """What has come."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class _ServingUnit:
    """One unit or container: what each source said last, and what its last row says.

    `first` is what the arguments of its root said at first; `known` are the processes that are watched. `is_due`: a day has begun.
    """

    def __init__(self, unit: TrackedUnit, number: int) -> None:
        self.unit = unit
        # Of those that have the same key one after the other.
        self.number = number
        self.label: ModelFinding | None = None
        self.engine: ModelFinding | None = None
        self.first: ModelFinding | None = None
        self.seen: tuple[ModelFinding, ...] = ()
        self.root: Relative | None = None
        self.known: tuple[Relative, ...] = ()
        self.looks = self.asks = 0
        self.is_asked = False
        self.told: UnitModel | None = None
        self.is_due = False

    @property
    def is_looked_at(self) -> bool:
        """The processes of a pod are in its containers; a slice has none."""
        return self.unit.kind is not UnitKind.SLICE and (self.unit.kind is not UnitKind.POD or self.unit.pod is not None)

    def take(self, look: Look) -> None:
        """What was seen now. Of a root that has written over its arguments, what it was started with stays."""
        is_same_root = look.root is not None and self.root is not None and look.root.birth == self.root.birth
        said = next((each for each in look.findings if each.source is ModelSource.ARGUMENTS and each.told is not None), None)
        if said is not None or not is_same_root:
            self.first = said
        if not is_same_root and self.root is not None:
            # Another program, which may take a while to become what it will be.
            self.looks = 1
        self.root = look.root
        self.seen = look.findings if self.first is None or self.first is said else (self.first, *look.findings)
        watched = () if look.root is None else (look.root, *(each for each in look.tellers if each.pid != look.root.pid))
        self.known = watched if self.first is not None or look.tellers else ()


class UnitModels(QuietPart):
    """`looks` look at processes. `asks` ask the `engines` that the operator named; None where there are none."""

    def __init__(
        self,
        looks: AsideQueue[LookOrder, Look],
        asks: AsideQueue[EngineAddress, ModelFinding] | None = None,
        engines: Iterable[EngineAddress] = (),
    ) -> None:
        self._looks = looks
        self._asks = asks
        self._engines = {engine.unit: engine for engine in engines}
        self._named: Mapping[str, Unit] = {}
        self._is_renamed = False
        self._followed: dict[UnitKey, _ServingUnit] = {}
        self._look_times: LookTimes[UnitKey] = LookTimes()
        self._ask_times: LookTimes[UnitKey] = LookTimes()
        # Units that may have a row now, and the rows of those that ended in this tick.
        self._changed: dict[UnitKey, None] = {}
        self._ended: dict[UnitKey, Row] = {}
        self._day: int | None = None
        self._number = 0
        self.looked = self.unanswered = self.asked = self.unasked = 0

    # ---- units -------------------------------------------------------------------------------------

    def on_units(self, units: Mapping[str, Unit]) -> None:
        """See `UnitPart`."""
        self._named = units
        self._is_renamed = True

    def begin(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`."""
        self._number += 1
        followed = self._followed[unit.key] = _ServingUnit(unit, self._number)
        if followed.is_looked_at:
            self._look_times.put(unit.key)
        if unit.pod is None:
            self._take_name(followed)

    def end(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`. It serves nothing any more."""
        followed = self._followed.pop(unit.key, None)
        self._look_times.drop(unit.key)
        self._ask_times.drop(unit.key)
        self._changed.pop(unit.key, None)
        if followed is not None and followed.told is not None:
            self._ended[unit.key] = _row(unit, at, UnitModel(followed.told.source, absent=Absence.VANISHED))
        if unit.pod is not None:
            self._changed[unit.pod.key] = None

    def rows(self, at: Instant) -> Sample:
        """See `UnitPart`: of what is new, changed or gone, and once a day of everything."""
        if self._is_renamed:
            self._is_renamed = False
            for followed in self._followed.values():
                if followed.unit.pod is None:
                    self._take_name(followed)
        self._collect(at)
        self._begin_day(at)
        rows, self._ended = self._ended, {}
        for key in list(self._changed)[: max(0, ROWS_PER_TICK - len(rows))]:
            del self._changed[key]
            if (row := self._tell(key, at)) is not None:
                rows[key] = row
        self._hand_over(at)
        return ((UNIT_MODEL, list(rows.values())),) if rows else ()

    def stats(self) -> dict[str, Any]:
        """Units whose model is known, looks and asks so far, and those without an answer."""
        return {
            "models": sum(each.told is not None and each.told.model is not None for each in self._followed.values()),
            "model_looks": self.looked,
            "model_looks_unanswered": self.unanswered,
            "model_looks_stuck": self._looks.stuck,
            "engine_asks": self.asked,
            "engine_asks_unanswered": self.unasked,
        }

    def close(self) -> None:
        """Wait for nothing any more."""
        self._looks.close()
        if self._asks is not None:
            self._asks.close()

    # ---- what the operator says --------------------------------------------------------------------

    def _engine_of(self, unit: TrackedUnit) -> EngineAddress | None:
        return engine_of(self._named.get(unit.uid), self._engines)

    def _take_name(self, followed: _ServingUnit) -> None:
        """The name of a pod, and its labels, may come after the pod."""
        named = self._named.get(followed.unit.uid)
        label = of_label(None if named is None else named.labels.get(LABEL))
        if label != followed.label:
            followed.label = label
            self._changed[followed.unit.key] = None
        if not followed.is_asked and self._engine_of(followed.unit) is not None:
            followed.is_asked = True
            self._ask_times.put(followed.unit.key)

    # ---- looks and answers -------------------------------------------------------------------------

    def _hand_over(self, at: Instant) -> None:
        """Behind all else that a tick does, so that the threads have the time until the next one."""
        for key in self._look_times.take(at.now_ns, LOOKS_PER_TICK - self._looks.waiting):
            followed = self._followed[key]
            unit, is_workload = followed.unit, followed.unit.kind is UnitKind.WORKLOAD
            self.looked += 1
            order = LookOrder(unit.uid, unit.cgroup, f"{unit.home}{unit.path}".lstrip("/"), is_workload, followed.known)
            self._looks.put((key, followed.number), order)
        if self._asks is None:
            return
        for key in self._ask_times.take(at.now_ns, len(self._engines)):
            followed = self._followed[key]
            if (engine := self._engine_of(followed.unit)) is not None:
                self.asked += 1
                self._asks.put((key, followed.number), engine)

    def _collect(self, at: Instant) -> None:
        for ticket, look in self._looks.collect():
            if (followed := self._of_ticket(ticket)) is not None:
                self._take_look(followed, look, at)
        for ticket, answer in () if self._asks is None else self._asks.collect():
            if (followed := self._of_ticket(ticket)) is not None:
                self._take_answer(followed, answer, at)

    def _of_ticket(self, ticket: Hashable) -> _ServingUnit | None:
        """*Absent:* the unit has ended; another one may have its key now."""
        assert isinstance(ticket, tuple)
        followed = self._followed.get(ticket[0])
        return followed if followed is not None and followed.number == ticket[1] else None

    def _take_look(self, followed: _ServingUnit, look: Look | Unanswered, at: Instant) -> None:
        followed.looks += 1
        before = followed.seen
        if isinstance(look, Unanswered):
            self.unanswered += 1
            followed.seen = before or (ModelFinding(ModelSource.ARGUMENTS, None, REASONS[look]),)
        elif not look.is_same:
            followed.take(look)
        if followed.seen != before:
            self._changed[followed.unit.key] = None
            if followed.told is None:
                # What has just been executed may execute something else; once only, so that nobody can have a row each second.
                followed.looks = 1
        longest_ns = WATCH_NS if followed.known else LONGEST_NS
        self._look_times.put(followed.unit.key, at.now_ns + distance_ns(followed.looks, longest_ns))

    def _take_answer(self, followed: _ServingUnit, answer: ModelFinding | Unanswered, at: Instant) -> None:
        found = ModelFinding(ModelSource.ENGINE_API, None, REASONS[answer]) if isinstance(answer, Unanswered) else answer
        self.unasked += found.absent is not None
        followed.asks = 1 if found.told is not None else followed.asks + 1
        has_told = followed.engine is not None and followed.engine.told is not None
        # An engine that answered once and does not now still serves what it did, as far as anyone knows.
        if found != followed.engine and not (has_told and found.absent is not None):
            followed.engine = found
            self._changed[followed.unit.key] = None
        wait_ns = ASK_NS if found.told is not None else distance_ns(followed.asks, ASK_NS)
        self._ask_times.put(followed.unit.key, at.now_ns + wait_ns)

    # ---- rows --------------------------------------------------------------------------------------

    def _begin_day(self, at: Instant) -> None:
        """A query of one day finds everything that is known in it."""
        day = at.wall_ns // DAY
        if self._day is not None and day != self._day:
            for key, followed in self._followed.items():
                if followed.told is not None:
                    followed.is_due = True
                    self._changed[key] = None
        self._day = day

    def _tell(self, key: UnitKey, at: Instant) -> Row | None:
        """*Absent:* there is nothing to tell, or it was told before."""
        followed = self._followed.get(key)
        if followed is None:
            return None
        unit, before = followed.unit, followed.told
        known = decide((followed.label, followed.engine, self._of_containers(unit), *followed.seen))
        if known == before and not followed.is_due:
            return None
        followed.told, followed.is_due = known, False
        if unit.pod is not None:
            self._changed[unit.pod.key] = None
        if known is not None:
            return _row(unit, at, known)
        return None if before is None else _row(unit, at, UnitModel(before.source))

    def _of_containers(self, pod: TrackedUnit) -> ModelFinding | None:
        said = [self._followed[each.key].told for each in pod.containers.values() if each.key in self._followed]
        return in_common([of_container(each) for each in said if each is not None])


def _row(unit: TrackedUnit, at: Instant, known: UnitModel) -> Row:
    return (
        at.wall_ns, unit.uid, unit.kind_word, unit.container, known.model, known.raw, known.served, known.engine,
        known.source.value, None if known.absent is None else known.absent.value,
    )  # fmt: skip
