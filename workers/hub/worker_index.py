"""Which workers there are on nodes that are present: by the model that they serve, by what they have to do, by their room. PURE.

A worker is a unit that serves a model, or a workload. What it serves changes when units come and go, what it does with each update.
A question about all of them looks at the first few of each node's summary. Summaries are made when they are needed, and with each
update as long as such questions are asked: they cost a third of what an update costs otherwise.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from agent.fleet.live import UnitLabel, UnitUse
from agent.model.timebase import S
from workers.hub.fleet_node import PRESENT, FleetNode

WORKLOAD = "workload"
# What a request that waits costs against one that runs, as vLLM's own router weighs them.
WAITING_WEIGHT = 4
# Behind every load, and every room, that is known.
UNKNOWN_SCORE = 1 << 60
# Keys of units have 31 bits.
_KEY_BITS = 31
_KEY_MASK = (1 << _KEY_BITS) - 1
# For so long after a question about all of them summaries are kept up to date.
WATCHED_NS = 60 * S
Place = tuple[str, int]


def is_worker(label: UnitLabel) -> bool:
    """Whether a unit is a worker."""
    return label.model is not None or label.served_model is not None or label.kind == WORKLOAD


def folded(model: str) -> str:
    """A model's name as it is compared: letters of either case are one."""
    return model.casefold()


def load_score(use: UnitUse) -> int:
    """The less, the less it has to do. *Range:* UNKNOWN_SCORE where its engine says nothing; 0: it is idle."""
    waiting, running = use.waiting, use.running
    if waiting is None and running is None:
        return UNKNOWN_SCORE
    return (waiting or 0) * WAITING_WEIGHT + (running or 0)


def room_score(use: UnitUse) -> int:
    """The less, the more free memory one of its GPUs has. *Range:* UNKNOWN_SCORE where that is not known."""
    return UNKNOWN_SCORE if use.vram_free_mib is None else -use.vram_free_mib


class NodeSummary(Struct, frozen=True):
    """The workers of one node by their scores, the best first. Each is one number, `coded`: a list of pairs takes twice as long."""

    loads: list[int]
    rooms: list[int]

    def of(self, order: str) -> list[int]:
        """Those of an order."""
        return self.rooms if order == "vram" else self.loads


def coded(score: int, key: int) -> int:
    """Score and key in one number, in the order of the scores."""
    return (score << _KEY_BITS) + key


def decoded(code: int) -> tuple[int, int]:
    """Score and key."""
    return code >> _KEY_BITS, code & _KEY_MASK


def within(codes: list[int], least: int, most: int) -> tuple[int, int]:
    """Where the scores from `least` to `most` begin and end in a sorted list."""
    return bisect_left(codes, least << _KEY_BITS), bisect_right(codes, coded(most, _KEY_MASK))


def summary_of(keys: Iterable[int], uses: Mapping[int, UnitUse]) -> NodeSummary:
    """The summary of these workers. Written out, because it is made for each node each second."""
    shift, unknown = _KEY_BITS, UNKNOWN_SCORE << _KEY_BITS
    loads, rooms = [], []
    for key in keys:
        use = uses[key]
        waiting, running, free = use.waiting, use.running, use.vram_free_mib
        if waiting is None and running is None:
            loads.append(unknown + key)
        else:
            loads.append((((waiting or 0) * WAITING_WEIGHT + (running or 0)) << shift) + key)
        rooms.append(unknown + key if free is None else (-free << shift) + key)
    loads.sort()
    rooms.sort()
    return NodeSummary(loads, rooms)


class WorkerIndex:
    """*Shape:* `by_node` has the keys of the workers of each present node, `away` what workers serve whose node is not present."""

    def __init__(self) -> None:
        self.by_node: dict[str, tuple[int, ...]] = {}
        self.away: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._summaries: dict[str, NodeSummary] = {}
        self._outdated: set[str] = set()
        self._uses: dict[str, Mapping[int, UnitUse]] = {}
        self._watched_until_ns = 0
        self._by_model: dict[str, dict[str, tuple[int, ...]]] = {}
        self._names: dict[str, dict[int, tuple[str, ...]]] = {}
        self._count = 0

    def on_node(self, node: FleetNode) -> None:
        """What runs on a node, or whether it is present, has changed."""
        install = node.install
        known = {label.key: _names(label) for label in node.state.labels.values() if is_worker(label)}
        is_present = node.phase in PRESENT
        now = known if is_present else {}
        if known and not is_present:
            self.away[install] = tuple(known.values())
        else:
            self.away.pop(install, None)
        before = self._names.pop(install, {})
        if now:
            self._names[install] = now
        if before != now:
            self._reindex(install, before, now)
        self.on_uses(node)

    def on_uses(self, node: FleetNode) -> None:
        """What its workers do has changed."""
        install = node.install
        if (keys := self.by_node.get(install)) is None:
            return
        self._uses[install] = node.state.uses
        if (node.updated_ns or 0) < self._watched_until_ns:
            self._summaries[install] = summary_of(keys, node.state.uses)
        else:
            self._outdated.add(install)

    def summaries(self, now_ns: int) -> Mapping[str, NodeSummary]:
        """Of each present node with workers, as of now; from now on they are kept so for some time."""
        self._watched_until_ns = now_ns + WATCHED_NS
        for install in self._outdated:
            self._summaries[install] = summary_of(self.by_node[install], self._uses[install])
        self._outdated.clear()
        return self._summaries

    def serving(self, model: str) -> Mapping[str, tuple[int, ...]]:
        """The workers that serve a model, by any of its names: the keys on each node."""
        return self._by_model.get(folded(model), {})

    def places(self) -> Iterator[Place]:
        """All workers."""
        return ((install, key) for install, keys in self.by_node.items() for key in keys)

    def __len__(self) -> int:
        return self._count

    def _reindex(self, install: str, before: dict[int, tuple[str, ...]], now: dict[int, tuple[str, ...]]) -> None:
        self._count += len(now) - len(before)
        if now:
            self.by_node[install] = tuple(now)
        else:
            self.by_node.pop(install, None)
            self._summaries.pop(install, None)
            self._uses.pop(install, None)
            self._outdated.discard(install)
        for name in {name for names in before.values() for name in names}:
            nodes = self._by_model[name]
            del nodes[install]
            if not nodes:
                del self._by_model[name]
        by_name: dict[str, list[int]] = {}
        for key, names in now.items():
            for name in names:
                by_name.setdefault(name, []).append(key)
        for name, keys in by_name.items():
            self._by_model.setdefault(name, {})[install] = tuple(keys)


def _names(label: UnitLabel) -> tuple[str, ...]:
    found = (label.model, label.served_model, *label.lora)
    return tuple(dict.fromkeys(folded(name) for name in found if name))
