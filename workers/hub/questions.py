"""Questions about workers: which of those that serve a model has the least to do, or the most room. PURE.

Unknown, stale and zero are three things. A worker whose engine says nothing has an unknown load and comes behind all whose load is
known; one whose node is silent is left out and counted.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

from msgspec import Struct

from agent.fleet.live import UnitLabel, UnitUse
from agent.model.timebase import S
from workers.hub.fleet_node import FleetNode
from workers.hub.fleet_row import load_state
from workers.hub.reservation import Reservations
from workers.hub.worker_index import Place, WorkerIndex, folded

ORDERS = ("load", "vram", "random2")
STATES = ("idle", "busy", "unknown")
LIMIT_DEFAULT, LIMIT_MAX = 20, 10_000
# What a request that waits costs against one that runs, as vLLM's own router weighs them.
WAITING_WEIGHT = 4
# Behind every load that is known.
UNKNOWN_LOAD = 1 << 60


class WorkerQuestion(Struct, frozen=True):
    """What is wanted. *Units:* `max_age_ns` ns. *Absent:* None and empty: anything does.

    `order`: `load`, the least first; `vram`, the most free memory of a GPU first; `random2`, the less loaded of two random ones,
    which keeps schedulers that ask at one moment from choosing the same.
    """

    model: str = ""
    lora: str = ""
    state: str = ""
    min_free_vram_mib: int | None = None
    max_age_ns: int | None = None
    node: str = ""
    order: str = "load"
    limit: int = LIMIT_DEFAULT


class WorkerAnswer(Struct, frozen=True):
    """*Shape:* `places` in the order that was asked for, at most `limit`. `found`: how many fit. `excluded`: how many do not, by
    the reason; of those that serve the model, where one was named."""

    places: list[Place]
    found: int
    excluded: dict[str, int]


def answer_workers(
    question: WorkerQuestion,
    nodes: dict[str, FleetNode],
    index: WorkerIndex,
    reservations: Reservations,
    chance: Random,
    now_ns: int,
) -> WorkerAnswer:
    """The workers that fit, best first."""
    named = question.model or question.lora
    candidates: Iterable[Place] = index.serving(named) if named else index.places()
    excluded: Counter[str] = Counter()
    fitting: list[tuple[float, Place]] = []
    too_old: dict[str, str] = {}
    score = _SCORES[question.order]
    fits = _filter(question)
    for place in candidates:
        install, key = place
        reason = too_old.get(install)
        if reason is None:
            reason = too_old[install] = _node_reason(question, nodes[install], now_ns)
        state = nodes[install].state
        if not reason:
            reason = fits(state.labels[key], state.uses[key], reservations.of(place) if len(reservations) else (0, 0))
        if reason:
            excluded[reason] += 1
        else:
            fitting.append((score(state.uses[key], reservations.of(place) if len(reservations) else (0, 0)), place))
    wanted = folded(named)
    for install, served in index.away.items():
        if count := len(served) if not named else sum(wanted in names for names in served):
            excluded[str(nodes[install].phase)] += count
    return WorkerAnswer(_chosen(question, fitting, chance), len(fitting), dict(excluded))


def _serves(label: UnitLabel, wanted: str) -> bool:
    return wanted in (folded(name) for name in (label.model, label.served_model) if name)


def _node_reason(question: WorkerQuestion, node: FleetNode, now_ns: int) -> str:
    if question.node and question.node not in (node.install, node.host):
        return "other_node"
    age_ns = node.age_ns(now_ns)
    if age_ns is None:
        return "no_state"
    return "too_old" if question.max_age_ns is not None and age_ns > question.max_age_ns else ""


def _filter(question: WorkerQuestion) -> Callable[[UnitLabel, UnitUse, tuple[int, int]], str]:
    lora = folded(question.lora)
    model = folded(question.model)

    def reason(label: UnitLabel, use: UnitUse, held: tuple[int, int]) -> str:
        if lora and lora not in map(folded, label.lora):
            return "other_lora"
        if lora and model and not _serves(label, model):
            return "other_model"
        if question.state and load_state(use) != question.state:
            return "other_state" if load_state(use) != "unknown" else "unknown_state"
        if question.min_free_vram_mib is not None:
            if use.vram_free_mib is None:
                return "unknown_vram"
            if use.vram_free_mib - held[1] < question.min_free_vram_mib:
                return "too_little_vram"
        return ""

    return reason


def _load(use: UnitUse, held: tuple[int, int]) -> float:
    if use.waiting is None and use.running is None:
        return UNKNOWN_LOAD + held[0]
    return (use.waiting or 0) * WAITING_WEIGHT + (use.running or 0) + held[0]


def _room(use: UnitUse, held: tuple[int, int]) -> float:
    return UNKNOWN_LOAD if use.vram_free_mib is None else held[1] - use.vram_free_mib


_SCORES: dict[str, Callable[[UnitUse, tuple[int, int]], float]] = {"load": _load, "vram": _room, "random2": _load}


def _chosen(question: WorkerQuestion, fitting: list[tuple[float, Place]], chance: Random) -> list[Place]:
    if question.order != "random2":
        return [place for _, place in heapq.nsmallest(question.limit, fitting)]
    chosen: list[Place] = []
    pool = fitting
    while pool and len(chosen) < question.limit:
        first, second = chance.randrange(len(pool)), chance.randrange(len(pool))
        better = min(first, second, key=lambda at: pool[at][0])
        chosen.append(pool[better][1])
        pool[better] = pool[-1]
        pool.pop()
    return chosen


def age_text_ns(text: str) -> int:
    """An age as a question has it: `500ms`, `5s`, or seconds. *Raises:* ValueError."""
    number, unit = (text[:-2], S // 1000) if text.endswith("ms") else (text.removesuffix("s"), S)
    value = float(number)
    if not 0 <= value < 1e9:
        raise ValueError("not an age")
    return int(value * unit)
