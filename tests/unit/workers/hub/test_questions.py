"""Questions about workers, against a model that looks at each of them."""

from collections import Counter
from itertools import product
from random import Random

import pytest
from fakes.hub_story import install_id, labelled
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.fleet.live import UnitLabel, UnitUse
from agent.fleet.update import LiveState
from agent.model.timebase import MS, S
from workers.hub.fleet_node import PRESENT, FleetNode, NodePhase
from workers.hub.questions import ORDERS, STATES, WorkerAnswer, WorkerQuestion, age_text_ns, answer_workers
from workers.hub.reservation import Reservation, Reservations
from workers.hub.worker_index import Place, WorkerIndex, is_worker

NOW_NS = 1000 * S
MODELS = st.sampled_from([None, "Org/Big", "small"])
COUNTS = st.none() | st.integers(0, 3)


class Fleet:
    """Nodes with workers, and the index of them."""

    def __init__(self, nodes: list[FleetNode]) -> None:
        self.nodes = {node.install: node for node in nodes}
        self.index = WorkerIndex()
        self.reservations = Reservations()
        for node in nodes:
            self.index.on_node(node)

    def ask(self, question: WorkerQuestion, seed: int = 1) -> WorkerAnswer:
        """As the hub answers."""
        return answer_workers(question, self.nodes, self.index, self.reservations, Random(seed), NOW_NS)

    def scan(self, question: WorkerQuestion) -> tuple[list[tuple[float, Place]], Counter[str]]:
        """Score and place of each that fits, and why the others do not."""
        fitting: list[tuple[float, Place]] = []
        excluded: Counter[str] = Counter()
        for node in self.nodes.values():
            for key, label in node.state.labels.items():
                if is_worker(label) and _is_asked_for(question, label):
                    place = (node.install, key)
                    reason = self._reason(question, node, label, node.state.uses[key], place)
                    if reason:
                        excluded[reason] += 1
                    else:
                        fitting.append((self._score(question, node.state.uses[key], place), place))
        return sorted(fitting), excluded

    def _reason(self, question: WorkerQuestion, node: FleetNode, label: UnitLabel, use: UnitUse, place: Place) -> str:
        if node.phase not in PRESENT:
            return str(node.phase)
        if question.node and question.node not in (node.install, node.host):
            return "other_node"
        if question.max_age_ns is not None and (node.as_of_ns is None or NOW_NS - node.as_of_ns > question.max_age_ns):
            return "too_old"
        if question.lora and question.lora.casefold() not in map(str.casefold, label.lora):
            return "other_lora"
        names = [name.casefold() for name in (label.model, label.served_model) if name]
        if question.lora and question.model and question.model.casefold() not in names:
            return "other_model"
        is_known = use.waiting is not None or use.running is not None
        state = "unknown" if not is_known else "busy" if (use.waiting or 0) + (use.running or 0) else "idle"
        if question.state and state != question.state:
            return "other_state" if is_known else "unknown_state"
        if question.min_free_vram_mib is not None:
            if use.vram_free_mib is None:
                return "unknown_vram"
            if use.vram_free_mib - self.reservations.of(place)[1] < question.min_free_vram_mib:
                return "too_little_vram"
        return ""

    def _score(self, question: WorkerQuestion, use: UnitUse, place: Place) -> float:
        count, vram = self.reservations.of(place)
        if question.order == "vram":
            return (1 << 60) + vram if use.vram_free_mib is None else vram - use.vram_free_mib
        if use.waiting is None and use.running is None:
            return (1 << 60) + count
        return 4 * (use.waiting or 0) + (use.running or 0) + count


