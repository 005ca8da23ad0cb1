"""Rows of `unit_engine`: when something changes, when it becomes unknown, once a minute; who is asked, and when."""

from collections.abc import Hashable
from itertools import pairwise
from typing import Any

from fakes.row_problem import problem_of_row

from agent.model.absence import Absence
from agent.model.engine_load import EngineLoad, no_load
from agent.model.rule import Unit, UnitKind
from agent.model.timebase import DAY, MS, S
from agent.side_reader import Unanswered
from workers.unit.model.engine_address import ENGINES_MAX, EngineAddress, parse_engines
from workers.unit.model.load_part import EngineLoads
from workers.unit.schema import UNIT_ENGINE
from workers.unit.tracked_unit import Instant, TrackedUnit

WEB = "/system.slice/web.service"
ENGINES = "web.service=http://127.0.0.1:8000"
BUSY, IDLE = EngineLoad("vllm", 3, 8, 0.5), EngineLoad("vllm", 0, 0, 0.0)
SILENT = no_load(Absence.NOT_ANSWERED)


class OneEngine:
    """In place of a thread: the answer is there at the next tick, unless it `hangs`."""

    def __init__(self, story: "Story") -> None:
        self._story = story
        self._asked: list[Hashable] = []
        self.stuck = 0
        self.is_closed = False

    @property
    def waiting(self) -> int:
        """Asks without an answer."""
        return len(self._asked)

    def put(self, key: Hashable, ask: EngineAddress) -> None:
        """One request at a time."""
        assert not self._asked
        self._asked.append(key)
        self._story.asked.append((self._story.second, ask))

    def collect(self) -> list[tuple[Hashable, EngineLoad | Unanswered]]:
        """The answer of the story."""
        if self._story.hangs:
            return []
        came, self._asked = self._asked, []
        return [(key, self._story.answer) for key in came]

    def close(self) -> None:
        """Nothing more."""
        self.is_closed = True


class Story:
    """One unit with an engine, or some; and the rows of each tick by column."""

    def __init__(self, answer: EngineLoad | Unanswered = BUSY, engines: str = ENGINES) -> None:
        self.answer = answer
        self.hangs = False
        self.asked: list[tuple[float, EngineAddress]] = []
        self.queues: list[OneEngine] = []
        self.part = EngineLoads(self._open, parse_engines(engines))
        self.begun = self.at = Instant(100 * S, 20_000 * DAY)
        self.units: dict[str, Unit] = {}

    @property
    def second(self) -> float:
        return (self.at.now_ns - self.begun.now_ns) / S

    def _open(self) -> OneEngine:
        self.queues.append(OneEngine(self))
        return self.queues[-1]

    def begin(self, uid: str = WEB, kind: UnitKind = UnitKind.SERVICE, **names: Any) -> TrackedUnit:
        """A unit that the operator's setting names."""
        self.units[uid] = Unit(uid, kind, names.pop("cgroup", uid), **names)
        self.part.on_units(self.units)
        unit = TrackedUnit(uid, kind, uid)
        self.part.begin(unit, self.at)
        return unit

    def tick(self, later_ns: int = 1 * S) -> list[dict[str, Any]]:
        """Each row fits its table."""
        self.at = Instant(self.at.now_ns + later_ns, self.at.wall_ns + later_ns)
        rows = [row for table, rows in self.part.rows(self.at) for row in rows if table is UNIT_ENGINE]
        for row in rows:
            assert problem_of_row(UNIT_ENGINE, row) is None
        return [dict(zip(UNIT_ENGINE.column_names, row, strict=True)) for row in rows]

    def ticks(self, count: int, later_ns: int = 1 * S) -> list[dict[str, Any]]:
        return [row for _ in range(count) for row in self.tick(later_ns)]


def test_a_row_when_it_is_known_and_one_when_it_changes() -> None:
    """All columns, at the time of the question; none while it stays."""
    story = Story()
    story.begin()
    assert story.ticks(2) == []
    (row,) = story.tick()
    assert row == {
        "timestamp": story.begun.wall_ns + 2 * S, "unit": WEB, "kind": "service", "container": None, "engine": "vllm",
        "waiting": 3, "running": 8, "kv_cache_share": 0.5, "absent": None,
    }  # fmt: skip
    assert story.ticks(10) == []
    story.answer = IDLE
    (row,) = story.ticks(3)
    assert (row["waiting"], row["running"], row["kv_cache_share"], row["absent"]) == (0, 0, 0.0, None)
    assert story.part.stats() == {"engines_known": 1, "engine_load_asks": 15, "engine_load_unknown": 0}


def test_once_a_second_whatever_the_ticks_are() -> None:
    """Shorter ticks ask no more often, longer ones at each; a tick that is a little early counts."""
    for later_ns, ticks, asks in ((1 * S, 20, 19), (100 * MS, 200, 22), (5 * S, 20, 19), (950 * MS, 20, 19)):
        story = Story()
        story.begin()
        story.ticks(ticks, later_ns)
        assert abs(len(story.asked) - asks) <= 2, later_ns


