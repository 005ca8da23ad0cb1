"""The operations that a hub carries out: rows in order, bounds, invitations, members, and what is made of bad arguments."""

from random import Random
from typing import Any

import pytest
from fakes.hub_story import HubStory, StoryNode, install_id, labelled, member
from msgspec.structs import replace

from agent.fleet.invitation import KEY_BYTES, parse_invitation, to_text
from agent.fleet.live import NodeUse, UnitLabel, UnitUse
from agent.model.errors import MisuseError
from agent.model.timebase import DAY, HOUR, S
from workers.hub.effect import AnswerNode, HubEffect, NodeChanged
from workers.hub.fleet_node import NodePhase
from workers.hub.fleet_operations import FleetOperations, HubPlace, worker_question
from workers.hub.listing import Gathering
from workers.hub.membership import FORMAT, Member, Membership, MembershipDocument
from workers.hub.questions import WorkerQuestion
from workers.hub.reservation import Reservation, Reservations

KEY = b"k" * KEY_BYTES
PLACE = HubPlace("10.0.0.1:9468", "10.0.0.1:9469", 9469, 9468, "hub.example", KEY, HOUR)
IN_GRACE = "the hub has just begun to listen: nobody is judged yet"


class OperatedHub:
    """A hub and its operations. `count` nodes have joined; random bytes are 1, 2, 3 … in turn."""

    def __init__(self, count: int = 3, *, place: HubPlace = PLACE, hosts: tuple[str, ...] = (), seen: bool = False) -> None:
        self.story = HubStory(count, seen=seen)
        self.members = Membership(
            MembershipDocument(FORMAT, [self._member(number, hosts) for number in range(1, count + 1)], []), 10
        )
        self.reservations = Reservations()
        self._token = 0
        self.operations = FleetOperations(
            self.story.registry, self.story.index, self.reservations, self.members, place, Random(1), self._bytes
        )

    def come(
        self, number: int, labels: list[UnitLabel], uses: list[UnitUse] | None = None, use: NodeUse | None = None, host: str = ""
    ) -> tuple[bytes, bytes]:
        """A node comes and says what it does."""
        node = StoryNode(number, host=host)
        connections = self.story.connect(node)
        self.story.beat(node, connections[0])
        self.story.update(connections[1], node.update(labels, uses, use))
        return connections

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The answer of an operation after which nothing follows."""
        document, effects = self.operate(name, arguments)
        assert effects == []
        return document

    def operate(self, name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[HubEffect]]:
        """The answer of an operation, all rows of it, and what follows."""
        listing = self.operations.listing(name, arguments, lambda: self.story.now_ns, self.story.wall_ns)
        if listing is None:
            return self.operations.carry_out(name, arguments, self.story.wall_ns)
        gathering = Gathering(1, listing)
        assert gathering.go_on(10_000)
        return gathering.document, []

    def remove(self, named: str) -> tuple[dict[str, Any], list[HubEffect]]:
        """A node is taken out, by its id or the name of its host."""
        return self.operate("hub-remove", {"node": named})

    def hosts(self) -> list[str]:
        """The nodes in their order."""
        return [row["host"] for row in self.ask("fleet-nodes")["nodes"]]

    def units(self, **arguments: Any) -> list[str]:
        """The names of the units that an operation answers, in their order."""
        return [row["name"] for row in self.ask("fleet-units", **arguments)["units"]]

    def workers(self, **arguments: Any) -> list[str]:
        """The names of the workers that an operation answers, in their order."""
        return [row["name"] for row in self.ask("fleet-workers", **arguments)["workers"]]

    def _member(self, number: int, hosts: tuple[str, ...]) -> Member:
        found = member(number)
        return replace(found, host=hosts[number - 1]) if hosts else found

    def _bytes(self, size: int) -> bytes:
        self._token += 1
        return bytes([self._token]) * size


@pytest.fixture
def hub() -> OperatedHub:
    """Three nodes have joined, and none has reported."""
    return OperatedHub()


def refusal(hub: OperatedHub, name: str, **arguments: Any) -> str:
    """The sentence with which an operation is refused; nothing has changed then."""
    before = (hub.members.document(), len(hub.story.registry.nodes), hub.operations.has_changed_members)
    with pytest.raises(MisuseError) as failure:
        hub.operate(name, arguments)
    assert (hub.members.document(), len(hub.story.registry.nodes), hub.operations.has_changed_members) == before
    return failure.value.sentence


# ---- nodes ----


def test_nodes_that_are_worst_off_come_first() -> None:
    """Silent ones, late ones, those that never came, those that left; then those that beat, the most pressed first."""
    hub = OperatedHub(8)
    pressures = {1: 10, 2: 900, 3: 500, 4: 400, 5: 0, 6: 0}
    for number, pressure in pressures.items():
        hub.come(number, [], use=NodeUse(pressure_io=pressure, pressure_cpu=5, pressure_memory=None))
    for number, phase in ((1, NodePhase.STALE), (2, NodePhase.GONE), (4, NodePhase.LATE)):
        hub.story.node(number).phase = phase
    assert hub.hosts() == ["node-1", "node-4", "node-7", "node-8", "node-2", "node-3", "node-5", "node-6"]
    assert hub.ask("fleet-nodes")["states"] == {"stale": 1, "late": 1, "never_seen": 2, "gone": 1, "fresh": 3}


@pytest.mark.parametrize("name", ["pressure_cpu", "pressure_memory", "pressure_io"])
def test_any_pressure_makes_a_node_worse_off(name: str) -> None:
    """The worst of the three counts; nodes that are alike come by their names."""
    hub = OperatedHub(4)
    for number, host in ((4, "a"), (1, "c"), (2, "b")):
        hub.come(number, [], use=NodeUse(pressure_cpu=3, pressure_memory=3, pressure_io=3), host=host)
    hub.come(3, [], use=replace(NodeUse(pressure_cpu=2, pressure_memory=2, pressure_io=2), **{name: 4}), host="d")
    assert hub.hosts() == ["d", "a", "b", "c"]


def test_an_answer_says_of_which_hub_and_when_it_is(hub: OperatedHub) -> None:
    """Its name, its life, its index and its time; one that has just begun to listen judges nobody."""
    found = hub.ask("fleet-nodes")
    assert (found["hub"], found["hub_run"], found["as_of"]) == ("hub", "00000000000000ff", "2023-11-14T22:13:20.000Z")
    assert (found["index"], found["suspicion"]) == (4, IN_GRACE)
    hub.come(1, [labelled(1)])
    for name in ("fleet-nodes", "fleet-units", "fleet-workers"):
        found = hub.ask(name)
        assert (found["hub"], found["hub_run"], found["index"]) == ("hub", "00000000000000ff", hub.story.registry.index)
        assert hub.story.registry.index > 4


def test_a_hub_that_suspects_itself_says_so() -> None:
    """All of its nodes fall silent at once: it is rather the hub that does not hear them."""
    hub = OperatedHub(5)
    nodes = [StoryNode(number) for number in range(1, 6)]
    beating = [(node, hub.story.connect(node)[0]) for node in nodes]
    hub.story.pass_time(100 * S, *beating)
    assert (hub.ask("fleet-nodes")["suspicion"], hub.ask("fleet-workers")["suspicion"]) == (None, None)
    assert hub.operations.summary()["suspicion"] is None
    hub.story.pass_time(91 * S)
    sentence = "5 of 5 nodes became silent at once: look at this host and its network first"
    assert (hub.ask("fleet-nodes")["suspicion"], hub.ask("fleet-workers")["suspicion"]) == (sentence, sentence)
    assert hub.operations.summary() == {
        "hub": "hub",
        "hub_run": "00000000000000ff",
        "states": {"stale": 5},
        "suspicion": sentence,
        "workers": 0,
        "beat_seconds": 1.0,
        "stale_seconds": 90.0,
    }


def test_the_summary_counts_states_and_workers(hub: OperatedHub) -> None:
    """A service is no worker."""
    hub.come(1, [labelled(1), labelled(2), labelled(3, kind="service")])
    found = hub.operations.summary()
    assert (found["states"], found["workers"], found["suspicion"]) == ({"fresh": 1, "never_seen": 2}, 2, IN_GRACE)


def test_one_node_is_found_by_its_id_or_its_host() -> None:
    """An id first: a node chooses the name of its host, and may choose another one's id."""
    hub = OperatedHub(3)
    hub.come(1, [], host=install_id(2))
    hub.come(2, [])
    now_ns, wall_ns = hub.story.now_ns, hub.story.wall_ns
    by_id, by_host = hub.operations.node(install_id(2), now_ns, wall_ns), hub.operations.node("node-3", now_ns, wall_ns)
    assert (by_id.node.host, by_host.node.node) == ("node-2", install_id(3))
    assert (by_id.hub, by_id.hub_run, by_id.as_of) == ("hub", "00000000000000ff", "2023-11-14T22:13:20.000Z")
    for nobody in ("", "node-4", install_id(4), "NODE-2"):
        with pytest.raises(MisuseError, match="node: the hub knows no such node; its id, or the name of its host"):
            hub.operations.node(nobody, now_ns, wall_ns)


