"""Questions about workers: which of those that serve a model has the least to do, or the most room. PURE.

Unknown, stale and zero are three things. A worker whose engine says nothing has an unknown load and comes behind all whose load is
known; one whose node is silent is left out and counted.
"""

import heapq
from collections import Counter
from collections.abc import Mapping
from random import Random

from msgspec import Struct

from agent.fleet.live import UnitLabel, UnitUse
from agent.model.timebase import S
from workers.hub.fleet_node import FleetNode
from workers.hub.reservation import Reservations
from workers.hub.worker_index import UNKNOWN_SCORE, Place, WorkerIndex, decoded, folded, load_score, room_score, within

ORDERS = ("load", "vram", "random2")
STATES = ("idle", "busy", "unknown")
LIMIT_DEFAULT, LIMIT_MAX = 20, 10_000
# The load scores of each state, from and to.
_LOADS = {"idle": (0, 0), "busy": (1, UNKNOWN_SCORE - 1), "unknown": (UNKNOWN_SCORE, UNKNOWN_SCORE), "": (0, UNKNOWN_SCORE)}
_NOT_HELD = (0, 0)


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


class _WorkerAsking(Struct, frozen=True):
    """A question and what it is answered from."""

    question: WorkerQuestion
    nodes: dict[str, FleetNode]
    index: WorkerIndex
    reservations: Reservations
    chance: Random
    now_ns: int


def answer_workers(
    question: WorkerQuestion,
    nodes: dict[str, FleetNode],
    index: WorkerIndex,
    reservations: Reservations,
    chance: Random,
    now_ns: int,
) -> WorkerAnswer:
    """The workers that fit, best first."""
    asked = _WorkerAsking(question, nodes, index, reservations, chance, now_ns)
    named = question.model or question.lora
    excluded: Counter[str] = Counter()
    wanted = folded(named)
    for install, served in index.away.items():
        if count := len(served) if not named else sum(wanted in names for names in served):
            excluded[str(nodes[install].phase)] += count
    if not named and _is_simple(question):
        places, found = _from_summaries(asked, excluded)
    else:
        groups = index.serving(named) if named else index.by_node
        fitting = _scan(asked, groups, excluded)
        found = len(fitting)
        places = _chosen(question, fitting, chance)
    return WorkerAnswer(places, found, dict(excluded))


def _is_simple(question: WorkerQuestion) -> bool:
    """Whether its order and its one filter are about the same score."""
    if question.order == "random2":
        return False
    return not question.state if question.order == "vram" else question.min_free_vram_mib is None


def _is_checked(question: WorkerQuestion) -> bool:
    """Whether it is asked of each node whether it counts at all."""
    return bool(question.node) or question.max_age_ns is not None


def _node_reason(asked: _WorkerAsking, install: str) -> str:
    """Why no worker of a node fits; empty: they may."""
    question, node = asked.question, asked.nodes[install]
    if question.node and question.node not in (node.install, node.host):
        return "other_node"
    if question.max_age_ns is None:
        return ""
    return "too_old" if node.as_of_ns is None or asked.now_ns - node.as_of_ns > question.max_age_ns else ""


# ---- all workers: the first of each node, by its summary ----


def _from_summaries(asked: _WorkerAsking, excluded: "Counter[str]") -> tuple[list[Place], int]:
    """The best of all, and how many fit."""
    question = asked.question
    least, most = _wanted_scores(question)
    is_checked = _is_checked(question)
    # Of each node: its best code that was not taken yet, its name, where that is, where its list ends, the list.
    heads: list[tuple[int, str, int, int, list[int]]] = []
    found = 0
    for install, summary in asked.index.summaries(asked.now_ns).items():
        if is_checked and (reason := _node_reason(asked, install)):
            excluded[reason] += len(summary.loads)
            continue
        codes = summary.of(question.order)
        begin, end = 0, len(codes)
        if least is not None:
            begin, end = within(codes, least, most)
            _count_others(question, codes, begin, end, excluded)
        if begin < end:
            found += end - begin
            heads.append((codes[begin], install, begin, end, codes))
    if question.order == "vram" and least is not None and (full := _too_full(asked, -most)):
        excluded["too_little_vram"] += full
        found -= full
    return _with_reservations(asked, _first_of(heads, question.limit + len(asked.reservations))), found


def _too_full(asked: _WorkerAsking, wanted_mib: int) -> int:
    """How many workers have enough free memory only if reservations are ignored; summaries do not contain reservations."""
    count = 0
    is_checked = _is_checked(asked.question)
    for install, key in asked.reservations.places():
        if key not in asked.index.by_node.get(install, ()) or (is_checked and _node_reason(asked, install)):
            continue
        free_mib = asked.nodes[install].state.uses[key].vram_free_mib
        if free_mib is not None and free_mib >= wanted_mib > free_mib - asked.reservations.of((install, key))[1]:
            count += 1
    return count


