"""Rows of `unit_model`: when something is known, when it changes, once a day, and when it is over."""

from collections.abc import Hashable
from itertools import pairwise
from typing import Any, Generic, TypeVar

import pytest
from fakes.row_problem import problem_of_row

from agent.model.absence import Absence
from agent.model.proc_stat import Stat
from agent.model.rule import Unit, UnitKind
from agent.model.served_model import ServedModel
from agent.model.timebase import DAY, S
from agent.side_reader import Unanswered
from workers.unit.model.engine_address import EngineAddress, parse_engines
from workers.unit.model.family import Relative
from workers.unit.model.finding import ModelFinding, ModelSource
from workers.unit.model.look import Look, LookOrder
from workers.unit.model.look_times import LONGEST_NS, WATCH_NS
from workers.unit.model.part import ASK_NS, LOOKS_PER_TICK, ROWS_PER_TICK, UnitModels
from workers.unit.schema import UNIT_MODEL
from workers.unit.tracked_unit import Instant, TrackedUnit

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")
WEB = "/system.slice/web.service"
ROOT = Relative(50, "vllm", Stat("S", 1, 0, 1, 100, 0))
CHILD = Relative(51, "vllm", Stat("S", 50, 0, 1, 101, 0))
VLLM = ServedModel("vllm", "org/a", "org/a", "chat")
KNOWN = Look((ModelFinding(ModelSource.ARGUMENTS, VLLM),), ROOT, (ROOT,))
NOTHING = Look((), ROOT)


