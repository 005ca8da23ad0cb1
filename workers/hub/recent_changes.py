"""What has changed in the fleet lately: starts and ends of units, and states of nodes. PURE.

It is what a person reads who comes now; what is kept for good is in the tables.
"""

from collections import deque
from collections.abc import Iterator, Mapping

from agent.fleet.live import UnitLabel
from agent.model.control.fleet import FleetChange, FleetChanges
from agent.model.timebase import iso_utc
from workers.hub.effect import HubEffect, NodeChanged, UnitsChanged
from workers.hub.fleet_node import FleetNode, NodePhase

# As many as a person reads.
CHANGES_MAX = 100


class RecentChanges:
    """*Shape:* the newest CHANGES_MAX of them."""

    def __init__(self) -> None:
        self._kept: deque[FleetChange] = deque(maxlen=CHANGES_MAX)
        self._count = 0
        self._known: dict[str, tuple[str, NodePhase]] = {}
        # What ran on a node whose agent was started again, until it tells what runs now.
        self._before: dict[str, dict[str, UnitLabel]] = {}

    def take(self, effect: HubEffect, nodes: Mapping[str, FleetNode], wall_ns: int) -> list[FleetChange]:
        """What an effect means as changes, which are kept."""
        match effect:
            case NodeChanged():
                found = list(self._of_node(effect.install, nodes.get(effect.install), wall_ns))
            case UnitsChanged() if effect.install in nodes:
                found = list(self._of_units(effect, nodes[effect.install], wall_ns))
            case _:
                return []
        self._count += len(found)
        self._kept.extend(found)
        return found

    def document(self, hub: tuple[str, str], wall_ns: int) -> FleetChanges:
        """`hub`: its name and its run."""
        return FleetChanges(
            hub=hub[0],
            hub_run=hub[1],
            as_of=iso_utc(wall_ns),
            left_out=self._count - len(self._kept),
            changes=list(reversed(self._kept)),
        )

    def _of_node(self, install: str, node: FleetNode | None, wall_ns: int) -> Iterator[FleetChange]:
        known = self._known.get(install)
        if node is None:
            self._known.pop(install, None)
            self._before.pop(install, None)
            yield _change(wall_ns, "removed", install, known[0] if known is not None else install)
            return
        self._known[install] = (node.host, node.phase)
        was = None if known is None else known[1]
        # After a start of the hub all nodes come back: that one of them does is no news.
        if was is not node.phase and not (was is None and node.phase is NodePhase.FRESH):
            before = None if was is None else str(was)
            yield _change(wall_ns, "state", install, node.host, was=before, state=str(node.phase))

    def _of_units(self, effect: UnitsChanged, node: FleetNode, wall_ns: int) -> Iterator[FleetChange]:
        begun = [node.state.labels[key] for key in effect.begun if key in node.state.labels]
        ended = list(effect.ended)
        if effect.is_arrival:
            if ended:
                self._before[node.install] = {label.unit: label for label in ended}
                return
            before = self._before.pop(node.install, None)
            units = {label.unit for label in begun}
            ended = [label for unit, label in (before or {}).items() if unit not in units]
            begun = [] if before is None else [label for label in begun if label.unit not in before]
        for label in ended[:CHANGES_MAX]:
            yield _change(wall_ns, "ended", node.install, node.host, label)
        for label in begun[:CHANGES_MAX]:
            yield _change(wall_ns, "started", node.install, node.host, label)


def _change(
    wall_ns: int,
    change: str,
    install: str,
    host: str,
    label: UnitLabel | None = None,
    *,
    was: str | None = None,
    state: str | None = None,
) -> FleetChange:
    return FleetChange(
        at=iso_utc(wall_ns),
        change=change,
        node=install,
        host=host,
        unit=None if label is None else label.unit,
        kind=None if label is None else label.kind,
        name=None if label is None else label.name,
        was=was,
        state=state,
    )
