"""The operations of the control socket that a hub carries out. PURE but for the chance that is handed in."""

from collections.abc import Callable
from heapq import merge
from itertools import islice
from random import Random
from typing import Any

from msgspec import Struct

from agent.fleet.invitation import Invitation, to_text
from agent.model.control.document import Document, plain
from agent.model.control.fleet import (
    FleetNodeDetail,
    FleetNodes,
    FleetUnitRow,
    FleetUnits,
    FleetWorkers,
    HubInvitation,
    HubMemberRow,
    HubMembers,
    HubRemoval,
)
from agent.model.errors import MisuseError
from agent.model.host import parse_host
from agent.model.timebase import DAY, S, iso_utc
from workers.hub.effect import HubEffect
from workers.hub.fleet_node import FleetNode, NodePhase
from workers.hub.fleet_row import node_row, unit_row
from workers.hub.listing import Listing
from workers.hub.membership import Membership, new_token
from workers.hub.node_detail import node_detail
from workers.hub.questions import LIMIT_MAX, ORDERS, STATES, WorkerQuestion, age_text_ns, answer_workers
from workers.hub.registry import NodeRegistry
from workers.hub.reservation import Reservation, Reservations
from workers.hub.worker_index import Place, WorkerIndex

# Worst first.
_RANK = {NodePhase.STALE: 0, NodePhase.LATE: 1, NodePhase.NEVER_SEEN: 2, NodePhase.GONE: 3, NodePhase.FRESH: 4}
UNITS_DEFAULT = 1000
TEXT_CHARACTERS_MAX = 4096
IDS_SHOWN_MAX = 20
Arguments = dict[str, Any]
# The hub's monotonic clock. Rows of a listing are made one after the other: each is as of its own moment.
Now = Callable[[], int]


class HubPlace(Struct, frozen=True):
    """Where the hub is reached. `invited_by`: the host that stands in invitations."""

    listen: str
    join: str
    join_port: int
    data_port: int
    invited_by: str
    key: bytes
    ttl_ns: int