class InlineQueue(Generic[Ask, Answer]):
    """In place of the threads: the answer of `answers` by unit is there at the next tick; a list of answers one after the other."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Ask]] = []
        self._came: list[tuple[Hashable, Any]] = []
        self.stuck = 0
        self.is_closed = False

    @property
    def waiting(self) -> int:
        """Asks without an answer."""
        return len(self._came)

    def put(self, key: Hashable, ask: Ask) -> None:
        """Answered at once."""
        assert isinstance(key, tuple)
        name = key[0][1] or key[0][0]
        self.asked.append((name, ask))
        answer = self.answers.get(name)
        self._came.append((key, answer.pop(0) if isinstance(answer, list) and len(answer) > 1 else _last(answer)))

    def collect(self) -> list[tuple[Hashable, Answer | Unanswered]]:
        """What came."""
        came, self._came = self._came, []
        return came

    def close(self) -> None:
        """Nothing more."""
        self.is_closed = True


def _last(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list) else answer


class Story:
    """Units that begin and end, and the rows of each tick by column."""

    def __init__(self, engines: str = "") -> None:
        self.looks: InlineQueue[LookOrder, Look] = InlineQueue()
        self.asks: InlineQueue[EngineAddress, ModelFinding] = InlineQueue()
        self.part = UnitModels(self.looks, self.asks if engines else None, parse_engines(engines))
        self.at = Instant(100 * S, 20_000 * DAY + DAY // 2)
        self.units: dict[str, Unit] = {}

    def name(self, uid: str, kind: UnitKind = UnitKind.SERVICE, **more: Any) -> None:
        self.units[uid] = Unit(uid, kind, more.pop("cgroup", uid), **more)
        self.part.on_units(self.units)

    def begin(self, uid: str, look: Any = NOTHING, *, kind: UnitKind = UnitKind.SERVICE) -> TrackedUnit:
        self.looks.answers[uid] = look
        unit = TrackedUnit(uid, kind, uid)
        self.part.begin(unit, self.at)
        return unit

    def container(self, pod: TrackedUnit, name: str, look: Any = NOTHING) -> TrackedUnit:
        self.looks.answers[name] = look
        made = pod.containers[name] = TrackedUnit(pod.uid, pod.kind, f"{pod.cgroup}/{name}", container=name, pod=pod)
        self.part.begin(made, self.at)
        return made

    def tick(self, later_ns: int = 1 * S) -> list[dict[str, Any]]:
        """Each row fits its table."""
        self.at = Instant(self.at.now_ns + later_ns, self.at.wall_ns + later_ns)
        rows = [row for table, rows in self.part.rows(self.at) for row in rows if table is UNIT_MODEL]
        for row in rows:
            assert problem_of_row(UNIT_MODEL, row) is None
        keys = [(row[1], row[3]) for row in rows]
        assert len(keys) == len(set(keys))
        return [dict(zip(UNIT_MODEL.column_names, row, strict=True)) for row in rows]

    def row(self, *, ticks: int = 3) -> dict[str, Any]:
        """The only row of some ticks."""
        rows = [row for _ in range(ticks) for row in self.tick()]
        assert len(rows) == 1, rows
        return rows[0]


def test_a_row_when_it_is_known_and_none_while_it_stays() -> None:
    """All columns; the tick only hands over, and takes what came at the next one."""
    story = Story()
    story.begin(WEB, KNOWN)
    assert story.tick() == []
    (row,) = story.tick()
    assert row == {
        "timestamp": story.at.wall_ns, "unit": WEB, "kind": "service", "container": None, "model": "org/a", "model_raw": "org/a",
        "served_model": "chat", "engine": "vllm", "model_source": "arguments", "absent": None,
    }  # fmt: skip
    story.looks.answers[WEB] = Look(is_same=True)
    assert [story.tick() for _ in range(100)] == [[]] * 100
    assert story.part.stats()["models"] == 1
    assert story.looks.asked[-1][1].known == (ROOT,)


def test_most_units_serve_nothing_and_are_looked_at_less_and_less() -> None:
    """A server may be executed late."""
    story = Story()
    story.begin(WEB, [NOTHING] * 5 + [KNOWN])
    times = []
    for second in range(40):
        before = story.part.looked
        rows = story.tick()
        times += [second] * (story.part.looked - before)
        assert len(rows) == (second == times[5] + 1 if len(times) > 5 else 0)
    assert times[:6] == [0, 2, 5, 10, 19, 36]
    story = Story()
    story.begin(WEB)
    for _ in range(30):
        story.tick(LONGEST_NS)
    # Every other tick takes the answer.
    assert story.part.looked == 15


def test_what_is_known_is_watched() -> None:
    """Twice a minute."""
    story = Story()
    story.begin(WEB, [KNOWN, Look(is_same=True)])
    for _ in range(20):
        story.tick(WATCH_NS)
    # Every other tick takes the answer.
    assert story.part.looked == 10


def test_what_was_just_found_is_looked_at_again_soon() -> None:
    """It may execute something else. Only once: nobody has a row each second by changing for ever."""
    story = Story()
    other = Look((ModelFinding(ModelSource.ARGUMENTS, ServedModel("tgi", "org/t", "t")),), ROOT, (ROOT,))
    story.begin(WEB, [NOTHING] * 5 + [KNOWN, other] * 50)
    rows = [row["timestamp"] for _ in range(200) for row in story.tick()]
    waits = [(later - before) // S for before, later in pairwise(rows)]
    assert waits == [2, 3, 5, 9, 17, *[31] * 4]


def test_a_title_over_the_arguments_changes_nothing() -> None:
    """What the process was started with is kept; also where its children still say it."""
    story = Story()
    title = ModelFinding(ModelSource.TITLE, ServedModel("vllm"))
    child = ModelFinding(ModelSource.DESCENDANT, ServedModel("vllm", "org/a", "org/a"))
    story.begin(WEB, [KNOWN, Look((title,), ROOT), Look((child, title), ROOT, (CHILD,)), Look(is_same=True)])
    assert story.row(ticks=60)["model"] == "org/a"


def test_another_root_process_begins_again() -> None:
    """The engine was started again with another model, in the same cgroup; a program that is none ends it."""
    story = Story()
    other = Relative(70, "vllm", Stat("S", 1, 0, 1, 900, 0))
    changed = Look((ModelFinding(ModelSource.ARGUMENTS, ServedModel("vllm", "org/b", "b")),), other, (other,))
    story.begin(WEB, [KNOWN, changed, Look((), ROOT), NOTHING])
    assert [row["model"] for _ in range(60) for row in story.tick()] == ["org/a", "org/b", None]


def test_a_descendant_that_ends_takes_its_model_with_it() -> None:
    """Unlike a root that writes over its arguments."""
    story = Story()
    loaded = Look((ModelFinding(ModelSource.DESCENDANT, VLLM),), ROOT, (CHILD,))
    story.begin(WEB, [loaded, NOTHING])
    rows = [row for _ in range(60) for row in story.tick()]
    assert [(row["model"], row["model_source"], row["absent"]) for row in rows] == [
        ("org/a", "descendant", None),
        (None, "descendant", None),
    ]
    assert story.looks.asked[1][1].known == (ROOT, CHILD)


def test_a_unit_that_ends_serves_nothing_any_more() -> None:
    """One row, and none of a unit that never did; the next one of its name begins without it."""
    story = Story()
    unit = story.begin(WEB, KNOWN)
    other = story.begin("/other.service")
    story.row()
    story.part.end(unit, story.at)
    story.part.end(other, story.at)
    row = story.row()
    assert (row["unit"], row["model"], row["engine"], row["absent"]) == (WEB, None, None, "vanished")
    story.begin(WEB)
    assert [story.tick() for _ in range(9)] == [[]] * 9


def test_an_answer_on_a_unit_that_has_ended_is_nobodys() -> None:
    """Not even of the next one that has its name."""
    story = Story()
    unit = story.begin(WEB, KNOWN)
    story.tick()
    story.part.end(unit, story.at)
    story.begin(WEB)
    assert [story.tick() for _ in range(9)] == [[]] * 9


def test_a_new_day_tells_everything_again_in_parts() -> None:
    """So that a query of that day finds it."""
    story = Story()
    count = ROWS_PER_TICK + 10
    for number in range(count):
        story.begin(f"/{number}.service", [KNOWN, Look(is_same=True)])
    story.begin(WEB)
    while story.tick() or story.part.stats()["models"] < count:
        pass
    counts = [len(story.tick(DAY)), *(len(story.tick()) for _ in range(3))]
    assert counts == [ROWS_PER_TICK, 10, 0, 0]


def test_few_units_are_looked_at_in_one_tick() -> None:
    """New ones before those that are long due."""
    story = Story()
    for number in range(3 * LOOKS_PER_TICK):
        story.begin(f"/{number}.service")
    for looked in (1, 2, 3):
        story.tick()
        assert story.part.looked == looked * LOOKS_PER_TICK
    story.tick(LONGEST_NS)
    story.begin(WEB, KNOWN)
    story.tick()
    assert WEB in [name for name, _ in story.looks.asked[-LOOKS_PER_TICK:]]


@pytest.mark.parametrize(("answer", "reason"), [(Unanswered.STUCK, "not_answered"), (Unanswered.NOT_ASKED, "readers_stuck")])
def test_a_read_that_does_not_come_back_is_a_reason(answer: Unanswered, reason: str) -> None:
    """Until something is known; afterwards that stays."""
    story = Story()
    story.begin(WEB, [answer, answer, KNOWN, answer])
    rows = [row for _ in range(60) for row in story.tick()]
    assert [(row["model"], row["engine"], row["absent"]) for row in rows] == [(None, None, reason), ("org/a", "vllm", None)]
    assert story.part.stats()["model_looks_unanswered"] >= 3


def test_the_label_of_a_pod_is_the_pods_model() -> None:
    """It is believed before its containers, and followed when it changes or goes."""
    story = Story()
    story.name("pod-1", UnitKind.POD, labels={"model": "our/model"})
    pod = story.begin("pod-1", kind=UnitKind.POD)
    story.container(pod, "c-1", [KNOWN, Look(is_same=True)])
    rows = [row for _ in range(4) for row in story.tick()]
    seen = [(row["container"], row["model"], row["model_source"], row["engine"]) for row in rows]
    assert seen == [
        (None, "our/model", "label", None),
        ("c-1", "org/a", "arguments", "vllm"),
        (None, "our/model", "label", "vllm"),
    ]
    story.name("pod-1", UnitKind.POD)
    row = story.row()
    assert (row["container"], row["model"], row["model_source"]) == (None, "org/a", "arguments")


def test_the_model_of_a_pod_is_that_of_its_container() -> None:
    """Of several that do not agree none; one that ends leaves the other's."""
    story = Story()
    story.name("pod-1", UnitKind.POD)
    pod = story.begin("pod-1", kind=UnitKind.POD)
    story.container(pod, "side")
    story.container(pod, "c-1", [KNOWN, Look(is_same=True)])
    other = Look((ModelFinding(ModelSource.ARGUMENTS, ServedModel("tgi", "org/t", "t")),), ROOT, (ROOT,))
    second = story.container(pod, "c-2", [NOTHING, other, Look(is_same=True)])
    whole = [(row["model"], row["absent"]) for _ in range(9) for row in story.tick() if row["container"] is None]
    assert whole == [("org/a", None), (None, "several")]
    del pod.containers["c-2"]
    story.part.end(second, story.at)
    rows = [row for _ in range(3) for row in story.tick()]
    assert [(row["container"], row["model"]) for row in rows] == [("c-2", None), (None, "org/a")]
    assert {name for name, _ in story.looks.asked} == {"side", "c-1", "c-2"}


