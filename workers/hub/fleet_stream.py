"""What the hub's stream tells: the whole picture for one who comes, then what changes. PURE.

Starts and ends of units go at once. Numbers of nodes go together, at most once in PERIOD_NS, and only while somebody listens.
"""

from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import Any

from agent.model.control.document import plain
from agent.model.control.fleet import FleetChange
from agent.model.json_text import json_bytes
from agent.model.timebase import S
from workers.http.event_stream import EventChannel, StreamEvent
from workers.hub.effect import NodeChanged, UnitsChanged
from workers.hub.fleet_node import FleetNode
from workers.hub.fleet_operations import FleetOperations
from workers.hub.fleet_row import node_row, unit_row
from workers.hub.registry import NodeRegistry

PERIOD_NS = 1 * S
# A row takes some 600 bytes and 75 us: 256 rows a second are 2 % of a processor and 150 KiB for each client, however large the
# fleet is. One event of the largest rows has half the room that a client has. Where more have changed, the next ones follow;
# changes of states go before, and sooner.
ROWS_MAX = 64
MORE_NS = PERIOD_NS // 4
NEXT_NS = PERIOD_NS // 10
# Sentences of conditions are as long as a node makes them; whole they are in the documents.
CONDITIONS_MAX, CONDITION_CHARACTERS_MAX = 4, 120
# Asks for no whole picture: the client has asked for the documents.
LATER = "later"
# The whole picture is one event, made at once and held for one client: that of so many nodes took 55 ms and had 1.2 MB.
WHOLE_NODES_MAX = 2000
# Without any change the hub is told so often: who listens knows how old the picture is.
HUB_EVERY_NS = 5 * S
# A unit that begins is one event; a node that comes with all of its units is told as a node.
UNIT_EVENTS_MAX = 50


def has_whole(topics: frozenset[str]) -> bool:
    """Whether the whole picture has the rows of all nodes."""
    return not topics or ("nodes" in topics and LATER not in topics)


def _row(node: FleetNode, now_ns: int) -> dict[str, Any]:
    row: dict[str, Any] = plain(node_row(node, now_ns))
    row["conditions"] = [each[:CONDITION_CHARACTERS_MAX] for each in row["conditions"][:CONDITIONS_MAX]]
    return row


class FleetStream:
    """`channel_of` makes the channel, given what a whole picture is."""

    def __init__(
        self,
        registry: NodeRegistry,
        operations: FleetOperations,
        channel_of: Callable[[Callable[[frozenset[str]], Iterable[StreamEvent]]], EventChannel],
        now_ns: Callable[[], int],
    ) -> None:
        self.channel = channel_of(self._picture)
        self._registry = registry
        self._operations = operations
        self._now_ns = now_ns
        # In the order of the changes; and the version that was told last, the one that was told longest ago first.
        self._changed: dict[str, None] = {}
        self._told: dict[str, int] = {}
        self._hub = b""
        self._next_ns = 0
        self._hub_at_ns = 0

    def on_change(self, change: FleetChange, now_ns: int) -> None:
        """Something that is worth a line: told at once."""
        self._publish("change", plain(change), now_ns)

    def on_node(self, changed: NodeChanged, now_ns: int) -> None:
        """A node's state has changed: told with the next event of nodes, which comes at once."""
        if changed.install not in self._registry.nodes:
            self._told.pop(changed.install, None)
            self._publish("gone", {"node": changed.install}, now_ns)
            return
        self._changed[changed.install] = None
        self._next_ns = min(self._next_ns, now_ns)

    def on_units(self, changed: UnitsChanged, now_ns: int) -> None:
        """Units have begun or ended: told at once."""
        node = self._registry.nodes.get(changed.install)
        if node is None or len(self.channel) == 0:
            return
        # A key may be another unit's after a restart of the uplink: its end comes before its beginning.
        for key in changed.gone[:UNIT_EVENTS_MAX]:
            self._publish("unit", {"change": "ended", "key": key, "unit": None, "node": changed.install}, now_ns)
        for key in changed.begun[:UNIT_EVENTS_MAX]:
            label, use = node.state.labels.get(key), node.state.uses.get(key)
            if label is not None and use is not None:
                row = plain(unit_row(node, label, use, (0, 0), now_ns))
                self._publish("unit", {"change": "started", "key": key, "unit": row, "node": changed.install}, now_ns)

    def next_deadline_ns(self) -> int | None:
        """When there may be something to tell; None: nobody listens."""
        deadlines = [each for each in (self.channel.next_deadline_ns(),) if each is not None]
        return min((self._next_ns, *deadlines), default=None) if len(self.channel) else None

    def on_timer(self, now_ns: int) -> None:
        """Tell what has changed."""
        self.channel.on_timer(now_ns)
        if now_ns < self._next_ns or not len(self.channel):
            return
        self._next_ns = now_ns + PERIOD_NS
        rows = [_row(node, now_ns) for node in self._due()]
        if len(rows) == ROWS_MAX:
            self._next_ns = now_ns + (NEXT_NS if self._changed else MORE_NS)
        if rows:
            self._publish("nodes", {"nodes": rows, "index": self._registry.index}, now_ns)
        hub = self._hub_data()
        if hub != self._hub or now_ns >= self._hub_at_ns:
            self._hub, self._hub_at_ns = hub, now_ns + HUB_EVERY_NS
            self.channel.publish(StreamEvent("hub", hub, "hub"), now_ns)

    def _due(self) -> list[FleetNode]:
        """The nodes whose rows are told now: first those whose state has changed, then those that were told longest ago."""
        nodes = self._registry.nodes
        due = dict.fromkeys(islice(self._changed, ROWS_MAX))
        for install in due:
            del self._changed[install]
        others = chain([install for install in nodes if install not in self._told], self._told)
        news = (install for install in others if install in nodes and self._told.get(install) != nodes[install].version)
        due.update(dict.fromkeys(islice(news, ROWS_MAX - len(due))))
        found = [nodes[install] for install in due if install in nodes]
        for node in found:
            self._told.pop(node.install, None)
            self._told[node.install] = node.version
        return found

    def _picture(self, topics: frozenset[str]) -> Iterable[StreamEvent]:
        now_ns = self._now_ns()
        if not topics or "hub" in topics:
            yield StreamEvent("hub", self._hub_data(), "hub")
        # A fleet that has grown meanwhile is asked for, as by who comes now.
        if has_whole(topics) and len(self._registry.nodes) <= WHOLE_NODES_MAX:
            # What others have been told stays: this picture is for one client.
            rows = [plain(node_row(node, now_ns)) for node in self._registry.nodes.values()]
            yield StreamEvent("nodes", json_bytes({"nodes": rows, "index": self._registry.index, "whole": True}))

    def _hub_data(self) -> bytes:
        return json_bytes(self._operations.summary())

    def _publish(self, event: str, data: dict[str, object], now_ns: int) -> None:
        self.channel.publish(StreamEvent(event, json_bytes(data)), now_ns)
