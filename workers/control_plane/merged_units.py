"""The units of a host: what the cgroup tree shows, and what a container runtime reports of its pods. PURE.

The runtime gives names, labels, and pods and containers at once; the tree shows where threads are, and everything that no
runtime made. What the runtime ended is gone at once, though its cgroup may still be there. While no runtime is connected
nothing that it reported is forgotten: then the tree alone shows what ended.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from agent.model.cgroup_path import path_text
from agent.model.heartbeat import beating
from agent.model.rule import Assignment, QosClass, Unit, UnitKind
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod
from workers.control_plane.container_runtime.pod_unit import unit_of_pod
from workers.control_plane.container_runtime.registry import KnownPod
from workers.control_plane.group_step import SANDBOX
from workers.control_plane.pods import Places

ContainerPlaces = Callable[[RuntimePod, RuntimeContainer], tuple[str, ...]]
"""The cgroups where a container's threads may be, as its runtime makes them."""
PlacedUnit = tuple[Unit, Places]

# A pod that only a predecessor knew has to be seen by this look: its runtime may not have reported at the first.
_LOOKS_OF_GRACE = 2


class MergedUnits:
    """The units, kept from look to look and from report to report; a report costs what it changes."""

    def __init__(self, container_places: ContainerPlaces) -> None:
        self._container_places = container_places
        self._scanned: Mapping[str, Unit] = {}
        self._scanned_places: Mapping[str, Places] = {}
        # By id of a container that the last look saw, the unit that it was seen in.
        self._seen_in: dict[str, str] = {}
        self._runtime: dict[str, KnownPod] = {}
        # By id of a container or sandbox that the runtime has, its pod.
        self._owner: dict[str, str] = {}
        # Pods, sandboxes and containers that the runtime has ended and a look may still see: until one that does not.
        self._ended: set[str] = set()
        # Pods of a predecessor that no runtime has reported yet.
        self._adopted: set[str] = set()
        # Cgroup and class of a pod as known first: a better guess must not look like another pod.
        self._placed: dict[str, tuple[str, QosClass | None]] = {}
        # By pod of the runtime the ids that looks have seen (empty: its own cgroup), and those of them that looks do not see any
        # more while no runtime is connected; with its own uid where nothing of it is seen.
        self._seen: dict[str, set[str]] = {}
        self._missed: dict[str, set[str]] = {}
        self._is_disconnected = True
        # As it was at the last look: what a look shows is judged once.
        self._looked_disconnected = True
        self._looks = 0
        # What was a unit when it was asked about last.
        self._alive: set[str] = set()

    # ---- what is reported and seen -----------------------------------------------------------------

    def adopt(self, assignments: Iterable[Assignment]) -> None:
        """Pods as a predecessor published them: their names hold until a runtime reports."""
        for unit in (each.unit for each in assignments):
            if unit.kind is UnitKind.POD and (unit.name, unit.namespace) != (None, None):
                pod = RuntimePod("", unit.uid, unit.namespace or "", unit.name or "", unit.labels)
                containers = tuple(RuntimeContainer(each, "", name) for each, name in unit.container_names.items())
                known = KnownPod(pod, containers, (), is_running=True)
                self._runtime[unit.uid] = known
                self._placed[unit.uid] = unit.cgroup, unit.qos
                self._seen[unit.uid] = {"", *_ids(known)}
                self._own(unit.uid, known)
                self._adopted.add(unit.uid)
        self._alive |= self._adopted

    def follow(self, changed: Mapping[str, KnownPod | None]) -> set[str]:
        """Take in what the runtime reports. Gives the uids of the units that may be others now."""
        touched = set(changed)
        for uid, known in changed.items():
            before = self._runtime.get(uid)
            left = set() if before is None else {*_ids(before)} - ({*_ids(known)} if known is not None else set())
            for each in left:
                self._owner.pop(each, None)
            self._ended |= left
            self._adopted.discard(uid)
            self._missed.pop(uid, None)
            if known is None:
                self._forget(uid)
                self._ended.add(uid)
            else:
                self._ended -= {uid, *_ids(known)}
                self._runtime[uid] = known
                touched |= self._own(uid, known)
            touched |= {self._seen_in[each] for each in left if each in self._seen_in}
        return touched

    def set_disconnected(self, is_disconnected: bool) -> set[str]:
        """Whether no runtime is connected, so that only looks show what ended. Gives the uids of units that may be others now."""
        was_disconnected, self._is_disconnected = self._is_disconnected, is_disconnected
        if is_disconnected or not was_disconnected:
            return set()
        # It has reported everything: what it did not name is gone, and what looks missed is there after all.
        touched, self._missed = set(self._missed), {}
        return touched | self.follow(dict.fromkeys(self._adopted))

    def look(
        self, scanned: Mapping[str, Unit], places: Mapping[str, Places], heartbeat: Callable[[], None] | None = None
    ) -> dict[str, PlacedUnit]:
        """Take in what the tree shows, and give all units."""
        self._looks += 1
        self._looked_disconnected = self._is_disconnected
        self._scanned, self._scanned_places = scanned, places
        self._seen_in = {
            part: uid for uid, parts in beating(places.items(), heartbeat) for part in parts if part not in ("", SANDBOX)
        }
        self._ended = {each for each in self._ended if each in scanned or each in self._seen_in}
        for uid in beating(self._runtime, heartbeat):
            self._compare(uid)
        self._alive = set()
        found: dict[str, PlacedUnit] = {}
        for uid in beating({**scanned, **self._runtime}, heartbeat):
            if (unit := self.unit(uid)) is not None:
                found[uid] = unit
        return found

    def _compare(self, uid: str) -> None:
        """Follow which parts of a runtime's pod this look saw."""
        ids = {"", *_ids(self._runtime[uid])}
        visible = ids & self._seen_in.keys() | ({""} if uid in self._scanned else set())
        seen = self._seen.get(uid, set()) & ids
        has_grace = uid in self._adopted and self._looks < _LOOKS_OF_GRACE
        if self._is_disconnected and not (has_grace and not visible):
            missed = seen - visible
            self._missed[uid] = missed if visible or not missed else {*missed, uid}
        self._seen[uid] = seen | visible

    def _own(self, uid: str, known: KnownPod) -> set[str]:
        ids = _ids(known)
        self._owner.update(dict.fromkeys(ids, uid))
        return {self._seen_in[each] for each in ids if each in self._seen_in}

    def _forget(self, uid: str) -> None:
        self._runtime.pop(uid, None)
        self._placed.pop(uid, None)
        self._seen.pop(uid, None)

    # ---- what follows ------------------------------------------------------------------------------

    def unit(self, uid: str) -> PlacedUnit | None:
        """One unit, and where its threads are; None: there is none (any more)."""
        known = self._runtime.get(uid)
        found = self._unit_of_tree(uid) if known is None else self._unit_of_runtime(uid, known)
        if found is None:
            self._alive.discard(uid)
        else:
            self._alive.add(uid)
        return found

    def _unit_of_tree(self, uid: str) -> PlacedUnit | None:
        unit = self._scanned.get(uid)
        if unit is None or uid in self._ended:
            return None
        places = self._scanned_places.get(uid, {})
        # What is a unit of its own by its path alone may be a part of a runtime's pod.
        own = {part: paths for part, paths in places.items() if part not in self._owner and part not in self._ended}
        if len(own) == len(places):
            return unit, places
        return (replace(unit, containers=len(own)), own) if own else None

    def _unit_of_runtime(self, uid: str, known: KnownPod) -> PlacedUnit | None:
        missed = self._missed.get(uid, frozenset[str]())
        visible = self._visible_parts(uid, known)
        is_visible = bool(visible) or uid in self._scanned
        # A look that is older than the report shows nothing of it; the next one does.
        if uid in missed or not (known.is_running or is_visible or uid in self._alive):
            return None
        places: Places = {}
        for container in known.containers:
            if container.id not in missed:
                places[container.id] = visible.pop(container.id, ()) or self._container_places(known.pod, container)
        rest = [path for part, paths in visible.items() if not self._counts(uid, known, part) for path in paths]
        places |= {part: paths for part, paths in visible.items() if self._counts(uid, known, part)}
        unit = self._named(uid, known, places, rest)
        return unit, {**places, SANDBOX: tuple(rest)}

    def _counts(self, uid: str, known: KnownPod, part: str) -> bool:
        """Whether what a look saw beside the containers that the runtime reported is a container: where the runtime can report,
        it would have; a predecessor knew all but the sandbox."""
        return self._looked_disconnected and uid not in self._adopted and part not in ("", SANDBOX, *known.sandbox_ids)

    def _visible_parts(self, uid: str, known: KnownPod) -> Places:
        """What the last look saw of a pod, wherever it saw it."""
        parts = {
            part: paths
            for part, paths in self._scanned_places.get(uid, {}).items()
            if self._owner.get(part, uid) == uid and part not in self._ended
        }
        for each in _ids(known):
            if each not in parts and (seen_in := self._seen_in.get(each)) is not None:
                parts[each] = self._scanned_places[seen_in][each]
        return parts

    def _named(self, uid: str, known: KnownPod, places: Places, rest: list[str]) -> Unit:
        pod = known.pod
        cgroup, qos = self._place(uid, known, [*(path for paths in places.values() for path in paths), *rest])
        names = {each.id: each.name for each in known.containers if each.name and each.id in places}
        return Unit(uid, UnitKind.POD, cgroup, len(places), pod.namespace or None, pod.name or None, qos, pod.labels, names)

    def _place(self, uid: str, known: KnownPod, paths: list[str]) -> tuple[str, QosClass | None]:
        """Cgroup and class of a pod: as seen, else as known before, else as its containers' paths say."""
        if (seen := self._scanned.get(uid)) is not None:
            self._placed[uid] = seen.cgroup, seen.qos
        if uid not in self._placed:
            # As the fast path does, so that both give it the same group.
            found = unit_of_pod(known.pod, known.containers)
            candidates = (found.cgroup, *map(path_text, paths), known.pod.cgroup_parent)
            self._placed[uid] = next(filter(None, candidates), ""), found.qos
        return self._placed[uid]


def _ids(known: KnownPod) -> tuple[str, ...]:
    return (*known.sandbox_ids, *(each.id for each in known.containers))