def test_a_slice_has_no_process_of_its_own() -> None:
    """It is not looked at."""
    story = Story()
    story.begin("/a.slice", KNOWN, kind=UnitKind.SLICE)
    assert [story.tick() for _ in range(5)] == [[]] * 5
    assert story.part.looked == 0


def test_an_engine_is_asked_as_soon_as_its_unit_is_known_by_that_name() -> None:
    """The name of a pod comes after the pod; it is asked every minute, and less often while it does not answer."""
    story = Story("shop/chat=http://127.0.0.1:8000")
    pod = story.begin("pod-1", kind=UnitKind.POD)
    story.tick()
    assert story.part.asked == 0
    answer = ModelFinding(ModelSource.ENGINE_API, ServedModel("", "org/e", "org/e", "e"))
    silent = ModelFinding(ModelSource.ENGINE_API, None, Absence.NOT_ANSWERED)
    story.asks.answers["pod-1"] = [silent, silent, answer, silent, answer]
    story.name("pod-1", UnitKind.POD, namespace="shop", name="chat")
    rows = [row for _ in range(12) for row in story.tick()]
    assert [(row["model"], row["model_source"], row["absent"]) for row in rows] == [
        (None, "engine_api", "not_answered"),
        ("org/e", "engine_api", None),
    ]
    story.name("pod-1", UnitKind.POD, namespace="shop", name="chat", labels={"a": "b"})
    assert story.part.asked == 3
    assert [story.tick(ASK_NS) for _ in range(3)] == [[]] * 3
    assert (story.part.asked, story.part.stats()["engine_asks_unanswered"]) == (5, 3)
    story.part.end(pod, story.at)
    assert story.row()["absent"] == "vanished"


def test_an_engine_with_no_model_loaded_leaves_the_arguments() -> None:
    """Ollama without a request; and one whose thread is stuck."""
    story = Story(f"{WEB}=http://127.0.0.1:8000")
    story.name(WEB)
    story.asks.answers[WEB] = [ModelFinding(ModelSource.ENGINE_API), Unanswered.STUCK]
    story.begin(WEB, [Look((ModelFinding(ModelSource.ARGUMENTS, ServedModel("ollama", is_several=True)),), ROOT, (ROOT,)), KNOWN])
    row = story.row(ticks=3)
    assert (row["engine"], row["absent"]) == ("ollama", "several")
    story.tick(ASK_NS)
    story.tick(ASK_NS)
    assert story.part.stats()["engine_asks_unanswered"] >= 1


def test_closing_ends_the_threads() -> None:
    """Both, where there are two."""
    story = Story("a=http://127.0.0.1:1")
    story.part.close()
    assert story.looks.is_closed
    assert story.asks.is_closed
    Story().part.close()
