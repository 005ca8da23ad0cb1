"""The hub's work: take what nodes say, judge who is silent, answer operations.

One loop does all of it, and waits for nothing: a turn takes a bounded number of frames, so that beats, questions and the gate
have their turns whatever comes.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agent.fleet.beat import decode_beat, is_beat
from agent.fleet.invitation import decode_join, encode_joined, encode_not_joined
from agent.fleet.message import HELLO_MARK, ROWS_MARK, decode_hello, decode_rows_head, encode_answer
from agent.fleet.update import COMPRESSED_MARK, UPDATE_MARK
from agent.model.errors import BusyError, EvergaugeError, FormatError, ProtocolError, StorageError
from agent.model.message import Note
from agent.model.timebase import MS, S
from agent.ports import Bus, Clock, Forwarder, Interest, Operation
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork
from workers.hub.contacts import Contact
from workers.hub.deliveries import Deliveries
from workers.hub.effect import AnswerNode, HubEffect, HubTerms, NodeChanged, Tell, UnitsChanged
from workers.hub.fleet_http import FleetHttp, HttpPlace
from workers.hub.fleet_operations import FleetOperations, HubPlace
from workers.hub.listing import PARTS_PER_TURN, Gathering
from workers.hub.membership import Member, Membership
from workers.hub.registry import NodeRegistry
from workers.hub.reservation import Reservations
from workers.hub.worker_index import WorkerIndex

if TYPE_CHECKING:
    from workers.hub.endpoint import Arrival, HubEndpoint
    from workers.hub.hub_files import HubFiles

# A turn of the loop ends after so many frames, or so much time: a beat takes 20 us, the whole state of a large node some ms.
# Questions wait no longer.
FRAMES_PER_TURN = 512
TURN_NS = 4 * MS
# What nodes say is taken together: a turn of the loop for each frame would cost as much as the frames.
GATHER_NS = 8 * MS
JOINS_PER_TURN = 16
# Long answers to operations that are being made; a few people ask for them.
GATHERINGS_MAX = 16
OPEN_AGAIN_NS = 5 * S
# When nodes reported last is remembered over a restart of the hub.
SEEN_NS = 60 * S
_UPDATE_MARKS = frozenset({UPDATE_MARK, COMPRESSED_MARK})


class HubParts(Struct, frozen=True):
    """What the work is made of. `open` gives the sockets, for who asks whether a key is a member's; it raises UnavailableError."""

    terms: HubTerms
    place: HubPlace
    membership: Membership
    files: "HubFiles"
    open: "Callable[[Callable[[str], bool]], HubEndpoint]"
    http: HttpPlace
    forwarder: Forwarder
    chance: Random