def _is_asked_for(question: WorkerQuestion, label: UnitLabel) -> bool:
    named = (question.model or question.lora).casefold()
    names = [name.casefold() for name in (label.model, label.served_model, *label.lora) if name]
    return not named or named in names


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Some nodes, their workers, and who holds some of them."""
    nodes = []
    for number in range(draw(st.integers(1, 4))):
        labels, uses = {}, {}
        for key in range(draw(st.integers(0, 4))):
            kind = draw(st.sampled_from(["workload", "service"]))
            labels[key] = labelled(
                key, kind=kind, model=draw(MODELS), served_model=draw(MODELS), lora=draw(st.just(()) | st.just(("Fast", "small")))
            )
            uses[key] = UnitUse(key, waiting=draw(COUNTS), running=draw(COUNTS), vram_free_mib=draw(st.none() | st.integers(0, 4)))
        as_of_ns = draw(st.sampled_from([None, NOW_NS - 1 * S, NOW_NS - 10 * S]))
        node = FleetNode(install_id(number), f"node-{number % 2}", draw(st.sampled_from(list(NodePhase))), 0, as_of_ns=as_of_ns)
        node.state = LiveState(labels=labels, uses=uses)
        nodes.append(node)
    fleet = Fleet(nodes)
    places = list(fleet.index.places())
    for number in range(draw(st.integers(0, 3)) if places else 0):
        fleet.reservations.add(Reservation(str(number), draw(st.sampled_from(places)), draw(st.integers(0, 3)), NOW_NS + S))
    return fleet


QUESTIONS = st.builds(
    WorkerQuestion,
    model=st.sampled_from(["", "org/big", "SMALL", "other"]),
    lora=st.sampled_from(["", "fast", "small"]),
    state=st.sampled_from(["", *STATES]),
    min_free_vram_mib=st.none() | st.integers(0, 4),
    max_age_ns=st.none() | st.just(5 * S),
    node=st.sampled_from(["", "node-1", install_id(0)]),
    order=st.sampled_from(ORDERS),
    limit=st.integers(1, 20),
)


@settings(max_examples=50)
@given(fleet=fleets(), question=QUESTIONS)
def test_the_answer_is_that_of_a_scan(fleet: Fleet, question: WorkerQuestion) -> None:
    """Which fit, in which order, how many, and why the others do not."""
    fitting, excluded = fleet.scan(question)
    found = fleet.ask(question)
    assert found.excluded == dict(excluded)
    assert found.found == len(fitting)
    if question.order == "random2":
        assert len(set(found.places)) == len(found.places) == min(question.limit, len(fitting))
        assert set(found.places) <= {place for _, place in fitting}
    else:
        scores = {place: score for score, place in fitting}
        assert sorted(scores[place] for place in found.places) == [scores[place] for place in found.places]
        assert [scores[place] for place in found.places] == [score for score, _ in fitting[: question.limit]]


def crowded(seed: int) -> Fleet:
    """Six nodes in all phases with six units of all kinds each, some of them held."""
    rng = Random(seed)
    nodes = []
    for number, phase in enumerate(
        (NodePhase.FRESH, NodePhase.LATE, NodePhase.FRESH, NodePhase.STALE, NodePhase.GONE, NodePhase.FRESH)
    ):
        node = FleetNode(install_id(number), f"node-{number % 2}", phase, 0, as_of_ns=(None, NOW_NS, NOW_NS - 10 * S)[number % 3])
        names = (None, "Org/Big", "small")
        node.state = LiveState(
            labels={
                key: labelled(key, model=names[key % 3], served_model=rng.choice(names), lora=("Fast", "small")[: key % 3])
                for key in range(6)
            },
            uses={
                key: UnitUse(
                    key, waiting=rng.choice((None, 0, 2)), running=rng.choice((None, 0, 1)), vram_free_mib=rng.choice((None, 1, 5))
                )
                for key in range(6)
            },
        )
        nodes.append(node)
    fleet = Fleet(nodes)
    for number in range(3):
        fleet.reservations.add(Reservation(str(number), (install_id(number), number), 2, NOW_NS + S))
    return fleet


@pytest.mark.parametrize("order", ORDERS)
def test_every_question_is_answered_as_by_a_scan(order: str) -> None:
    """All filters together, with and without workers that are held."""
    fleet = crowded(1)
    for held in (True, False):
        if not held:
            fleet.reservations.forget_old(NOW_NS + S)
        for words in product(
            ("", "org/big", "other"), ("", "fast", "small"), ("", *STATES), (None, 4), (None, 5 * S), ("", "node-1"), (1, 50)
        ):
            question = WorkerQuestion(*words[:6], order, words[6])
            fitting, excluded = fleet.scan(question)
            found = fleet.ask(question)
            assert (found.found, found.excluded) == (len(fitting), dict(excluded)), question
            if order != "random2":
                scores = {place: score for score, place in fitting}
                assert [scores[place] for place in found.places] == [score for score, _ in fitting[: question.limit]], question


def busy_fleet(workers: int) -> Fleet:
    """One node whose workers have 0, 1, 2 … requests."""
    node = FleetNode(install_id(1), "node-1", NodePhase.FRESH, 0, as_of_ns=NOW_NS)
    labels = {key: labelled(key, model="m") for key in range(workers)}
    node.state = LiveState(labels=labels, uses={key: UnitUse(key, running=key) for key in range(workers)})
    return Fleet([node])


def test_two_random_ones_spread_and_prefer_the_less_loaded() -> None:
    """A thousand schedulers at one moment do not choose the same worker, and the most loaded gets least."""
    fleet = busy_fleet(10)
    chosen = Counter(fleet.ask(WorkerQuestion(order="random2", limit=1), seed).places[0][1] for seed in range(1000))
    assert max(chosen.values()) < 300
    assert chosen[0] > 100 > 30 > chosen[9]
    assert fleet.ask(WorkerQuestion(order="random2", limit=3)).found == 10


def test_a_worker_that_is_held_comes_later() -> None:
    """As with one request more, until the time is over."""
    fleet = busy_fleet(3)
    fleet.reservations.add(Reservation("a", (install_id(1), 0), 0, NOW_NS + S))
    fleet.reservations.add(Reservation("b", (install_id(1), 0), 0, NOW_NS + S))
    assert [key for _, key in fleet.ask(WorkerQuestion(limit=2)).places] == [1, 0]
    fleet.reservations.forget_old(NOW_NS + S)
    assert [key for _, key in fleet.ask(WorkerQuestion(limit=2)).places] == [0, 1]


def test_room_that_others_hold_is_no_room() -> None:
    """It is counted as too little, whatever else is asked; who is not there or not asked for is not counted for it."""
    node = FleetNode(install_id(1), "node-1", NodePhase.FRESH, 0, as_of_ns=NOW_NS)
    node.state = LiveState(
        labels={key: labelled(key) for key in range(3)},
        uses={0: UnitUse(0, vram_free_mib=8), 1: UnitUse(1, vram_free_mib=8), 2: UnitUse(2)},
    )
    fleet = Fleet([node])
    for name, key, vram in (("a", 0, 3), ("b", 0, 3), ("c", 1, 4), ("d", 2, 4), ("e", 9, 4)):
        fleet.reservations.add(Reservation(name, (install_id(1), key), vram, NOW_NS + S))
    found = fleet.ask(WorkerQuestion(order="vram", min_free_vram_mib=4))
    assert ([key for _, key in found.places], found.found) == ([1], 1)
    assert found.excluded == {"too_little_vram": 1, "unknown_vram": 1}
    found = fleet.ask(WorkerQuestion(order="vram", min_free_vram_mib=4, node="other"))
    assert (found.places, found.found, found.excluded) == ([], 0, {"other_node": 3})


def test_many_nodes_are_merged_as_far_as_they_are_needed() -> None:
    """The best of five hundred nodes."""
    rng = Random(5)
    nodes = []
    for number in range(500):
        node = FleetNode(install_id(number), f"n{number}", NodePhase.FRESH, 0, as_of_ns=NOW_NS)
        uses = {key: UnitUse(key, running=rng.randrange(1000), vram_free_mib=rng.randrange(1000)) for key in range(4)}
        node.state = LiveState(labels={key: labelled(key) for key in uses}, uses=uses)
        nodes.append(node)
    fleet = Fleet(nodes)
    for order in ("load", "vram"):
        fitting, _ = fleet.scan(WorkerQuestion(order=order))
        scores = {place: score for score, place in fitting}
        found = fleet.ask(WorkerQuestion(order=order, limit=7)).places
        assert [scores[place] for place in found] == [score for score, _ in fitting[:7]]


@pytest.mark.parametrize(
    ("text", "expected"), [("500ms", 500 * MS), ("5s", 5 * S), ("0", 0), ("1.5", 1500 * MS), ("1e3s", 1000 * S)]
)
def test_ages_in_words(text: str, expected: int) -> None:
    """Milliseconds, or seconds."""
    assert age_text_ns(text) == expected


@pytest.mark.parametrize("text", ["", "s", "5m", "-1s", "nan", "inf", "1e10", "five"])
def test_what_is_no_age(text: str) -> None:
    """Refused."""
    with pytest.raises(ValueError, match=r"age|convert"):
        age_text_ns(text)
