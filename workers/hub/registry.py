"""Which nodes there are, what each says, and what the hub answers. PURE: time, chance and the members are handed in.

    known node, same life          beats count, updates are applied
    known node, another life       on the same boot the one before has ended, and its set is replaced in one step; else it is a
                                   challenger: if the one before still beats, there are two, and the newer is refused
    life that was replaced         refused

Only the hub's monotonic clock decides what is late or stale. After its own start or a stall there are no verdicts for as long as a
node may be silent, because it was the hub that did not listen.
"""

from collections.abc import Callable, Iterable
from random import Random

from agent.fleet.beat import NodeBeat
from agent.fleet.live import NAME_CHARACTERS_MAX
from agent.fleet.message import PROTOCOL_VERSION, Denied, Greet, Hold, NodeHello, WantWhole, Welcome
from agent.fleet.update import LiveState, apply_update, decode_update, is_fitting, next_digest
from agent.model.errors import ProtocolError
from agent.model.foreign import readable
from agent.model.timebase import MS, S
from workers.hub.contacts import Contact, Contacts, is_flooding
from workers.hub.effect import AnswerNode, HubEffect, HubTerms, NodeChanged, Tell, TellFields, UnitsChanged
from workers.hub.fleet_node import PRESENT, Challenger, FleetNode, NodePhase, NodeRun, shared
from workers.hub.membership import Member
from workers.hub.silence import Silence
from workers.hub.succession import are_two, begun_and_gone, count_beat, go_on

# So many lives of one node are remembered as ended: what comes late of one is not taken for news.
RETIRED_MAX = 8
# A beat and an update of one moment travel on two connections.
BEHIND_NS = 3 * S
WANT_EVERY_NS = 1 * S
# The uplink starts a moment before its beat is heard.
LIVE_FIRST_MS = 500
# A node that is refused asks again once a minute: what was not repeated for so long is over.
PROBLEM_NS = 180 * S
# A node that makes up a new reason for each frame fills no log.
TELL_EVERY_NS = 10 * S