class FleetOperations:
    """`has_changed_members`: the members have to be stored before the answer is given. `page`: where the fleet's page is; None:
    nowhere."""

    def __init__(
        self,
        registry: NodeRegistry,
        index: WorkerIndex,
        reservations: Reservations,
        membership: Membership,
        place: HubPlace,
        chance: Random,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.has_changed_members = False
        self.page: str | None = None
        self._registry = registry
        self._index = index
        self._reservations = reservations
        self._membership = membership
        self._place = place
        self._chance = chance
        self._random_bytes = random_bytes

    def listing(self, name: str, arguments: Arguments, now: Now, wall_ns: int) -> Listing | None:
        """The answer to an operation that lists something. *Absent:* None for any other. *Raises:* MisuseError, with the first row
        too."""
        match name:
            case "fleet-nodes":
                return self.nodes(now, wall_ns)
            case "fleet-units":
                return self.units(arguments, now, wall_ns)
            case "fleet-workers":
                return self.workers(worker_question(arguments), now, wall_ns)
            case "hub-list":
                return self._members(wall_ns)
        return None

    def carry_out(self, name: str, arguments: Arguments, wall_ns: int) -> tuple[dict[str, Any], list[HubEffect]]:
        """The answer to an operation that changes who belongs to the fleet, and what follows. *Raises:* MisuseError."""
        if name == "hub-remove":
            member = self._membership.remove(_text(arguments, "node"))
            self.has_changed_members = True
            return plain(HubRemoval(node=member.install, host=member.host)), self._registry.remove(member.install)
        assert name == "hub-invite", name
        return plain(self._invite(arguments, wall_ns)), []

    def summary(self) -> dict[str, object]:
        """The hub in few words: how many nodes are in which state, and whether it trusts its picture."""
        states: dict[str, int] = {}
        for node in self._registry.nodes.values():
            states[str(node.phase)] = states.get(str(node.phase), 0) + 1
        terms = self._registry.terms
        return {
            "hub": terms.name,
            "hub_run": terms.run,
            "states": states,
            "suspicion": self._suspicion(),
            "workers": len(self._index),
            "beat_seconds": terms.beat_ns / S,
            "stale_seconds": terms.stale_ns / S,
        }

    def nodes(self, now: Now, wall_ns: int) -> Listing:
        """A FleetNodes: all nodes, those worst off first."""
        registry = self._registry
        nodes = self.worst_first()
        states: dict[str, int] = {}
        for node in nodes:
            states[str(node.phase)] = states.get(str(node.phase), 0) + 1
        yield FleetNodes(
            hub=registry.terms.name,
            hub_run=registry.terms.run,
            index=registry.index,
            as_of=iso_utc(wall_ns),
            states=states,
            suspicion=self._suspicion(),
            nodes=[],
        )
        for node in nodes:
            yield node_row(node, now())

    def node(self, named: str, now_ns: int, wall_ns: int) -> FleetNodeDetail:
        """One node, by its id or the name of its host. *Raises:* MisuseError where there is none, or several have the name."""
        terms, nodes = self._registry.terms, self._registry.nodes
        found = [nodes[named]] if named in nodes else [each for each in nodes.values() if each.host == named]
        if not found:
            raise MisuseError("node", "the hub knows no such node", "its id, or the name of its host")
        if len(found) > 1:
            ids = ", ".join(sorted(each.install for each in found)[:IDS_SHOWN_MAX])
            raise MisuseError("node", f"{len(found)} nodes have this host name", f"name one by its id: {ids}")
        return node_detail(found[0], (terms.name, terms.run), now_ns, wall_ns)

    def worst_first(self) -> list[FleetNode]:
        """All nodes, those worst off first."""
        return sorted(self._registry.nodes.values(), key=_badness)

    def best(self, question: WorkerQuestion, now_ns: int) -> list[Place]:
        """The workers that fit a question, best first."""
        return answer_workers(question, self._registry.nodes, self._index, self._reservations, self._chance, now_ns).places

    def reserve(self, reservation: Reservation) -> None:
        """Hold a worker."""
        self._reservations.add(reservation)

    def end_reservation(self, name: str) -> bool:
        """Hold it no longer. False: there is none of this name."""
        return self._reservations.end(name)

    def held(self, place: Place) -> tuple[int, int]:
        """How many hold a worker, and how many MiB of its GPU they want."""
        return self._reservations.of(place)

    def workers(self, question: WorkerQuestion, now: Now, wall_ns: int) -> Listing:
        """A FleetWorkers: the workers that fit a question."""
        registry = self._registry
        found = answer_workers(question, registry.nodes, self._index, self._reservations, self._chance, now())
        yield FleetWorkers(
            hub=registry.terms.name,
            hub_run=registry.terms.run,
            index=registry.index,
            as_of=iso_utc(wall_ns),
            found=found.found,
            excluded=found.excluded,
            suspicion=self._suspicion(),
            workers=[],
        )
        for install, key in found.places:
            yield self._unit_row(install, key, now())

    def units(self, arguments: Arguments, now: Now, wall_ns: int) -> Listing:
        """A FleetUnits: the units of one node, or of all; the busiest first. *Raises:* MisuseError."""
        named, kind, limit = _text(arguments, "node"), _text(arguments, "kind"), _limit(arguments, UNITS_DEFAULT)
        unit = _text(arguments, "unit")
        registry = self._registry
        other_kinds = 0
        busiest: list[list[tuple[int, str, int, str]]] = []
        for node in list(registry.nodes.values()):
            if named and named not in (node.install, node.host):
                continue
            labels, uses = node.state.labels, node.state.uses
            fitting = [key for key, label in labels.items() if not unit or label.unit == unit]
            of_kind = [key for key in fitting if labels[key].kind == kind] if kind else fitting
            other_kinds += len(fitting) - len(of_kind)
            if of_kind:
                busiest.append(sorted((_idleness(uses[key].cpu), node.host, key, node.install) for key in of_kind))
            yield None
        yield FleetUnits(
            hub=registry.terms.name,
            hub_run=registry.terms.run,
            index=registry.index,
            as_of=iso_utc(wall_ns),
            found=sum(map(len, busiest)),
            excluded={"other_kind": other_kinds} if other_kinds else {},
            units=[],
        )
        for _, _, key, install in islice(merge(*busiest), limit):
            yield self._unit_row(install, key, now())

    def _unit_row(self, install: str, key: int, now_ns: int) -> FleetUnitRow | None:
        """*Absent:* None where it has ended meanwhile."""
        node = self._registry.nodes.get(install)
        if node is None or (label := node.state.labels.get(key)) is None:
            return None
        return unit_row(node, label, node.state.uses[key], self._reservations.of((install, key)), now_ns)

    def _suspicion(self) -> str | None:
        if self._registry.is_in_grace:
            return "the hub has just begun to listen: nobody is judged yet"
        return self._registry.suspicion or None

    def _members(self, wall_ns: int) -> Listing:
        nodes = self._registry.nodes
        yield HubMembers(
            hub=self._registry.terms.name,
            listen=self._place.listen,
            join=self._place.join,
            page=self.page,
            key=to_text(self._place.key),
            open_invitations=self._membership.open_invitations(wall_ns),
            members=[],
        )
        for member in self._membership.members():
            node = nodes.get(member.install)
            yield HubMemberRow(
                node=member.install,
                host=member.host,
                joined=iso_utc(member.joined_wall_ns),
                last_seen=_last_seen(node, member.seen_wall_ns),
                state=str(NodePhase.NEVER_SEEN if node is None else node.phase),
            )

    def _invite(self, arguments: Arguments, wall_ns: int) -> Document:
        host = _text(arguments, "address") or self._place.invited_by
        if parse_host(f"[{host}]" if ":" in host else host) is None:
            raise MisuseError("hub invite --address", "this is no host name and no address", "name it without a port")
        ttl_ns = arguments.get("ttl_ns", self._place.ttl_ns)
        uses = arguments.get("uses", 1)
        if type(ttl_ns) is not int or not S <= ttl_ns <= 365 * DAY:
            raise MisuseError("hub invite --ttl", "an invitation holds between a second and a year")
        if type(uses) is not int:
            raise MisuseError("hub invite --uses", "this is no number")
        token = new_token(self._random_bytes)
        made = self._membership.invite(token, wall_ns, ttl_ns, uses)
        self.has_changed_members = True
        text = Invitation(host, self._place.join_port, self._place.key, token).text
        return HubInvitation(invitation=text, expires=iso_utc(made.expires_wall_ns), uses=uses)


def worker_question(arguments: Arguments) -> WorkerQuestion:
    """A question from its arguments, as the control socket and HTTP have them. *Raises:* MisuseError naming what is wrong."""
    order, state = _text(arguments, "order") or "load", _text(arguments, "state")
    if order not in ORDERS:
        raise MisuseError("order", "there is no such order", f"one of {', '.join(ORDERS)}")
    if state and state not in STATES:
        raise MisuseError("state", "there is no such state", f"one of {', '.join(STATES)}")
    free, max_age = arguments.get("min_free_vram"), _text(arguments, "max_age")
    try:
        free_bytes = None if free in (None, "") else _whole(free)
        if free_bytes is not None and free_bytes < 0:
            raise ValueError("less than nothing")
        max_age_ns = age_text_ns(max_age) if max_age else None
    except ValueError as cause:
        raise MisuseError("min_free_vram, max_age", "bytes, and an age such as 500ms or 5s") from cause
    free_mib = None if free_bytes is None else -(-free_bytes // (1 << 20))
    return WorkerQuestion(
        _text(arguments, "model"), _text(arguments, "lora"), state, free_mib, max_age_ns, _text(arguments, "node"), order,
        _limit(arguments, 20),
    )  # fmt: skip


def _text(arguments: Arguments, name: str) -> str:
    value = arguments.get(name, "")
    if not isinstance(value, str):
        raise MisuseError(name, "this is no text")
    if len(value) > TEXT_CHARACTERS_MAX:
        raise MisuseError(name, f"it has more than {TEXT_CHARACTERS_MAX} characters")
    return value


def _whole(value: Any) -> int:
    """A whole number, as JSON has it or as the text of a query. *Raises:* ValueError for anything else."""
    if type(value) not in (int, str):
        raise ValueError("no whole number")
    return int(value)


def _limit(arguments: Arguments, otherwise: int) -> int:
    value = arguments.get("limit", otherwise)
    try:
        limit = _whole(value)
    except ValueError as cause:
        raise MisuseError("limit", "this is no number") from cause
    if not 1 <= limit <= LIMIT_MAX:
        raise MisuseError("limit", f"1 to {LIMIT_MAX}")
    return limit


def _badness(node: FleetNode) -> tuple[int, float, str]:
    use = node.state.node_use
    pressure = 0 if use is None else max(use.pressure_cpu or 0, use.pressure_memory or 0, use.pressure_io or 0)
    return (_RANK[node.phase], -pressure, node.host)


def _idleness(cpu: int | None) -> int:
    """What sorts the busiest first; what is not known comes behind what is known to do nothing."""
    return 1 if cpu is None else -cpu


def _last_seen(node: FleetNode | None, seen_wall_ns: int) -> str | None:
    newest_ns = max(seen_wall_ns, 0 if node is None else node.seen_wall_ns)
    return iso_utc(newest_ns) if newest_ns else None