def test_a_name_that_several_nodes_have_is_not_enough() -> None:
    """Which of them is meant is not guessed: the ids are named."""
    hub = OperatedHub(3)
    for number, host in ((1, "same"), (2, "other"), (3, "same")):
        hub.come(number, [], host=host)
    with pytest.raises(MisuseError, match=f"2 nodes have this host name; name one by its id: {install_id(1)}, {install_id(3)}"):
        hub.operations.node("same", hub.story.now_ns, hub.story.wall_ns)
    assert hub.operations.node(install_id(3), hub.story.now_ns, hub.story.wall_ns).node.host == "same"


# ---- units ----


def busy_hub() -> OperatedHub:
    """Two nodes: a pod and services of 3, 2, 1 and 0 CPUs, and one of which nothing is known."""
    hub = OperatedHub(3)
    hub.come(
        2,
        [labelled(1, kind="pod", unit="uid-1"), labelled(2, kind="service"), labelled(3, kind="service")],
        [UnitUse(1, cpu=1000), UnitUse(2, cpu=3000), UnitUse(3, cpu=0)],
    )
    hub.come(
        1,
        [labelled(4, kind="service"), labelled(5, kind="pod", unit="uid-1"), labelled(6)],
        [UnitUse(4), UnitUse(5, cpu=2000), UnitUse(6, cpu=1000)],
    )
    return hub


