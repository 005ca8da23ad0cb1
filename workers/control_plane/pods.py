"""From directories of the cgroup tree to units. PURE.

The same pod is seen once per hierarchy and once per container; here it becomes one Unit with its number of containers.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from agent.model.cgroup_path import UnitIdentity, is_guest, name_of, path_text
from agent.model.heartbeat import beating
from agent.model.json_text import json_bytes
from agent.model.rule import Assignment, Unit, UnitKind

# The kubelet's own limit is 250 pods on a node; the services of one host are a few hundred.
UNITS_MAX = 10_000
# All assignments travel in one snapshot (`agent.model.message.FRAME_BYTES_MAX`), each with its path up to three times. Counted as
# the snapshot writes them: a control character takes six bytes there.
PATH_CHARACTERS_MAX = 3 << 20
# What is left out first where there is not room for all: last of this.
_KINDS = {UnitKind.POD: 0, UnitKind.WORKLOAD: 1, UnitKind.SERVICE: 2, UnitKind.SCOPE: 3, UnitKind.SLICE: 4}
_CONTAINER = 1
# What users made of their own: nobody can tell a made-up pod from a true one there, so they stand two kinds lower.
_GUEST_PENALTY = 2
# The most that one character of a path takes in JSON.
_JSON_BYTES_PER_CHARACTER = 6

Places = dict[str, tuple[str, ...]]


class Found(Struct, frozen=True):
    """One directory that is a unit or lies in one: its path below the hierarchy, from `/` on, as the tree is read by it."""

    path: str
    identity: UnitIdentity


class ObservedUnits(Struct, frozen=True):
    """The units of one look by their uid, and how many did not fit.

    `places` says where the threads of a unit are: by container id its outermost directories, by the empty id (the unit has no
    containers) all of its directories, nested ones one by one.
    """

    units: dict[str, Unit]
    left_out: int
    places: dict[str, Places] = {}


def observe(found: Iterable[Found], heartbeat: Callable[[], None] | None = None) -> ObservedUnits:
    """The units that the directories make.

    When they are too many, pods come first, then containers, services, scopes and slices; within a kind neighbours take turns, so
    that nobody's many units push out those of others. A pod that a user made up below his own groups, by the uid of one of the
    host, is not that pod.
    """
    identities: dict[str, UnitIdentity] = {}
    containers: dict[str, dict[str, list[str]]] = {}
    directories: dict[str, list[str]] = {}
    placed: set[str] = set()
    found = list(found)
    of_host = {each.identity.uid for each in found if not is_guest(each.identity)}
    for directory in beating(found, heartbeat):
        identity = directory.identity
        uid = identity.uid
        if uid in of_host and is_guest(identity):
            continue
        own_directory = identity.cgroup in (directory.path, path_text(directory.path))
        # A pod can be seen where it has no directory of its own (only its containers do): the one it has counts more.
        if uid not in identities or (own_directory and uid not in placed):
            identities[uid] = identity
        if own_directory:
            placed.add(uid)
        if identity.container is not None:
            paths = containers.setdefault(uid, {}).setdefault(identity.container, [])
            # Threads are listed with everything below, and whole init systems live in some containers.
            if not directory.path.startswith(tuple(f"{path}/" for path in paths)):
                paths.append(directory.path)
        else:
            directories.setdefault(uid, []).append(directory.path)
    units = {uid: _unit(identity, len(containers.get(uid, ()))) for uid, identity in beating(identities.items(), heartbeat)}
    observation = _within_limits(units, identities)
    # Threads live in the leaves: where there are containers, the directory above them holds none.
    places = {uid: containers.get(uid) or {"": directories[uid]} for uid in observation.units}
    return ObservedUnits(observation.units, observation.left_out, {uid: _frozen(parts) for uid, parts in places.items()})


def _frozen(parts: dict[str, list[str]]) -> Places:
    # The same directory may stand in two hierarchies.
    return {part: tuple(dict.fromkeys(paths)) for part, paths in parts.items()}


def _unit(identity: UnitIdentity, containers: int) -> Unit:
    return Unit(identity.uid, identity.kind, identity.cgroup, containers, name=name_of(identity), qos=identity.qos)


def _within_limits(units: dict[str, Unit], identities: Mapping[str, UnitIdentity]) -> ObservedUnits:
    if len(units) <= UNITS_MAX and sum(map(len, units)) * _JSON_BYTES_PER_CHARACTER <= PATH_CHARACTERS_MAX:
        return ObservedUnits(units, 0)
    kept: dict[str, Unit] = {}
    characters = 0
    for uid in _in_order(identities):
        characters += len(json_bytes(uid)) - 2
        if len(kept) == UNITS_MAX or characters > PATH_CHARACTERS_MAX:
            break
        kept[uid] = units[uid]
    return ObservedUnits(kept, len(units) - len(kept))


def _in_order(identities: Mapping[str, UnitIdentity]) -> list[str]:
    """The units, the most valuable first."""
    places: Counter[str] = Counter()
    ranks: dict[str, tuple[int, int, int, str]] = {}
    for uid in sorted(identities):
        identity = identities[uid]
        kind = _CONTAINER if identity.container is not None and identity.kind is UnitKind.SCOPE else _KINDS[identity.kind]
        parent = identity.cgroup.rpartition("/")[0]
        if is_guest(identity):
            # However a user nests what he makes, all of it shares one turn.
            kind, parent = kind + _GUEST_PENALTY, "/".join(identity.cgroup.split("/")[:3])
        ranks[uid] = kind, places[parent], identity.cgroup.count("/"), uid
        places[parent] += 1
    return sorted(ranks, key=ranks.__getitem__)


def with_unseen(units: dict[str, Unit], present: Mapping[str, Assignment], unreadable: tuple[str, ...]) -> dict[str, Unit]:
    """The units, and those held so far that lie in directories this look could not read: it is not known that they ended."""
    if not unreadable:
        return units
    below = tuple(f"{path}/" for path in unreadable)
    unseen = {
        uid: held.unit
        for uid, held in present.items()
        if uid not in units and (held.unit.cgroup.startswith(below) or held.unit.cgroup in unreadable)
    }
    return {**unseen, **units}
