"""What the hub's stream tells, and how much of it."""

import json
from collections.abc import Callable
from random import Random

from fakes.shown_fleet import ShownFleet

from agent.fleet.live import NodeUse
from agent.model.timebase import S
from workers.http.event_stream import EventChannel
from workers.hub.effect import NodeChanged
from workers.hub.fleet_stream import CONDITIONS_MAX, MORE_NS, NEXT_NS, ROWS_MAX, FleetStream


class Listener:
    """A client that takes everything at once."""

    on_drained: Callable[[int], None] | None = None
    on_closed: Callable[[int], None] | None = None
    blocked_since_ns: int | None = None

    def __init__(self) -> None:
        self.text = ""

    def send(self, data: bytes, now_ns: int) -> bool:
        """It takes all."""
        self.text += data.decode()
        return True

    def close(self) -> None:
        """It has nothing to close."""

    def events(self, name: str) -> list[dict[str, object]]:
        """The data of the events of a name, which are then forgotten."""
        found = []
        for block in self.text.split("\n\n"):
            lines = dict(line.partition(": ")[::2] for line in block.splitlines())
            if lines.get("event") == name:
                found.append(json.loads(lines["data"]))
        return found


class Heard:
    """A fleet, its stream, and one who listens."""

    def __init__(self, count: int, topics: str = "nodes,later") -> None:
        self.fleet = ShownFleet(count, units=1)
        registry = self.fleet.story.registry
        self.now_ns = self.fleet.clock.now_ns()
        self.stream = FleetStream(
            registry, self.fleet.operations, lambda picture: EventChannel("run", picture, Random(1)), lambda: self.now_ns
        )
        self.listener = Listener()
        self.stream.channel.join(self.listener, None, frozenset(topics.split(",")), self.now_ns)

    def pass_time(self, span_ns: int) -> list[str]:
        """The nodes that are told then."""
        self.listener.text = ""
        self.now_ns += span_ns
        self.stream.on_timer(self.now_ns)
        return [row["node"] for event in self.listener.events("nodes") for row in event["nodes"]]  # type: ignore[attr-defined]


def test_all_rows_come_in_parts_and_none_twice() -> None:
    """A large fleet is told in seconds; then only what changes."""
    heard = Heard(2 * ROWS_MAX + 11)
    told = [heard.pass_time(MORE_NS) for _ in range(3)]
    assert [len(rows) for rows in told] == [ROWS_MAX, ROWS_MAX, 11]
    assert len({*told[0], *told[1], *told[2]}) == 2 * ROWS_MAX + 11
    assert heard.pass_time(S) == []
    heard.fleet.update(3)
    assert heard.pass_time(MORE_NS) == []
    assert heard.pass_time(S) == [heard.fleet.nodes[3].install]


def test_changes_of_states_go_first_and_soon() -> None:
    """However many rows are to be told."""
    heard = Heard(ROWS_MAX + 60)
    last = list(heard.fleet.story.registry.nodes)[-1]
    heard.stream.on_node(NodeChanged(last), heard.now_ns)
    assert heard.pass_time(0)[0] == last
    for install in heard.fleet.story.registry.nodes:
        heard.stream.on_node(NodeChanged(install), heard.now_ns)
    assert len(heard.pass_time(0)) == ROWS_MAX
    assert len(heard.pass_time(NEXT_NS)) == 60


def test_sentences_of_conditions_are_short_in_events() -> None:
    """A node may have many and long ones; the documents have them whole."""
    heard = Heard(3)
    node = heard.fleet.story.node(1)
    node.state.node_use = NodeUse(conditions=("worker: kind: " + "x" * 4000,) * 64)
    heard.pass_time(S)
    [event] = heard.listener.events("nodes")
    [row] = [row for row in event["nodes"] if row["node"] == node.install]  # type: ignore[attr-defined]
    assert len(row["conditions"]) == CONDITIONS_MAX
    assert len(heard.listener.text) < 8000


def test_a_node_that_was_taken_out_is_no_row() -> None:
    """It is told as gone, and nothing waits for it."""
    heard = Heard(4, "nodes,gone,later")
    heard.pass_time(S)
    install = heard.fleet.nodes[2].install
    heard.stream.on_node(NodeChanged(install), heard.now_ns)
    heard.fleet.story.registry.remove(install)
    heard.stream.on_node(NodeChanged(install), heard.now_ns)
    assert heard.listener.events("gone") == [{"node": install}]
    assert heard.pass_time(S) == []


def test_who_asks_for_it_gets_the_rows_of_all_nodes_at_once() -> None:
    """Whatever their number; with `later` the client has asked for them before."""
    whole = Heard(ROWS_MAX + 5, "nodes")
    [event] = whole.listener.events("nodes")
    assert event["whole"] is True
    assert len(event["nodes"]) == ROWS_MAX + 5  # type: ignore[arg-type]
    assert Heard(5).listener.events("nodes") == []