def test_the_busiest_units_of_all_nodes_come_first() -> None:
    """Equal ones by host; one whose CPU is not known comes behind those that do nothing, and shows no zero."""
    hub = busy_hub()
    found = hub.ask("fleet-units")
    assert [row["name"] for row in found["units"]] == ["unit-2", "unit-5", "unit-6", "unit-1", "unit-3", "unit-4"]
    assert [row["cpu_cores"] for row in found["units"]] == [3.0, 2.0, 1.0, 1.0, 0.0, None]
    assert (found["found"], found["excluded"]) == (6, {})


@pytest.mark.parametrize(
    ("arguments", "names", "excluded"),
    [
        ({"node": "node-2"}, ["unit-2", "unit-1", "unit-3"], {}),
        ({"node": install_id(1)}, ["unit-5", "unit-6", "unit-4"], {}),
        ({"node": "node-3"}, [], {}),
        ({"node": "nobody"}, [], {}),
        ({"kind": "pod"}, ["unit-5", "unit-1"], {"other_kind": 4}),
        ({"kind": "slice"}, [], {"other_kind": 6}),
        ({"kind": "service", "node": "node-2"}, ["unit-2", "unit-3"], {"other_kind": 1}),
        ({"unit": "uid-1"}, ["unit-5", "unit-1"], {}),
        ({"unit": "uid-1", "kind": "service"}, [], {"other_kind": 2}),
        ({"unit": "uid-1", "kind": "pod", "node": "node-1"}, ["unit-5"], {}),
        ({"unit": "uid-9"}, [], {}),
        ({"node": "", "kind": "", "unit": ""}, ["unit-2", "unit-5", "unit-6", "unit-1", "unit-3", "unit-4"], {}),
    ],
)
def test_units_are_narrowed(arguments: dict[str, str], names: list[str], excluded: dict[str, int]) -> None:
    """By node, kind and unit; of those that were asked for, the ones of another kind are counted."""
    found = busy_hub().ask("fleet-units", **arguments)
    assert ([row["name"] for row in found["units"]], found["found"], found["excluded"]) == (names, len(names), excluded)


@pytest.mark.parametrize(("limit", "count"), [(1, 1), ("2", 2), (5, 5), (6, 6), (7, 6), (10_000, 6)])
def test_a_limit_cuts_the_rows_and_not_the_count(limit: int | str, count: int) -> None:
    """The first of the order stay."""
    found = busy_hub().ask("fleet-units", limit=limit)
    assert [row["name"] for row in found["units"]] == ["unit-2", "unit-5", "unit-6", "unit-1", "unit-3", "unit-4"][:count]
    assert found["found"] == 6


