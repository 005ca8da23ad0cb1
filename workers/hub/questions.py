"""Questions about workers: which of those that serve a model has the least to do, or the most room. PURE.

Unknown, stale and zero are three things. A worker whose engine says nothing has an unknown load and comes behind all whose load is
known; one whose node is silent is left out and counted.
"""

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from random import Random

from msgspec import Struct

from agent.fleet.live import UnitLabel, UnitUse
from agent.model.timebase import S
from workers.hub.fleet_node import FleetNode
from workers.hub.reservation import Reservations
from workers.hub.worker_index import Place, WorkerIndex, folded
from workers.hub.worker_scores import KEY_MASK, UNKNOWN_SCORE, WorkerScores, coded, key_of, score_of, span_of, unknown_in, within

ORDERS = ("load", "vram", "random2")
STATES = ("idle", "busy", "unknown")
LIMIT_DEFAULT, LIMIT_MAX = 20, 10_000
# The codes of the loads of each state, from and to.
_LOADS = {"idle": span_of(0, 0), "busy": span_of(1, UNKNOWN_SCORE - 1), "unknown": span_of(UNKNOWN_SCORE, UNKNOWN_SCORE)}
# Before every room.
_MOST_ROOM = -(1 << 62)
# The part of a sorted list of codes that is still to be taken: its first code, the node, where it begins and ends, the list. And
# what its workers do, where only those with enough room are to be taken of it; else None.
Span = tuple[int, str, int, int, list[int], Mapping[int, UnitUse] | None]


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
    spans, found = _fitting(asked, named, excluded)
    is_random = question.order == "random2"
    places = _spread(spans, found, question.limit, chance) if is_random else _first_of(spans, question)
    return WorkerAnswer(places, found, dict(excluded))


# ---- which of a node fit ----


def _fitting(asked: _WorkerAsking, named: str, excluded: "Counter[str]") -> tuple[list[Span], int]:
    """Of each node with workers that fit: those, the best first; and how many fit in all."""
    question = asked.question
    all_scores = asked.index.scores(named, asked.now_ns)
    refused = _refused_nodes(asked, all_scores) if question.node or question.max_age_ns is not None else {}
    held = {install for install, _ in asked.reservations.places()}
    is_by_room = question.order == "vram"
    # Its order and its one filter are about the same score: what fits is one span of a list that is there.
    is_plain = not question.lora and (not question.state if is_by_room else question.min_free_vram_mib is None)
    # Those with enough room are counted in one list, and looked for in the other one as far as they are needed.
    is_load_with_room = question.order == "load" and not is_plain and not question.lora and not question.state
    wanted, wanted_rooms = _wanted_codes(question), _wanted_rooms(question)
    spans: list[Span] = []
    found = 0
    for install, scores in all_scores.items():
        if install in refused:
            excluded[refused[install]] += len(scores.loads)
            continue
        uses = None
        if install in held or not (is_plain or is_load_with_room):
            codes = _narrowed(asked, install, scores, excluded, is_held=install in held)
            begin, end = 0, len(codes)
            count = end
        elif is_load_with_room:
            _, count = _span(scores.rooms, wanted_rooms, excluded, is_by_room=True)
            codes, begin, end = scores.loads, 0, len(scores.loads)
            uses = None if count == end else asked.nodes[install].state.uses
        else:
            codes = scores.rooms if is_by_room else scores.loads
            begin, end = _span(codes, wanted, excluded, is_by_room=is_by_room)
            count = end - begin
        if count:
            found += count
            spans.append((codes[begin], install, begin, end, codes, uses))
    return spans, found


def _refused_nodes(asked: _WorkerAsking, installs: Iterable[str]) -> dict[str, str]:
    """The nodes of which no worker fits, and why."""
    question, nodes = asked.question, asked.nodes
    refused: dict[str, str] = {}
    if question.max_age_ns is not None:
        least_ns = asked.now_ns - question.max_age_ns
        for install in installs:
            as_of_ns = nodes[install].as_of_ns
            if as_of_ns is None or as_of_ns < least_ns:
                refused[install] = "too_old"
    if question.node:
        refused |= {each: "other_node" for each in installs if question.node not in (each, nodes[each].host)}
    return refused


def _wanted_codes(question: WorkerQuestion) -> tuple[int, int] | None:
    """From which code of its order to which. *Absent:* None where all fit."""
    return _wanted_rooms(question) if question.order == "vram" else _LOADS.get(question.state)


def _wanted_rooms(question: WorkerQuestion) -> tuple[int, int] | None:
    free_mib = question.min_free_vram_mib
    return None if free_mib is None else span_of(_MOST_ROOM, -free_mib)