def test_what_becomes_unknown_is_told_at_once() -> None:
    """With the engine that it was; unknown is null and not zero, and comes back with the first answer."""
    story = Story()
    story.begin()
    story.ticks(5)
    story.answer = SILENT
    (row,) = story.tick()
    assert row["timestamp"] == story.at.wall_ns
    assert (row["engine"], row["waiting"], row["running"], row["kv_cache_share"]) == ("vllm", None, None, None)
    assert row["absent"] == "not_answered"
    assert story.ticks(20) == []
    assert story.part.stats()["engines_known"] == 0
    story.answer = BUSY
    rows = story.ticks(10)
    assert [row["waiting"] for row in rows] == [3]


def test_an_engine_that_does_not_answer_is_asked_less_and_less() -> None:
    """After 1, 2, 4 and then 8 seconds; as often as before once it answers."""
    story = Story(SILENT)
    story.begin()
    (row, *_) = story.ticks(45)
    assert (row["engine"], row["absent"]) == (None, "not_answered")
    times = [second for second, _ in story.asked]
    assert [later - earlier for earlier, later in pairwise(times)][:6] == [2, 3, 5, 9, 9, 9]
    story.answer = BUSY
    story.ticks(10)
    before = len(story.asked)
    story.ticks(10)
    assert len(story.asked) - before == 10


def test_a_row_a_minute_at_least() -> None:
    """Known or unknown, also where an answer takes its whole deadline."""
    for answer in (BUSY, SILENT, Unanswered.STUCK):
        story = Story(answer)
        story.begin()
        times = []
        for second in range(400):
            story.hangs = second % 3 > 0
            times += [story.second] * len(story.tick())
        assert len(times) >= 7
        assert max(later - earlier for earlier, later in pairwise(times)) <= 60, answer


def test_one_request_at_a_time() -> None:
    """While one has no answer no other is sent, and the last row stands; that a thread is stuck is a reason."""
    story = Story()
    story.begin()
    story.ticks(5)
    story.hangs = True
    assert story.ticks(30) == []
    assert len(story.asked) == 4
    story.hangs, story.answer = False, Unanswered.NOT_ASKED
    (row,) = story.tick()
    assert row["absent"] == "readers_stuck"


def test_the_end_of_a_unit() -> None:
    """Its thread ends; a last row where there was one, and what begins in its place has other times."""
    story = Story()
    unit = story.begin()
    story.ticks(5)
    story.part.end(unit, story.at)
    story.begin()
    rows = story.ticks(4)
    assert [(row["absent"], row["engine"], row["waiting"]) for row in rows] == [("vanished", "vllm", None), (None, "vllm", 3)]
    assert rows[0]["timestamp"] < rows[1]["timestamp"]
    assert [queue.is_closed for queue in story.queues] == [True, False]
    story = Story()
    unit = story.begin()
    story.tick()
    story.part.end(unit, story.at)
    story.part.end(TrackedUnit("/other", UnitKind.SERVICE, "/other"), story.at)
    assert story.ticks(3) == []


def test_who_is_asked() -> None:
    """Units that the operator named, also where the name of a pod comes late; containers never."""
    story = Story(engines="shop/chat=http://10.0.0.7:8000/base/v1/models")
    story.begin()
    pod = story.begin("u-1", UnitKind.POD)
    inner = TrackedUnit("u-1", UnitKind.POD, "/c", container="c", pod=pod)
    story.part.begin(inner, story.at)
    story.ticks(3)
    assert story.queues == []
    story.units["u-1"] = Unit("u-1", UnitKind.POD, "/pod", namespace="shop", name="chat")
    story.part.on_units(story.units)
    rows = story.ticks(3)
    assert [(row["unit"], row["kind"], row["container"]) for row in rows] == [("u-1", "pod", None)]
    assert {address.metrics_path for _, address in story.asked} == {"/base/metrics"}
    story.part.close()
    assert [queue.is_closed for queue in story.queues] == [True]


def test_no_more_threads_than_engines_can_be_named() -> None:
    """Users may each have a service of that name."""
    story = Story()
    for number in range(ENGINES_MAX + 3):
        story.begin(f"/user-{number}.slice/web.service")
    story.ticks(3)
    assert len(story.queues) == ENGINES_MAX


def test_some_numbers_without_others() -> None:
    """Each has its own null, and all reasons are told."""
    story = Story(EngineLoad("tgi", 1, None, None, (Absence.NOT_TOLD, Absence.OUT_OF_RANGE)))
    story.begin()
    (row,) = story.ticks(3)
    assert (row["waiting"], row["running"], row["absent"]) == (1, None, "not_told,out_of_range")
    assert story.part.stats()["engines_known"] == 1