def test_without_a_limit_a_thousand_units_and_twenty_workers_are_told(hub: OperatedHub) -> None:
    """However many there are; they are counted."""
    hub.come(1, [labelled(key) for key in range(1200)])
    units, workers = hub.ask("fleet-units"), hub.ask("fleet-workers")
    assert (len(units["units"]), units["found"]) == (1000, 1200)
    assert (len(workers["workers"]), workers["found"]) == (20, 1200)


def test_a_unit_that_ends_while_rows_are_told_is_left_out() -> None:
    """As is one whose node is taken out; the others follow."""
    hub = busy_hub()
    listing = hub.operations.units({}, lambda: hub.story.now_ns, hub.story.wall_ns)
    told = [next(listing) for _ in range(5)]
    # One pause for each of three nodes, the head, and the busiest.
    assert [each is None for each in told] == [True, True, True, False, False]
    hub.story.registry.remove(install_id(1))
    del hub.story.node(2).state.labels[1]
    left = list(listing)
    assert [None if row is None else row.name for row in left] == [None, None, None, "unit-3", None]  # type: ignore[attr-defined]


# ---- workers ----


def served_hub() -> OperatedHub:
    """Workers of 0, 2, 5 requests and of an unknown number on two nodes, and one on a node that has left."""
    hub = OperatedHub(3)
    hub.come(
        1,
        [labelled(1, model="m"), labelled(2, model="m"), labelled(9, kind="service")],
        [UnitUse(1, running=2, vram_free_mib=8), UnitUse(2, vram_free_mib=2)],
    )
    hub.come(2, [labelled(3, model="m"), labelled(4)], [UnitUse(3, running=5), UnitUse(4, running=0, vram_free_mib=1)])
    beat, _ = hub.come(3, [labelled(5, model="m")])
    leaving = StoryNode(3)
    leaving.sequence = 5
    hub.story.beat(leaving, beat, leaves=True)
    return hub


@pytest.mark.parametrize(
    ("arguments", "names", "excluded"),
    [
        ({}, ["unit-4", "unit-1", "unit-3", "unit-2"], {"gone": 1}),
        ({"model": "M"}, ["unit-1", "unit-3", "unit-2"], {"gone": 1}),
        ({"order": "vram"}, ["unit-1", "unit-2", "unit-4", "unit-3"], {"gone": 1}),
        ({"min_free_vram": 2 << 20}, ["unit-1", "unit-2"], {"gone": 1, "too_little_vram": 1, "unknown_vram": 1}),
        # Part of a MiB more is a MiB more.
        ({"min_free_vram": str((2 << 20) + 1)}, ["unit-1"], {"gone": 1, "too_little_vram": 2, "unknown_vram": 1}),
        ({"min_free_vram": 0}, ["unit-4", "unit-1", "unit-2"], {"gone": 1, "unknown_vram": 1}),
        ({"min_free_vram": ""}, ["unit-4", "unit-1", "unit-3", "unit-2"], {"gone": 1}),
        ({"min_free_vram": None}, ["unit-4", "unit-1", "unit-3", "unit-2"], {"gone": 1}),
        ({"state": "busy"}, ["unit-1", "unit-3"], {"gone": 1, "other_state": 1, "unknown_state": 1}),
        ({"node": "node-2"}, ["unit-4", "unit-3"], {"gone": 1, "other_node": 2}),
        ({"lora": "fast"}, [], {}),
        ({"max_age": "500ms"}, ["unit-4", "unit-1", "unit-3", "unit-2"], {"gone": 1}),
    ],
)
def test_workers_that_fit_come_in_order_and_the_others_are_counted(
    arguments: dict[str, Any], names: list[str], excluded: dict[str, int]
) -> None:
    """Those whose load, or room, is not known behind all others."""
    found = served_hub().ask("fleet-workers", **arguments)
    assert ([row["name"] for row in found["workers"]], found["found"], found["excluded"]) == (names, len(names), excluded)