def _span(codes: list[int], wanted: tuple[int, int] | None, excluded: "Counter[str]", *, is_by_room: bool) -> tuple[int, int]:
    """Where the codes that are wanted begin and end; the others are counted: whose score is not known, and whose is another."""
    if wanted is None or not codes or (codes[0] >= wanted[0] and codes[-1] <= wanted[1]):
        return 0, len(codes)
    begin, end = within(codes, *wanted)
    if others := len(codes) - (end - begin):
        unknown_word, other_word = ("unknown_vram", "too_little_vram") if is_by_room else ("unknown_state", "other_state")
        unknown = 0 if wanted == _LOADS["unknown"] else unknown_in(codes)
        if unknown:
            excluded[unknown_word] += unknown
        if others > unknown:
            excluded[other_word] += others - unknown
    return begin, end


def _narrowed(asked: _WorkerAsking, install: str, scores: WorkerScores, excluded: "Counter[str]", *, is_held: bool) -> list[int]:
    """The workers of one node that fit, by one filter after the other, and with what others hold of them."""
    question = asked.question
    is_by_room = question.order == "vram"
    loads, rooms = scores.loads, scores.rooms
    if question.lora:
        labels = asked.nodes[install].state.labels
        reasons = {key: _label_reason(question, labels[key]) for key in map(key_of, loads)}
        excluded.update(filter(None, reasons.values()))
        loads = [code for code in loads if not reasons[key_of(code)]]
    if question.state:
        begin, end = _span(loads, _LOADS[question.state], excluded, is_by_room=False)
        loads = loads[begin:end]
    wanted_rooms = _wanted_rooms(question)
    if is_by_room or wanted_rooms is not None:
        if len(loads) < len(rooms):
            keys = {code & KEY_MASK for code in loads}
            rooms = [code for code in rooms if code & KEY_MASK in keys]
        if is_held:
            rooms = sorted(code + coded(asked.reservations.of((install, key_of(code)))[1], 0) for code in rooms)
        if wanted_rooms is not None:
            # What nobody knows stays unknown, however much of it is held.
            _, end = _span(rooms, wanted_rooms, excluded, is_by_room=True)
            rooms = rooms[:end]
        if is_by_room:
            return rooms
        keys = {code & KEY_MASK for code in rooms}
        loads = [code for code in loads if code & KEY_MASK in keys]
    if is_held:
        loads = sorted(code + coded(asked.reservations.of((install, key_of(code)))[0], 0) for code in loads)
    return loads


def _label_reason(question: WorkerQuestion, label: UnitLabel) -> str:
    """Why a worker that serves what was named does not fit; empty: it does."""
    if folded(question.lora) not in map(folded, label.lora):
        return "other_lora"
    if question.model and folded(question.model) not in (folded(name) for name in (label.model, label.served_model) if name):
        return "other_model"
    return ""


# ---- which of them are answered ----


def _first_of(spans: list[Span], question: WorkerQuestion) -> list[Place]:
    """The best of all spans, by merging them as far as they are needed."""
    count, least_mib = question.limit, question.min_free_vram_mib or 0
    # No more nodes than that can have one of them, where all that a span has are to be taken.
    is_cut = count < len(spans) // 4 and all(span[5] is None for span in spans)
    heads = heapq.nsmallest(count, spans) if is_cut else spans
    heapq.heapify(heads)
    taken: list[Place] = []
    while heads and len(taken) < count:
        code, install, at, end, codes, uses = heads[0]
        if uses is None or _has_room(uses, code, least_mib):
            taken.append((install, key_of(code)))
        at += 1
        while uses is not None and at < end and not _has_room(uses, codes[at], least_mib):
            at += 1
        if at < end:
            heapq.heapreplace(heads, (codes[at], install, at, end, codes, uses))
        else:
            heapq.heappop(heads)
    return taken


def _has_room(uses: Mapping[int, UnitUse], code: int, least_mib: int) -> bool:
    free_mib = uses[code & KEY_MASK].vram_free_mib
    return free_mib is not None and free_mib >= least_mib


def _spread(spans: list[Span], found: int, limit: int, chance: Random) -> list[Place]:
    """The less loaded of two random ones, again and again, none twice. Who is not drawn is not looked at."""
    ends = list(accumulate(end - begin for _, _, begin, end, _, _ in spans))
    # Of a row of all that fit: who stands now where another was drawn before.
    moved: dict[int, int] = {}
    chosen: list[Place] = []

    def drawn(at: int) -> tuple[int, Place]:
        number = moved.get(at, at)
        span = bisect_right(ends, number)
        _, install, _, end, codes, _ = spans[span]
        code = codes[end - (ends[span] - number)]
        return score_of(code), (install, key_of(code))

    for left in range(found, max(0, found - limit), -1):
        draws = [(*drawn(at), at) for at in (chance.randrange(left), chance.randrange(left))]
        _, place, at = min(draws, key=lambda each: each[0])
        chosen.append(place)
        last = moved.pop(left - 1, left - 1)
        if at != left - 1:
            moved[at] = last
    return chosen


def age_text_ns(text: str) -> int:
    """An age as a question has it: `500ms`, `5s`, or seconds. *Raises:* ValueError."""
    number, unit = (text[:-2], S // 1000) if text.endswith("ms") else (text.removesuffix("s"), S)
    value = float(number)
    if not 0 <= value < 1e9:
        raise ValueError("not an age")
    return int(value * unit)