def _first_of(heads: list[tuple[int, str, int, int, list[int]]], count: int) -> list[tuple[int, Place]]:
    """The best of all lists, by merging them as far as they are needed."""
    # No more nodes than that can have one of them.
    heads = heapq.nsmallest(count, heads) if count < len(heads) // 4 else heads
    heapq.heapify(heads)
    taken: list[tuple[int, Place]] = []
    while heads and len(taken) < count:
        code, install, at, end, codes = heads[0]
        score, key = decoded(code)
        taken.append((score, (install, key)))
        if at + 1 < end:
            heapq.heapreplace(heads, (codes[at + 1], install, at + 1, end, codes))
        else:
            heapq.heappop(heads)
    return taken


def _wanted_scores(question: WorkerQuestion) -> tuple[int | None, int]:
    """From which score to which; None: all."""
    if question.order == "vram":
        free = question.min_free_vram_mib
        return (None, 0) if free is None else (-(1 << 62), -free)
    return (None, 0) if not question.state else _LOADS[question.state]


def _count_others(question: WorkerQuestion, codes: list[int], begin: int, end: int, excluded: "Counter[str]") -> None:
    """Those of a node that do not fit: whose score is another one, and whose score is not known."""
    others = len(codes) - (end - begin)
    unknown = others and len(codes) - within(codes, UNKNOWN_SCORE, UNKNOWN_SCORE)[0]
    if question.order == "vram":
        unknown_word, other_word = "unknown_vram", "too_little_vram"
    else:
        unknown_word, other_word = "unknown_state", "other_state"
        unknown = 0 if question.state == "unknown" else unknown
    if unknown:
        excluded[unknown_word] += unknown
    if others > unknown:
        excluded[other_word] += others - unknown


def _with_reservations(asked: _WorkerAsking, taken: list[tuple[int, Place]]) -> list[Place]:
    """The best of those taken, of which some may be held. As many more were taken as are held: those may move back."""
    question, reservations = asked.question, asked.reservations
    if not len(reservations):
        return [place for _, place in taken[: question.limit]]
    is_room = question.order == "vram"
    again = [(score + reservations.of(place)[1 if is_room else 0], place) for score, place in taken]
    if is_room and question.min_free_vram_mib is not None:
        again = [(score, place) for score, place in again if -score >= question.min_free_vram_mib]
    return [place for _, place in heapq.nsmallest(question.limit, again)]


# ---- workers of a model, or by several filters: one after the other ----


def _scan(asked: _WorkerAsking, groups: Mapping[str, tuple[int, ...]], excluded: "Counter[str]") -> list[tuple[int, Place]]:
    question, reservations, nodes = asked.question, asked.reservations, asked.nodes
    is_room = question.order == "vram"
    score_of = room_score if is_room else load_score
    is_checked = _is_checked(question)
    has_filter = bool(question.state or question.lora) or question.min_free_vram_mib is not None
    has_held = len(reservations) > 0
    fitting: list[tuple[int, Place]] = []
    for install, keys in groups.items():
        if is_checked and (reason := _node_reason(asked, install)):
            excluded[reason] += len(keys)
            continue
        state = nodes[install].state
        uses = state.uses
        if not has_filter and not has_held:
            fitting += [(score_of(uses[key]), (install, key)) for key in keys]
            continue
        for key in keys:
            held = reservations.of((install, key)) if has_held else _NOT_HELD
            if has_filter and (reason := _reason(question, state.labels[key], uses[key], held)):
                excluded[reason] += 1
            else:
                fitting.append((score_of(uses[key]) + held[1 if is_room else 0], (install, key)))
    return fitting


def _reason(question: WorkerQuestion, label: UnitLabel, use: UnitUse, held: tuple[int, int]) -> str:
    """Why a worker does not fit; empty: it does."""
    if question.lora and folded(question.lora) not in map(folded, label.lora):
        return "other_lora"
    if question.lora and question.model and folded(question.model) not in _models(label):
        return "other_model"
    if question.state:
        least, most = _LOADS[question.state]
        load = load_score(use)
        if not least <= load <= most:
            return "unknown_state" if load == UNKNOWN_SCORE else "other_state"
    if question.min_free_vram_mib is not None:
        if use.vram_free_mib is None:
            return "unknown_vram"
        if use.vram_free_mib - held[1] < question.min_free_vram_mib:
            return "too_little_vram"
    return ""


def _models(label: UnitLabel) -> list[str]:
    return [folded(name) for name in (label.model, label.served_model) if name]


def _chosen(question: WorkerQuestion, fitting: list[tuple[int, Place]], chance: Random) -> list[Place]:
    """Those that are answered. What was chosen at random is taken out of `fitting`."""
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