def test_a_worker_that_is_held_shows_it_until_it_is_held_no_longer() -> None:
    """It comes later in the order meanwhile, with less room."""
    hub = served_hub()
    place = (install_id(2), 4)
    question = WorkerQuestion(limit=1)
    assert hub.operations.best(question, hub.story.now_ns) == [place]
    for name, vram_mib in (("a", 1), ("b", 0), ("c", 0)):
        hub.operations.reserve(Reservation(name, place, vram_mib, hub.story.now_ns + S))
    assert (hub.operations.held(place), hub.operations.held((install_id(1), 1))) == ((3, 1), (0, 0))
    assert hub.workers() == ["unit-1", "unit-4", "unit-3", "unit-2"]
    [row] = [row for row in hub.ask("fleet-units")["units"] if row["name"] == "unit-4"]
    assert (row["reserved"], row["vram_free_bytes"]) == (3, 0)
    assert [hub.operations.end_reservation(name) for name in ("a", "b", "c", "c")] == [True, True, True, False]
    assert hub.workers() == ["unit-4", "unit-1", "unit-3", "unit-2"]


def test_a_question_has_what_was_asked() -> None:
    """Each argument in its place and unit; what is left out is anything."""
    assert worker_question({}) == WorkerQuestion("", "", "", None, None, "", "load", 20)
    arguments = {"model": "m", "lora": "l", "state": "idle", "min_free_vram": 1, "max_age": "1.5s", "node": "n", "limit": "7"}
    assert worker_question({**arguments, "order": "random2"}) == WorkerQuestion(
        "m", "l", "idle", 1, 1_500_000_000, "n", "random2", 7
    )


# ---- bad arguments ----

NO_TEXT: list[object] = [None, 5, True, ["a"], {}]
NO_NUMBER: list[object] = [True, 1.5, "many", "", [], {}, float("nan"), float("inf"), "9" * 5000, "1.5"]
LIMIT_RANGE = "limit: 1 to 10000"
FREE_OR_AGE = "min_free_vram, max_age: bytes, and an age such as 500ms or 5s"


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        *(("fleet-units", name) for name in ("node", "kind", "unit")),
        *(("fleet-workers", name) for name in ("model", "lora", "state", "node", "order", "max_age")),
        ("hub-invite", "address"),
        ("hub-remove", "node"),
    ],
)
def test_what_must_be_text_is_text_of_a_bounded_length(hub: OperatedHub, operation: str, name: str) -> None:
    """The sentence names the argument."""
    for value in NO_TEXT:
        assert refusal(hub, operation, **{name: value}) == f"{name}: this is no text"
    assert refusal(hub, operation, **{name: "x" * 4097}) == f"{name}: it has more than 4096 characters"


def test_the_longest_text_is_taken() -> None:
    """A path of a cgroup may have as many characters as a path has."""
    hub = busy_hub()
    assert hub.units(unit="x" * 4096) == []
    assert hub.workers(model="x" * 4096) == []


@pytest.mark.parametrize("operation", ["fleet-units", "fleet-workers"])
def test_a_limit_is_a_whole_number_in_bounds(hub: OperatedHub, operation: str) -> None:
    """Half a row and a truth are no numbers of rows."""
    for value in (*NO_NUMBER, None):
        assert refusal(hub, operation, limit=value) == "limit: this is no number"
    for value in (0, "0", -1, "-1", 10_001, "10001", 1 << 70):
        assert refusal(hub, operation, limit=value) == LIMIT_RANGE


@pytest.mark.parametrize("value", [*(each for each in NO_NUMBER if each != ""), -1, "-1", -(1 << 70)])
def test_free_memory_is_bytes(hub: OperatedHub, value: object) -> None:
    """A whole number that is not below zero."""
    assert refusal(hub, "fleet-workers", min_free_vram=value) == FREE_OR_AGE


@pytest.mark.parametrize("value", ["soon", "-1s", "nan", "inf", "5m", "s", "ms"])
def test_an_age_is_a_span(hub: OperatedHub, value: str) -> None:
    """In seconds or milliseconds."""
    assert refusal(hub, "fleet-workers", max_age=value) == FREE_OR_AGE


def test_orders_and_states_are_named_where_they_are_none(hub: OperatedHub) -> None:
    """Those that there are."""
    assert refusal(hub, "fleet-workers", order="best") == "order: there is no such order; one of load, vram, random2"
    assert refusal(hub, "fleet-workers", state="bored") == "state: there is no such state; one of idle, busy, unknown"


# ---- invitations ----


