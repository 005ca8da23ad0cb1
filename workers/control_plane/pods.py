"""From directories of the cgroup tree to units. PURE.

The same pod is seen once per hierarchy and once per container; here it becomes one Unit with its number of containers.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from agent.model.cgroup_path import UnitIdentity, name_of, path_text
from agent.model.rule import Assignment, Unit, UnitKind

# The kubelet's own limit is 250 pods on a node; the services of one host are a few hundred.
UNITS_MAX = 10_000
# All assignments travel in one snapshot (`agent.model.message.FRAME_BYTES_MAX`), each with its path up to three times.
PATH_CHARACTERS_MAX = 3 << 20


Places = dict[str, tuple[str, ...]]


class Found(Struct, frozen=True):
    """One directory that is a unit or lies in one: its path below the hierarchy, from `/` on, as the tree is read by it."""

    path: str
    identity: UnitIdentity


class Observation(Struct, frozen=True):
    """The units of one look by their uid, and how many did not fit.

    `places` says where the threads of a unit are: by container id (empty: the unit itself, which has none) its directories,
    nested ones listed one by one. What a container of a pod makes below its own directory is not listed.
    """

    units: dict[str, Unit]
    left_out: int
    places: dict[str, Places] = {}


def observe(found: Iterable[Found]) -> Observation:
    """The units that the directories make; when they are too many, pods come first, then the least deep."""
    identities: dict[str, UnitIdentity] = {}
    containers: dict[str, dict[str, list[str]]] = {}
    directories: dict[str, list[str]] = {}
    placed: set[str] = set()
    for directory in found:
        identity = directory.identity
        uid = identity.uid
        own_directory = identity.cgroup in (directory.path, path_text(directory.path))
        # A pod can be seen where it has no directory of its own (only its containers do): the one it has counts more.
        if uid not in identities or (own_directory and uid not in placed):
            identities[uid] = identity
        if own_directory:
            placed.add(uid)
        if identity.container is not None:
            containers.setdefault(uid, {}).setdefault(identity.container, []).append(directory.path)
        else:
            directories.setdefault(uid, []).append(directory.path)
    units = {uid: _unit(identity, len(containers.get(uid, ()))) for uid, identity in identities.items()}
    observation = _within_limits(units)
    # Threads live in the leaves: where there are containers, the directory above them holds none.
    places = {uid: containers.get(uid) or {"": directories[uid]} for uid in observation.units}
    return Observation(observation.units, observation.left_out, {uid: _frozen(parts) for uid, parts in places.items()})


def _frozen(parts: dict[str, list[str]]) -> Places:
    # The same directory may stand in two hierarchies.
    return {part: tuple(dict.fromkeys(paths)) for part, paths in parts.items()}


def _unit(identity: UnitIdentity, containers: int) -> Unit:
    return Unit(identity.uid, identity.kind, identity.cgroup, containers, name=name_of(identity), qos=identity.qos)


def _within_limits(units: dict[str, Unit]) -> Observation:
    if len(units) <= UNITS_MAX and sum(map(len, units)) <= PATH_CHARACTERS_MAX:
        return Observation(units, 0)
    kept: dict[str, Unit] = {}
    characters = 0
    for unit in sorted(units.values(), key=_rank):
        characters += len(unit.uid)
        if len(kept) == UNITS_MAX or characters > PATH_CHARACTERS_MAX:
            break
        kept[unit.uid] = unit
    return Observation(kept, len(units) - len(kept))


def _rank(unit: Unit) -> tuple[bool, int, str]:
    return unit.kind is not UnitKind.POD, unit.cgroup.count("/"), unit.uid


def with_unseen(units: dict[str, Unit], present: Mapping[str, Assignment], unreadable: tuple[str, ...]) -> dict[str, Unit]:
    """The units, and those held so far that lie in directories this look could not read: nobody knows that they ended."""
    if not unreadable:
        return units
    below = tuple(f"{path}/" for path in unreadable)
    unseen = {
        uid: held.unit
        for uid, held in present.items()
        if uid not in units and (held.unit.cgroup.startswith(below) or held.unit.cgroup in unreadable)
    }
    return {**unseen, **units}
