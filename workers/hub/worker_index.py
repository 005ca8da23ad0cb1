"""Which workers there are on nodes that are present, by the model that they serve. PURE.

A worker is a unit that serves a model, or a workload. The index follows the registry: it changes when units come and go, not with
each of their numbers.
"""

from collections.abc import Iterator, Mapping

from agent.fleet.live import UnitLabel
from workers.hub.fleet_node import PRESENT, FleetNode

WORKLOAD = "workload"
Place = tuple[str, int]


def is_worker(label: UnitLabel) -> bool:
    """Whether a unit is a worker."""
    return label.model is not None or label.served_model is not None or label.kind == WORKLOAD


def folded(model: str) -> str:
    """A model's name as it is compared: letters of either case are one."""
    return model.casefold()


class WorkerIndex:
    """*Shape:* `by_node` has the keys of the workers of each present node, `away` the names of what workers serve whose node is
    not."""

    def __init__(self) -> None:
        self.by_node: dict[str, tuple[int, ...]] = {}
        self.away: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._by_model: dict[str, dict[Place, None]] = {}
        self._names: dict[str, dict[int, tuple[str, ...]]] = {}

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
        if before != now:
            for key, names in before.items():
                if now.get(key) != names:
                    for name in names:
                        self._forget(name, (install, key))
            for key, names in now.items():
                if before.get(key) != names:
                    for name in names:
                        self._by_model.setdefault(name, {})[install, key] = None
        if now:
            self._names[install] = now
            self.by_node[install] = tuple(now)
        else:
            self.by_node.pop(install, None)

    def serving(self, model: str) -> Mapping[Place, None]:
        """The workers that serve a model, by any of its names."""
        return self._by_model.get(folded(model), {})

    def places(self) -> Iterator[Place]:
        """All workers."""
        return ((install, key) for install, keys in self.by_node.items() for key in keys)

    def __len__(self) -> int:
        return sum(map(len, self.by_node.values()))

    def _forget(self, name: str, place: Place) -> None:
        places = self._by_model[name]
        del places[place]
        if not places:
            del self._by_model[name]


def _names(label: UnitLabel) -> tuple[str, ...]:
    found = (label.model, label.served_model, *label.lora)
    return tuple(dict.fromkeys(folded(name) for name in found if name))
