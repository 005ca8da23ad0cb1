"""The part of the unit sampler that says how busy engines are: rows of table `unit_engine`.

The engines are those that the operator named. Each is asked in a thread of its own, so that one that hangs delays no other, one
request at a time. A tick asks for what is due and takes what has come back.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.model.absence import Absence
from agent.model.engine_load import EngineLoad, no_load
from agent.model.rule import Unit
from agent.model.table import Row
from agent.model.timebase import MS, S
from agent.side_reader import Unanswered
from workers.framework.sampler import Sample
from workers.unit.model.engine_address import ENGINES_MAX, EngineAddress, engine_of
from workers.unit.model.look_times import LookTimes, distance_ns
from workers.unit.model.part import REASONS, AsideQueue
from workers.unit.part import QuietPart
from workers.unit.schema import UNIT_ENGINE
from workers.unit.tracked_unit import Instant, TrackedUnit

# Once a second, where a tick of one second may come a little early.
ASK_NS = 900 * MS
# An engine that does not answer is asked after 1, 2, 4 seconds; it may take work again as soon as it does.
RETRY_LONGEST_NS = 8 * S
# With the longest wait and the deadline of an answer behind it, a row a minute at least.
REPEAT_NS = 45 * S

UnitKey = tuple[str, str | None]
LoadQueue = AsideQueue[EngineAddress, EngineLoad]


class _AskedEngine:
    """The engine of one unit: its thread, and what its last row says. `asked_wall_ns`: when what comes next was asked."""

    def __init__(self, unit: TrackedUnit, address: EngineAddress, queue: LoadQueue) -> None:
        self.unit = unit
        self.address = address
        self.queue = queue
        self.asked_at_ns = self.asked_wall_ns = 0
        self.failures = 0
        self.told: EngineLoad | None = None
        self.told_at_ns = 0


class EngineLoads(QuietPart):
    """`open_queue` makes a thread for one of the `engines`."""

    def __init__(self, open_queue: Callable[[], LoadQueue], engines: Iterable[EngineAddress]) -> None:
        self._open_queue = open_queue
        self._engines = {engine.unit: engine for engine in engines}
        self._named: Mapping[str, Unit] = {}
        self._is_renamed = False
        # Every unit that may have an engine, until it is known by a name of the operator's.
        self._unnamed: dict[UnitKey, TrackedUnit] = {}
        self._asked: dict[UnitKey, _AskedEngine] = {}
        self._times: LookTimes[UnitKey] = LookTimes()
        self._ended: list[Row] = []
        self.asks = self.unknown = 0

    def on_units(self, units: Mapping[str, Unit]) -> None:
        """See `UnitPart`."""
        self._named = units
        self._is_renamed = True

    def begin(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`. An operator names units, and no containers."""
        if unit.pod is None:
            self._unnamed[unit.key] = unit
            self._is_renamed = True

    def end(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`."""
        self._unnamed.pop(unit.key, None)
        self._times.drop(unit.key)
        asked = self._asked.pop(unit.key, None)
        if asked is None:
            return
        asked.queue.close()
        if asked.told is not None:
            self._ended.append(_row(unit, at.wall_ns, no_load(Absence.VANISHED, asked.told.engine)))

    def rows(self, at: Instant) -> Sample:
        """See `UnitPart`: of what changed, and of each engine once a minute."""
        if self._is_renamed:
            self._is_renamed = False
            self._take_names(at)
        rows, self._ended = self._ended, []
        for key, asked in self._asked.items():
            for _, answer in asked.queue.collect():
                rows += self._take(key, asked, answer, at)
        for key in self._times.take(at.now_ns, len(self._asked)):
            asked = self._asked[key]
            self.asks += 1
            asked.asked_at_ns, asked.asked_wall_ns = at.now_ns, at.wall_ns
            asked.queue.put(key, asked.address)
        return ((UNIT_ENGINE, rows),) if rows else ()

    def stats(self) -> dict[str, Any]:
        """Engines whose load is known, requests for it so far, and those without a number in their answers."""
        return {
            "engines_known": sum(each.told is not None and each.told.is_known for each in self._asked.values()),
            "engine_load_asks": self.asks,
            "engine_load_unknown": self.unknown,
        }

    def close(self) -> None:
        """Wait for nothing any more."""
        for asked in self._asked.values():
            asked.queue.close()

    def _take_names(self, at: Instant) -> None:
        """The name of a pod may come after the pod."""
        for key, unit in list(self._unnamed.items()):
            # Users may have services of one name each.
            if len(self._asked) == ENGINES_MAX:
                return
            if (address := engine_of(self._named.get(unit.uid), self._engines)) is not None:
                del self._unnamed[key]
                self._asked[key] = _AskedEngine(unit, address, self._open_queue())
                # Not in this tick: what had the key before may have its last row in it.
                self._times.put(key, at.now_ns + 1)

    def _take(self, key: UnitKey, asked: _AskedEngine, answer: EngineLoad | Unanswered, at: Instant) -> list[Row]:
        """The row of an answer. *Absent:* it says what the last one said, less than a minute ago."""
        load = no_load(REASONS[answer]) if isinstance(answer, Unanswered) else answer
        asked.failures = 0 if load.is_known else asked.failures + 1
        self.unknown += not load.is_known
        # An answer waits for the next tick, in which the next question is due.
        due_ns = asked.asked_at_ns + ASK_NS if load.is_known else at.now_ns + distance_ns(asked.failures, RETRY_LONGEST_NS)
        self._times.put(key, due_ns)
        if load.engine is None and asked.told is not None:
            load = no_load(load.absent[0], asked.told.engine)
        if load == asked.told and at.now_ns - asked.told_at_ns < REPEAT_NS:
            return []
        asked.told, asked.told_at_ns = load, at.now_ns
        # What is known is as old as the question; that it is unknown is so now.
        return [_row(asked.unit, asked.asked_wall_ns if load.is_known else at.wall_ns, load)]


def _row(unit: TrackedUnit, wall_ns: int, load: EngineLoad) -> Row:
    return (
        wall_ns, unit.uid, unit.kind_word, unit.container, load.engine, load.waiting, load.running, load.kv_cache_share,
        ",".join(load.absent) or None,
    )  # fmt: skip