class HubWork(BaseWork):
    """The `agent.ports.Work` of worker `hub`."""

    def __init__(self, parts: HubParts, clock: Clock, bus: Bus) -> None:
        super().__init__()
        self._parts = parts
        self._clock = clock
        self._bus = bus
        self._conditions = Conditions(bus)
        self._membership = parts.membership
        now_ns, wall_ns = clock.now_ns(), clock.wall_ns()
        self.registry = NodeRegistry(parts.terms, self._membership.members(), parts.chance, now_ns, wall_ns)
        self._index = WorkerIndex()
        self.registry.follow(self._index.on_node, self._index.on_uses)
        self._reservations = Reservations()
        self._operations = FleetOperations(
            self.registry, self._index, self._reservations, self._membership, parts.place, parts.chance, os.urandom
        )
        self._http = FleetHttp(parts.http, self.registry, self._operations, clock, parts.chance)
        self._deliveries = Deliveries(parts.forwarder, parts.chance)
        self._endpoint: HubEndpoint | None = None
        self._gate_descriptors: frozenset[int] = frozenset()
        self._data_descriptor = -1
        self._has_knocked = False
        self._take_at_ns: int | None = None
        self._open_at_ns = now_ns
        self._seen_at_ns = now_ns + SEEN_NS
        self._turn_at_ns = now_ns
        self._interests: tuple[Interest, ...] = ()
        # Answers to operations: the first of the former is being made, the latter are.
        self._gatherings: deque[Gathering] = deque()
        self._answers: list[tuple[int, dict[str, Any]]] = []
        self._malformed = 0
        self._frames = 0

    # ---- Work ----

    def on_start(self, now_ns: int) -> None:
        """Begin to listen."""
        self._open(now_ns)

    def next_deadline_ns(self) -> int | None:
        """At once while there is more to take; else when somebody may have become late."""
        if self.is_stopped:
            return None
        if self._has_knocked or self._gatherings:
            return 0
        opens = self._open_at_ns if self._endpoint is None else self._seen_at_ns
        takes = opens if self._take_at_ns is None else self._take_at_ns
        return min(self._turn_at_ns, self._seen_at_ns, self._http.next_deadline_ns(), opens, takes)

    def interests(self) -> tuple[Interest, ...]:
        """The sockets of nodes, and the clients of HTTP."""
        if self.is_stopped:
            return ()
        # While frames are gathered their descriptor stays readable, and would wake the loop without end.
        nodes = self._interests if self._take_at_ns is None else self._interests[:-1]
        return (*nodes, *self._http.interests())

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Something has come; what nodes said is taken in the turn that follows at once."""
        if descriptor == self._data_descriptor:
            self._gather(now_ns)
        elif descriptor in self._gate_descriptors:
            self._has_knocked = True
        else:
            self._http.on_readable(descriptor, now_ns)

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """A client takes more of its answer."""
        self._http.on_writable(descriptor, now_ns)

    def on_timer(self, now_ns: int) -> None:
        """One turn."""
        if self.is_stopped:
            return
        if self._endpoint is None and now_ns >= self._open_at_ns:
            self._open(now_ns)
        has_more = self._endpoint is not None and self._take(self._endpoint, now_ns)
        now_ns = self._clock.now_ns()
        # Those who wait in the sockets have not been heard yet: no verdict before all of them are.
        if (not has_more and now_ns >= self._turn_at_ns) or now_ns >= self._turn_at_ns + self._parts.terms.beat_ns:
            self._carry_out(self.registry.on_turn(now_ns, self._clock.wall_ns()))
            self._turn_at_ns = self.registry.next_deadline_ns(now_ns)
            self._reservations.forget_old(now_ns)
            self._conditions.tell("hub_suspicion", self.registry.suspicion)
        if self._gatherings:
            self._gather_rows()
        self._http.on_timer(now_ns)
        self._conditions.tell("hub_http", self._http.problem)
        if now_ns >= self._seen_at_ns:
            self._seen_at_ns = now_ns + SEEN_NS
            self._keep_seen()

    def on_operation(self, operation: Operation, now_ns: int) -> dict[str, Any] | None:
        """Questions about the fleet, and changes of who belongs to it. *Absent:* None where the answer is long and comes later."""
        wall_ns, operations = self._clock.wall_ns(), self._operations
        try:
            listing = operations.listing(operation.name, operation.arguments, self._clock.now_ns, wall_ns)
            if listing is not None:
                gathering = Gathering(operation.number, listing)
                if gathering.go_on(PARTS_PER_TURN):
                    return gathering.document
                if len(self._gatherings) >= GATHERINGS_MAX:
                    raise BusyError("hub", "it makes many long answers at this moment", "try again in a few seconds")
                self._gatherings.append(gathering)
                return None
            document, effects = operations.carry_out(operation.name, operation.arguments, wall_ns)
            if operations.has_changed_members:
                operations.has_changed_members = False
                self._store_members()
        except EvergaugeError as failure:
            return _refused(failure)
        self._carry_out(effects)
        return document

    def take_answers(self) -> Sequence[tuple[int, dict[str, Any]]]:
        """Long ones."""
        taken, self._answers = self._answers, []
        return taken

    def _gather_rows(self) -> None:
        """Go on with the first of the answers that are being made."""
        gathering = self._gatherings[0]
        try:
            if gathering.go_on(PARTS_PER_TURN):
                self._answers.append((gathering.number, gathering.document))
                self._gatherings.popleft()
        except EvergaugeError as failure:
            self._answers.append((gathering.number, _refused(failure)))
            self._gatherings.popleft()

    def on_stored(self, now_ns: int) -> None:
        """The writer has stored rows of nodes: they are told."""
        self._carry_out(list(self._deliveries.on_stored()))

    def stats(self) -> dict[str, Any]:
        """How many nodes there are in which state, and what came in."""
        nodes = self.registry.nodes.values()
        states: dict[str, int] = {}
        for node in nodes:
            states[str(node.phase)] = states.get(str(node.phase), 0) + 1
        endpoint = self._endpoint
        return {
            "states": states,
            "units": sum(len(node.state.labels) for node in nodes),
            "workers": len(self._index),
            "frames": self._frames,
            "malformed": self._malformed,
            "connections": None if endpoint is None else endpoint.connections,
            "strangers": None if endpoint is None else endpoint.strangers,
            "beats": sum(node.counts.received for node in nodes),
            "lost": sum(node.counts.lost for node in nodes),
            "doubled": sum(node.counts.doubled for node in nodes),
            "refused": sum(node.counts.refused for node in nodes),
            "rows": self._deliveries.rows,
            "row_bytes": self._deliveries.bytes,
            "held": self._deliveries.held,
            "http": self._http.stats(),
        }

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Nodes connect again to the next one."""
        super().on_stop(now_ns, for_good=for_good)
        self._keep_seen()
        self._http.close()
        self._interests = ()
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    # ---- sockets ----

    def _open(self, now_ns: int) -> None:
        self._open_at_ns = now_ns + OPEN_AGAIN_NS
        try:
            self._endpoint = self._parts.open(lambda key: self._owner(key) != "")
        except EvergaugeError as failure:
            self._conditions.begin("hub_endpoint", failure.sentence, blocks_ready=True)
        else:
            gates, data = self._endpoint.gate_descriptors, self._endpoint.data_descriptor
            self._gate_descriptors, self._data_descriptor = frozenset(gates), data
            self._interests = tuple(map(Interest, (*gates, data)))
            self._conditions.end("hub_endpoint")
            self._has_knocked = True
            self._take_at_ns = now_ns

    def _owner(self, key: str) -> str:
        """The installation that has a key now; "": none."""
        member = self._membership.by_key(key)
        return "" if member is None else member.install

    def _gather(self, now_ns: int) -> None:
        if self._take_at_ns is None:
            self._take_at_ns = now_ns + GATHER_NS

    def _take(self, endpoint: "HubEndpoint", now_ns: int) -> bool:
        """Take what has come, a bounded part of it. True: there is more."""
        if self._has_knocked:
            self._has_knocked = False
            endpoint.open_gate()
            self._conditions.tell("hub_full", "no further connections are taken: raise LimitNOFILE" if endpoint.is_full else "")
            for connection, key, frame in endpoint.join_requests(JOINS_PER_TURN):
                self._has_knocked = True
                endpoint.answer_join(connection, self._join(key, frame, now_ns))
        if self._take_at_ns is None or now_ns < self._take_at_ns:
            return False
        self._take_at_ns = None
        taken = 0
        until_ns = now_ns + TURN_NS
        has_more = False
        for arrival in endpoint.arrivals(FRAMES_PER_TURN):
            taken += 1
            self._on_arrival(endpoint, arrival)
            if has_more := taken == FRAMES_PER_TURN or self._clock.now_ns() >= until_ns:
                self._take_at_ns = now_ns
                break
        self._frames += taken
        return has_more

    def _on_arrival(self, endpoint: "HubEndpoint", arrival: "Arrival") -> None:
        now_ns, wall_ns = self._clock.now_ns(), self._clock.wall_ns()
        connection, frame = arrival.connection, arrival.first
        registry = self.registry
        contact = registry.contacts.get(connection)
        if contact is not None and registry.is_flooding(contact, now_ns):
            return
        effects: list[HubEffect] | None = None
        try:
            if is_beat(frame):
                effects = registry.on_beat(connection, decode_beat(frame), now_ns, wall_ns)
            elif (mark := frame[:2]) in _UPDATE_MARKS:
                effects = registry.on_update(connection, frame, now_ns)
            elif mark == HELLO_MARK:
                effects = registry.on_hello(connection, self._owner(arrival.key), decode_hello(frame), now_ns, wall_ns)
            elif mark == ROWS_MARK:
                effects = self._on_rows(arrival, contact, now_ns)
            else:
                self._malformed += 1
        except ProtocolError:
            self._malformed += 1
        if effects:
            self._carry_out(effects)

    def _on_rows(self, arrival: "Arrival", contact: Contact | None, now_ns: int) -> list[HubEffect] | None:
        if contact is None:
            return self.registry.on_unknown(arrival.connection)
        node = self.registry.nodes[contact.install]
        head = decode_rows_head(arrival.first, len(arrival.rest))
        answer = self._deliveries.on_rows(arrival.connection, (node.host, node.install), head, arrival.rest)
        return None if answer is None else [AnswerNode(arrival.connection, answer)]

    def _join(self, key: str, frame: bytes, now_ns: int) -> bytes:
        if not self._membership.may_try(now_ns):
            return encode_not_joined("too_many", "too many nodes join at this moment; try again in a second")
        wall_ns = self._clock.wall_ns()
        try:
            token, install, host = decode_join(frame)
            outcome = self._membership.join(token, install, host, key, wall_ns)
            if not isinstance(outcome, Member):
                self._bus.note(Note("hub_join_refused", "warning", {"code": outcome.code, "host": host, "node": install}))
                return encode_not_joined(outcome.code, outcome.sentence)
            self._store_members()
        except FormatError:
            self._malformed += 1
            return encode_not_joined("malformed", "this is no request to join")
        except StorageError as failure:
            return encode_not_joined("storage", f"the hub cannot store its members: {failure.sentence}")
        self._bus.note(Note("hub_node_joined", "info", {"node": install, "host": host}))
        self._carry_out(self.registry.add(outcome, wall_ns))
        return encode_joined(self._parts.terms.name, self._parts.place.data_port)

    # ---- effects ----

    def _carry_out(self, effects: list[HubEffect]) -> None:
        for effect in effects:
            match effect:
                case AnswerNode():
                    if self._endpoint is not None:
                        self._endpoint.answer(effect.connection, encode_answer(effect.answer))
                        self._gather(self._clock.now_ns())
                case Tell():
                    self._bus.note(Note(effect.kind, effect.severity, effect.fields))
                case NodeChanged() | UnitsChanged():
                    self._http.on_effect(effect, self._clock.now_ns())

    def _store_members(self) -> None:
        """*Raises:* StorageError; then the condition says so."""
        try:
            self._parts.files.write_members(self._membership.document())
        except StorageError as failure:
            self._conditions.begin("hub_storage", failure.sentence)
            raise
        self._conditions.end("hub_storage")

    def _keep_seen(self) -> None:
        changed = False
        known = {member.install: member.seen_wall_ns for member in self._membership.members()}
        for install, node in self.registry.nodes.items():
            if node.seen_wall_ns > known.get(install, 0):
                self._membership.saw(install, node.host, node.seen_wall_ns)
                changed = True
        if changed:
            try:
                self._store_members()
            except StorageError:
                # It is told as a condition, and tried again in a minute.
                return


def _refused(failure: EvergaugeError) -> dict[str, Any]:
    return {"refused": {"code": "refused", "sentence": failure.sentence, "exit": int(failure.code)}}