def test_an_invitation_says_where_to_join_and_holds_for_an_hour(hub: OperatedHub) -> None:
    """With the hub's key and a token of its own; only its digest is kept, and has to be stored."""
    found = hub.ask("hub-invite")
    invitation = parse_invitation(found["invitation"])
    assert (invitation.host, invitation.port, invitation.key, invitation.token) == ("hub.example", 9469, KEY, b"\x01" * 16)
    assert (found["expires"], found["uses"]) == ("2023-11-14T23:13:20.000Z", 1)
    assert (hub.operations.has_changed_members, hub.members.open_invitations(hub.story.wall_ns)) == (True, 1)
    assert to_text(invitation.token) not in str(hub.members.document())
    assert parse_invitation(hub.ask("hub-invite")["invitation"]).token == b"\x02" * 16


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("hub-2.example", "hub-2.example"),
        ("fd00::1", "fd00::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", "hub.example"),
    ],
)
def test_an_invitation_names_the_address_that_was_asked_for(hub: OperatedHub, address: str, host: str) -> None:
    """A node reads it from the line again; none given: the hub's own."""
    assert parse_invitation(hub.ask("hub-invite", address=address)["invitation"]).host == host


@pytest.mark.parametrize(
    "address",
    ["hub:9469", "10.1.2.3:9469", "[fd00::1]:9469", "a b", "user@hub", "http://hub", "[", "]", ":", "::g", ".", "a\nb", "\udcff"],
)
def test_a_bad_address_is_refused_before_a_node_fails_with_it(hub: OperatedHub, address: str) -> None:
    """And no invitation is open."""
    sentence = "hub invite --address: this is no host name and no address; name it without a port"
    assert refusal(hub, "hub-invite", address=address) == sentence


def test_a_hub_that_does_not_know_its_own_name_asks_for_one() -> None:
    """An invitation to nowhere would help nobody."""
    hub = OperatedHub(place=replace(PLACE, invited_by=""))
    assert "name it without a port" in refusal(hub, "hub-invite")
    assert parse_invitation(hub.ask("hub-invite", address="hub-3")["invitation"]).host == "hub-3"


@pytest.mark.parametrize(
    ("ttl_ns", "expires"),
    [(S, "2023-11-14T22:13:21.000Z"), (DAY, "2023-11-15T22:13:20.000Z"), (365 * DAY, "2024-11-13T22:13:20.000Z")],
)
def test_an_invitation_holds_as_long_as_was_asked(hub: OperatedHub, ttl_ns: int, expires: str) -> None:
    """From a second to a year."""
    assert hub.ask("hub-invite", ttl_ns=ttl_ns)["expires"] == expires


@pytest.mark.parametrize("ttl_ns", [0, -S, S - 1, 365 * DAY + 1, 1 << 70, 1.5e9, float("nan"), "1h", None, True, []])
def test_an_invitation_holds_no_other_time(hub: OperatedHub, ttl_ns: object) -> None:
    """The sentence says from when to when."""
    assert refusal(hub, "hub-invite", ttl_ns=ttl_ns) == "hub invite --ttl: an invitation holds between a second and a year"


@pytest.mark.parametrize("uses", [1, 2, 100_000])
def test_an_invitation_is_for_so_many_nodes(hub: OperatedHub, uses: int) -> None:
    """And the hub keeps how many."""
    assert hub.ask("hub-invite", uses=uses)["uses"] == uses
    assert [each.uses for each in hub.members.document().invitations] == [uses]


@pytest.mark.parametrize("uses", [0, -1, 100_001, 1 << 70])
def test_an_invitation_for_nobody_or_for_too_many_is_none(hub: OperatedHub, uses: int) -> None:
    """It is bounded."""
    assert refusal(hub, "hub-invite", uses=uses) == "hub invite: an invitation is for 1 to 100000 nodes"


@pytest.mark.parametrize("uses", ["2", 1.0, None, True, []])
def test_uses_are_a_whole_number(hub: OperatedHub, uses: object) -> None:
    """As JSON has it."""
    assert refusal(hub, "hub-invite", uses=uses) == "hub invite --uses: this is no number"


# ---- members ----