class NodeRegistry:
    """All nodes by installation. Methods return effects, in the order in which they are to be carried out."""

    def __init__(self, terms: HubTerms, members: Iterable[Member], chance: Random, now_ns: int, wall_ns: int) -> None:
        self.terms = terms
        self.index = 1
        self.nodes: dict[str, FleetNode] = {}
        self.strangers = 0
        self.contacts = Contacts(terms.admissions_per_second, chance, now_ns)
        self._chance = chance
        self._silence = Silence(terms.beat_ns, terms.stale_ns, now_ns)
        self._challenged: set[str] = set()
        self._is_suspicious = False
        self._listeners: list[tuple[Callable[[FleetNode], None], Callable[[FleetNode], None]]] = []
        for member in members:
            self.add(member, wall_ns)

    @property
    def suspicion(self) -> str:
        """Why the hub does not trust its own picture; empty: it does."""
        return self._silence.suspicion

    @property
    def is_in_grace(self) -> bool:
        """Whether the hub gives no verdicts yet, because it has just begun to listen."""
        return self._silence.is_in_grace

    # ---- members ----

    def add(self, member: Member, wall_ns: int) -> list[HubEffect]:
        """A node has joined, now or before the hub's start."""
        if member.install in self.nodes:
            # It may have another key now: each of its connections says again whose it is.
            self.contacts.drop_node(member.install)
            return []
        if member.seen_wall_ns:
            # It was here before the hub was: it has as long as any other to be heard.
            node = FleetNode(member.install, member.host, NodePhase.LATE, wall_ns, member.seen_wall_ns)
            self._silence.expect(member.install)
        else:
            node = FleetNode(member.install, member.host, NodePhase.NEVER_SEEN, wall_ns)
        self.nodes[member.install] = node
        self.index += 1
        return [NodeChanged(member.install)]

    def remove(self, install: str) -> list[HubEffect]:
        """A node was taken out: nothing of it is held, and what it says from now on is refused."""
        node = self.nodes.pop(install, None)
        if node is None:
            return []
        self._silence.forget(install)
        self._challenged.discard(install)
        connections = self.contacts.drop_node(install)
        self._drop_state(node)
        self.index += 1
        denied = Denied("removed", f"{self.terms.name} has taken this node out; join it again with a new invitation")
        return [*(AnswerNode(connection, denied) for connection in connections), NodeChanged(install)]

    def follow(self, on_node: Callable[[FleetNode], None], on_uses: Callable[[FleetNode], None]) -> None:
        """Call the first after each change of what runs on a node, the second after each change of what it does alone."""
        self._listeners.append((on_node, on_uses))

    # ---- what nodes say ----

    def on_unknown(self, connection: bytes) -> list[HubEffect]:
        """A frame came on a connection that has not said hello to this life of the hub."""
        self.strangers += 1
        return [AnswerNode(connection, Greet())]

    def on_hello(self, connection: bytes, install: str, hello: NodeHello, now_ns: int, wall_ns: int) -> list[HubEffect]:
        """A connection says whose it is; `install` is whose it is by its key."""
        node = self.nodes.get(install)
        if node is None:
            return [AnswerNode(connection, Denied("unknown_node", f"{self.terms.name} does not know this node; join it again"))]
        if hello.install != install:
            sentence = f"its key is that of {install}, its install-id {hello.install}"
            return self._refuse(node, connection, "other_identity", sentence, now_ns)
        if hello.protocol != PROTOCOL_VERSION:
            sentence = f"{self.terms.name} speaks version {PROTOCOL_VERSION} of the protocol, the node {hello.protocol}"
            return self._refuse(node, connection, "protocol", sentence, now_ns)
        if (wait_ms := self.contacts.admission_wait_ms(now_ns, is_beat=hello.purpose == "beat")) is not None:
            return [AnswerNode(connection, Hold(wait_ms))]
        life = NodeRun(hello.run, hello.boot, readable(hello.host, NAME_CHARACTERS_MAX) or node.host, hello.agent_version)
        if hello.purpose == "beat":
            return self._on_beat_hello(node, connection, life, now_ns, wall_ns)
        if node.life is None or node.life.run != hello.run:
            # The beat says first which life it is.
            return [AnswerNode(connection, Hold(LIVE_FIRST_MS))]
        self.contacts.put(connection, install, hello.purpose, hello.run, now_ns)
        if hello.purpose == "live":
            node.live_connection = connection
        return [AnswerNode(connection, self._welcome())]

    def is_flooding(self, contact: Contact, now_ns: int) -> bool:
        """Whether this connection says more than a node has to say; what is too much is counted, and not decoded."""
        if not is_flooding(contact, now_ns):
            return False
        self.nodes[contact.install].counts.refused += 1
        return True

    def on_beat(self, connection: bytes, beat: NodeBeat, now_ns: int, wall_ns: int) -> list[HubEffect] | None:
        """One beat. *Absent:* None where nothing follows, as nearly always."""
        contact = self.contacts.get(connection)
        if contact is None:
            return self.on_unknown(connection)
        node = self.nodes[contact.install]
        counts = node.counts
        if beat.install != contact.install or node.life is None:
            counts.refused += 1
            sentence = f"a beat of {beat.install} came with the key of {contact.install}"
            return self._refuse(node, connection, "other_identity", sentence, now_ns)
        if beat.run != node.life.run:
            if node.challenger is not None and node.challenger.life.run == beat.run:
                return None
            counts.refused += 1
            return [AnswerNode(connection, Greet())]
        if (
            connection != node.beat_connection
            and (answers := self._on_other_connection(node, connection, beat, now_ns)) is not None
        ):
            return answers
        effects: list[HubEffect] = []
        if node.challenger is not None and are_two(node.challenger, beat, now_ns, self.terms.beat_ns):
            effects += self._refuse_challenger(node, node.challenger, now_ns)
        if node.problem and now_ns - node.problem_at_ns > PROBLEM_NS:
            node.problem = ""
            effects.append(NodeChanged(node.install))
        count_beat(node, beat)
        node.last_beat_ns = now_ns
        node.seen_wall_ns = wall_ns
        node.progress_ms = beat.progress_ms
        offset_us = beat.wall_us - wall_ns // 1000
        # What was on its way longest makes the clock look slowest: the largest of the last ones is nearest to the truth.
        node.offset_us = offset_us if node.offset_us is None else max(offset_us, node.offset_us - 1000)
        if beat.leaves:
            return [*effects, *self._set_phase(node, NodePhase.GONE, wall_ns)]
        if node.phase is not NodePhase.FRESH:
            effects += self._set_phase(node, NodePhase.FRESH, wall_ns)
        self._silence.on_beat(node.install, now_ns)
        effects += self._compare(node, beat, now_ns)
        return effects or None

    def on_update(self, connection: bytes, frame: "bytes | memoryview", now_ns: int) -> list[HubEffect] | None:
        """One update of a node's live state. *Absent:* None where nothing follows."""
        contact = self.contacts.get(connection)
        if contact is None:
            return self.on_unknown(connection)
        node = self.nodes[contact.install]
        if node.life is None or contact.run != node.life.run:
            return [AnswerNode(connection, Greet())]
        try:
            update = decode_update(frame)
            if update.run != contact.run:
                raise ProtocolError("update", "it is of another life of the agent")
            if not is_fitting(update, node.state):
                return self._want(node, now_ns)
            is_arrival = not update.base and not node.state.labels
            begun, gone = begun_and_gone(node.state, update)
            ended = tuple(map(node.state.labels.__getitem__, gone))
            update.labels[:] = map(shared, update.labels)
            apply_update(node.state, update, next_digest(node.state.digest, frame, is_whole=not update.base))
        except ProtocolError as failure:
            node.counts.refused += 1
            return [*self._refuse(node, connection, "bad_update", failure.sentence, now_ns), *self._want(node, now_ns)]
        node.updated_ns = now_ns
        node.confirm(now_ns)
        node.behind_since_ns = None
        node.version += 1
        if update.node_label is not None:
            node.host = readable(update.node_label.host, NAME_CHARACTERS_MAX) or node.host
        if not (update.labels or gone or update.base == 0):
            for _, on_uses in self._listeners:
                on_uses(node)
            return None
        self.index += 1
        self._tell_listeners(node)
        return [UnitsChanged(node.install, begun, gone, ended, is_arrival)]

    # ---- time ----

    def on_turn(self, now_ns: int, wall_ns: int) -> list[HubEffect]:
        """To be called at least once a beat, and after what came in has been taken: judge who is silent."""
        effects: list[HubEffect] = []
        if (stalled := self._silence.on_turn(now_ns)) is not None:
            effects.append(Tell("hub_stalled", "warning", {"seconds": round(stalled, 1)}))
        effects += self._accept_challengers(now_ns, wall_ns)
        late, stale = self._silence.verdicts()
        for install in late:
            effects += self._set_phase(self.nodes[install], NodePhase.LATE, wall_ns)
        for install in stale:
            effects += self._set_phase(self.nodes[install], NodePhase.STALE, wall_ns)
        if self.suspicion and not self._is_suspicious:
            effects.append(Tell("hub_suspects_itself", "warning", {"detail": self.suspicion}))
        self._is_suspicious = bool(self.suspicion)
        return effects

    def next_deadline_ns(self, now_ns: int) -> int:
        """When `on_turn` may have something to say: within a beat."""
        return self._silence.next_deadline_ns(now_ns)

    # ---- inside ----

    def _welcome(self) -> Welcome:
        beat_ms = self.terms.beat_ns // MS
        return Welcome(self.terms.name, self.terms.run, beat_ms, self._chance.randrange(beat_ms))

    def _on_beat_hello(self, node: FleetNode, connection: bytes, life: NodeRun, now_ns: int, wall_ns: int) -> list[HubEffect]:
        if life.run in node.retired:
            return self._refuse(node, connection, "old_life", f"run {life.run} of this node was replaced by a later one", now_ns)
        held = node.life
        is_alive = self._silence.is_alive(node.install, now_ns)
        # One machine has one agent at a time, because its state folder is locked: another life on one boot follows the one before.
        is_successor = held is not None and held.run != life.run and held.boot == life.boot and bool(life.boot)
        if held is None or is_successor or not is_alive or connection == node.beat_connection:
            return self._begin(node, connection, life, now_ns, wall_ns)
        # The same life on a new connection, or another machine: if the one before beats once more, there are two.
        self.contacts.put(connection, node.install, "beat", life.run, now_ns)
        known = node.challenger
        if known is None or known.connection != connection or known.life.run != life.run:
            node.challenger = Challenger(life, connection, now_ns)
        self._challenged.add(node.install)
        return [AnswerNode(connection, self._welcome() if held.run == life.run else Hold(self._silence.late_ns // MS))]

    def _begin(self, node: FleetNode, connection: bytes, life: NodeRun, now_ns: int, wall_ns: int) -> list[HubEffect]:
        effects: list[HubEffect] = []
        if node.life is not None and node.life.run != life.run:
            if life.boot and life.boot == node.life.boot:
                # It has ended for certain; one on another machine may only have been cut off.
                node.retired = (*node.retired, node.life.run)[-RETIRED_MAX:]
            held = dict(node.state.labels)
            self._drop_state(node)
            effects.append(UnitsChanged(node.install, (), tuple(held), tuple(held.values()), is_arrival=True))
            node.sequence, node.heard_before = 0, None
        elif connection != node.beat_connection:
            self._go_on(node, connection)
        node.life, node.host, node.beat_connection = life, life.host, connection
        node.challenger, node.problem = None, ""
        self._challenged.discard(node.install)
        self.contacts.put(connection, node.install, "beat", life.run, now_ns)
        node.last_beat_ns, node.seen_wall_ns = now_ns, wall_ns
        self._silence.on_beat(node.install, now_ns)
        effects += self._set_phase(node, NodePhase.FRESH, wall_ns)
        return [*effects, AnswerNode(connection, self._welcome())]

    def _on_other_connection(self, node: FleetNode, connection: bytes, beat: NodeBeat, now_ns: int) -> list[HubEffect] | None:
        """A beat of the present life, on another connection than its last one. *Absent:* None where that one has ended, and this
        is the one from now on."""
        challenger = node.challenger
        if challenger is None or challenger.connection != connection:
            node.counts.refused += 1
            return [AnswerNode(connection, Greet())]
        if self._silence.is_alive(node.install, now_ns):
            challenger.heard += 1
            if challenger.first_sequence is None:
                challenger.first_sequence = beat.sequence
            return []
        self._go_on(node, connection)
        return None

    def _go_on(self, node: FleetNode, connection: bytes) -> None:
        go_on(node, connection)
        self._challenged.discard(node.install)

    def _refuse_challenger(self, node: FleetNode, challenger: Challenger, now_ns: int) -> list[HubEffect]:
        """The one before has beaten since: there are two."""
        node.challenger = None
        node.problem_at_ns = now_ns
        self._challenged.discard(node.install)
        self.contacts.drop(challenger.connection)
        held = node.life
        assert held is not None
        node.problem = (
            f"{challenger.life.host} (run {challenger.life.run}) has the same identity as {held.host} (run {held.run}), "
            "and both are alive; remove install-id and hubs/ from the copy's state folder, and let it join for itself"
        )
        fields: TellFields = {
            "node": node.install,
            "host": held.host,
            "other_host": challenger.life.host,
            "detail": node.problem,
        }
        return [
            AnswerNode(challenger.connection, Denied("same_identity", node.problem)),
            Tell("hub_same_identity", "error", fields),
            NodeChanged(node.install),
        ]

    def _accept_challengers(self, now_ns: int, wall_ns: int) -> list[HubEffect]:
        """Those whose predecessor has fallen silent."""
        effects: list[HubEffect] = []
        for install in list(self._challenged):
            node = self.nodes[install]
            assert node.challenger is not None
            if not self._silence.is_alive(install, now_ns):
                effects += self._begin(node, node.challenger.connection, node.challenger.life, now_ns, wall_ns)
        return effects

    def _compare(self, node: FleetNode, beat: NodeBeat, now_ns: int) -> list[HubEffect]:
        """Whether what is held is what the node has; if not for some time, it is asked for everything."""
        state = node.state
        if beat.state_version == state.version and beat.digest == state.digest:
            node.confirm(now_ns)
            node.behind_since_ns = None
            return []
        if beat.state_version == 0:
            return []
        if node.behind_since_ns is None:
            node.behind_since_ns = now_ns
        is_other = beat.state_version == state.version
        return self._want(node, now_ns) if is_other or now_ns - node.behind_since_ns > BEHIND_NS else []

    def _want(self, node: FleetNode, now_ns: int) -> list[HubEffect]:
        if not node.live_connection or now_ns - node.wanted_at_ns < WANT_EVERY_NS:
            return []
        node.wanted_at_ns = now_ns
        return [AnswerNode(node.live_connection, WantWhole())]

    def _refuse(self, node: FleetNode, connection: bytes, code: str, sentence: str, now_ns: int) -> list[HubEffect]:
        denied = AnswerNode(connection, Denied(code, sentence))
        is_news = node.problem != sentence
        if is_news and node.told_at_ns is not None and now_ns - node.told_at_ns < TELL_EVERY_NS:
            return [denied]
        node.problem, node.problem_at_ns = sentence, now_ns
        if not is_news:
            return [denied]
        node.told_at_ns = now_ns
        fields: TellFields = {"node": node.install, "host": node.host, "code": code, "detail": sentence}
        return [denied, Tell("hub_refused_node", "warning", fields), NodeChanged(node.install)]

    def _set_phase(self, node: FleetNode, phase: NodePhase, wall_ns: int) -> list[HubEffect]:
        before = node.phase
        if phase is before:
            return []
        node.phase, node.phase_since_wall_ns = phase, wall_ns
        if phase is NodePhase.GONE:
            self._silence.forget(node.install)
        self.index += 1
        if (phase in PRESENT) != (before in PRESENT):
            self._tell_listeners(node)
        effects: list[HubEffect] = [NodeChanged(node.install)]
        fields: TellFields = {"node": node.install, "host": node.host}
        if phase is NodePhase.STALE:
            effects.append(Tell("hub_node_silent", "warning", fields))
        elif phase is NodePhase.GONE:
            effects.append(Tell("hub_node_left", "info", fields))
        elif before is NodePhase.STALE:
            effects.append(Tell("hub_node_back", "info", fields))
        return effects

    def _drop_state(self, node: FleetNode) -> None:
        node.state = LiveState()
        node.updated_ns = node.as_of_ns = node.behind_since_ns = None
        node.live_connection = b""
        node.version += 1
        self._tell_listeners(node)

    def _tell_listeners(self, node: FleetNode) -> None:
        for on_node, _ in self._listeners:
            on_node(node)
