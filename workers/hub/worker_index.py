"""Which workers there are on nodes that are present: by the model that they serve, and by their scores. PURE.

A worker is a unit that serves a model, or a workload. What it serves changes when units come and go, what it does with each update.
Scores are made for who asks, of the workers that are asked for. As long as such questions come they are kept: an update then costs
a third more, and the next question makes those of nodes that have told something since.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from agent.fleet.live import UnitLabel, UnitUse
from agent.model.timebase import S
from workers.hub.fleet_node import PRESENT, FleetNode
from workers.hub.worker_scores import WorkerScores, scores_of

WORKLOAD = "workload"
# For so long after a question the scores that it needed are kept; of so many models at a time.
WATCHED_NS = 60 * S
WATCHED_MAX = 32
# A node with so many of the workers that are asked for has its scores made with each update: a question that makes those of a
# thousand such nodes at once would hold all others.
EAGER_FROM = 16
Place = tuple[str, int]


def is_worker(label: UnitLabel) -> bool:
    """Whether a unit is a worker."""
    return label.model is not None or label.served_model is not None or label.kind == WORKLOAD


def folded(model: str) -> str:
    """A model's name as it is compared: letters of either case are one."""
    return model.casefold()


class _Watched(Struct):
    """The scores of the workers of one model, or of all. `outdated`: nodes whose scores have to be made before the next use."""

    scores: dict[str, WorkerScores]
    outdated: set[str]
    until_ns: int = 0


class WorkerIndex:
    """*Shape:* `by_node` has the keys of the workers of each present node, `away` what workers serve whose node is not present."""

    def __init__(self) -> None:
        self.by_node: dict[str, tuple[int, ...]] = {}
        self.away: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._uses: dict[str, Mapping[int, UnitUse]] = {}
        # By the folded name of a model, "": all workers; the one that was asked for longest ago first.
        self._watched: dict[str, _Watched] = {}
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
        if install not in self.by_node:
            return
        uses = self._uses[install] = node.state.uses
        if not self._watched:
            return
        if (node.updated_ns or 0) >= self._watched_until_ns:
            self._watched.clear()
        for name, watched in self._watched.items():
            if install not in watched.scores:
                continue
            keys = self._groups(name).get(install, ())
            if len(keys) >= EAGER_FROM:
                watched.scores[install] = scores_of(keys, uses)
                watched.outdated.discard(install)
            else:
                watched.outdated.add(install)

    def scores(self, model: str, now_ns: int) -> Mapping[str, WorkerScores]:
        """As of now, by node: of the workers that serve a model by any of its names; "": of all."""
        name = folded(model)
        groups = self._groups(name)
        if not groups:
            return {}
        watched = self._watched.pop(name, None) or _Watched({}, set(groups))
        for old in [each for each, found in self._watched.items() if found.until_ns <= now_ns]:
            del self._watched[old]
        if len(self._watched) >= WATCHED_MAX:
            del self._watched[next(iter(self._watched))]
        self._watched[name] = watched
        watched.until_ns = self._watched_until_ns = now_ns + WATCHED_NS
        scores, all_uses = watched.scores, self._uses
        for install in watched.outdated:
            if (keys := groups.get(install)) is None:
                scores.pop(install, None)
            else:
                scores[install] = scores_of(keys, all_uses[install])
        watched.outdated.clear()
        return scores

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
            self._uses.pop(install, None)
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
        touched = {"", *(name for names in (*before.values(), *now.values()) for name in names)}
        for name in touched & self._watched.keys():
            self._watched[name].outdated.add(install)

    def _groups(self, name: str) -> Mapping[str, tuple[int, ...]]:
        """The keys on each node of the workers that serve it."""
        return self._by_model.get(name, {}) if name else self.by_node


def _names(label: UnitLabel) -> tuple[str, ...]:
    found = (label.model, label.served_model, *label.lora)
    return tuple(dict.fromkeys(folded(name) for name in found if name))