def test_members_are_listed_with_the_hub_that_they_belong_to() -> None:
    """In the order of their hosts; who never reported was last seen at no time, which is not 1970."""
    hub = OperatedHub(3, hosts=("zebra", "ant", "mole"))
    hub.story.wall_ns += 60 * S
    hub.come(1, [])
    hub.ask("hub-invite")
    assert hub.ask("hub-list") == {
        "hub": "hub",
        "listen": "10.0.0.1:9468",
        "join": "10.0.0.1:9469",
        "page": None,
        "key": to_text(KEY),
        "open_invitations": 1,
        "members": [
            {
                "node": install_id(2),
                "host": "ant",
                "joined": "2023-11-14T22:13:20.000Z",
                "last_seen": None,
                "state": "never_seen",
            },
            {
                "node": install_id(3),
                "host": "mole",
                "joined": "2023-11-14T22:13:20.000Z",
                "last_seen": None,
                "state": "never_seen",
            },
            {
                "node": install_id(1),
                "host": "zebra",
                "joined": "2023-11-14T22:13:20.000Z",
                "last_seen": "2023-11-14T22:14:20.000Z",
                "state": "fresh",
            },
        ],
    }


def test_the_newest_time_at_which_a_member_was_seen_is_told() -> None:
    """By what is kept or by what the hub has heard; a member of which the registry knows nothing has not been heard."""
    hub = OperatedHub(2, seen=True)
    hub.members.saw(install_id(1), "", hub.story.wall_ns - 5 * S)
    hub.members.saw(install_id(2), "", hub.story.wall_ns + 5 * S)
    hub.operations.page = "http://127.0.0.1:9467/"
    found = hub.ask("hub-list")
    # The registry saw both a second ago.
    assert [row["last_seen"] for row in found["members"]] == ["2023-11-14T22:13:19.000Z", "2023-11-14T22:13:25.000Z"]
    assert ([row["state"] for row in found["members"]], found["page"]) == (["late", "late"], "http://127.0.0.1:9467/")
    hub.story.registry.remove(install_id(1))
    [first, _] = hub.ask("hub-list")["members"]
    assert (first["state"], first["last_seen"]) == ("never_seen", "2023-11-14T22:13:15.000Z")


def test_an_invitation_that_has_expired_is_not_open(hub: OperatedHub) -> None:
    """An hour later."""
    hub.ask("hub-invite")
    hub.story.wall_ns += HOUR - 1
    assert hub.ask("hub-list")["open_invitations"] == 1
    hub.story.wall_ns += 1
    assert hub.ask("hub-list")["open_invitations"] == 0


# ---- removal ----


def test_a_node_that_is_removed_is_nowhere_any_more() -> None:
    """Its connections are told, and it is neither a node nor a member; what ran there is no worker."""
    hub = served_hub()
    document, effects = hub.remove("node-1")
    assert document == {"node": install_id(1), "host": "node-1"}
    assert hub.operations.has_changed_members
    answered = [effect.connection for effect in effects if isinstance(effect, AnswerNode)]
    assert sorted(answered) == [f"{install_id(1)}-{1:016x}-{purpose}".encode() for purpose in ("beat", "live")]
    assert effects[-1] == NodeChanged(install_id(1))
    assert sorted(hub.hosts()) == ["node-2", "node-3"]
    assert hub.workers() == ["unit-4", "unit-3"]
    assert [row["host"] for row in hub.ask("hub-list")["members"]] == ["node-2", "node-3"]
    assert refusal(hub, "hub-remove", node="node-1") == "node-1: no node has this id or host name; `agentctl hub list` shows them"


def test_a_node_is_removed_by_its_id_where_names_are_not_enough() -> None:
    """Two hosts of one name are told apart by it; nobody is removed by chance."""
    hub = OperatedHub(3, hosts=("same", "same", "other"))
    sentence = f"same: 2 nodes have this host name; name one by its id: {install_id(1)}, {install_id(2)}"
    assert refusal(hub, "hub-remove", node="same") == sentence
    assert hub.remove(install_id(2))[0] == {"node": install_id(2), "host": "same"}
    assert hub.remove("same")[0] == {"node": install_id(1), "host": "same"}
    assert list(hub.story.registry.nodes) == [install_id(3)]


def test_a_removal_without_a_name_removes_nobody(hub: OperatedHub) -> None:
    """And says what to do."""
    assert refusal(hub, "hub-remove") == "no node has this id or host name; `agentctl hub list` shows them"
    assert (
        refusal(hub, "hub-remove", node="\x1b[2J") == r"\x1b[2J: no node has this id or host name; `agentctl hub list` shows them"
    )


def test_a_member_that_the_hub_does_not_hold_is_removed_without_a_word(hub: OperatedHub) -> None:
    """There is no connection of it to tell."""
    hub.story.registry.remove(install_id(1))
    assert hub.remove(install_id(1)) == ({"node": install_id(1), "host": "node-1"}, [])
