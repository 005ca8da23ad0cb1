"""The threads of the units of one group, told apart by container."""

from collections.abc import Callable, Mapping, Sequence
from errno import ENODEV, ENOENT

from agent.model.heartbeat import beating
from agent.ports import KernelTree
from workers.control_plane.group_step import Part
from workers.resctrl.threads import CgroupThreads

# A part is a directory or a few, but may be a thousand (`CgroupThreads`).
_PARTS_PER_BEAT = 1


class UnitThreads:
    """`workers.resctrl.ports.ThreadSource` over several parts; it remembers whose threads it listed last.

    A container's directory is taken with everything below it. The directories of a unit without containers stand each by
    itself: below a slice there are others' units.
    """

    def __init__(
        self,
        tree: KernelTree,
        roots: Sequence[str],
        places: Mapping[Part, tuple[str, ...]],
        heartbeat: Callable[[], None] | None = None,
    ) -> None:
        self._heartbeat = heartbeat
        self._sources = {
            part: [CgroupThreads(tree, roots, path, is_recursive=bool(part[1])) for path in paths] for part, paths in places.items()
        }
        self._listed: dict[Part, frozenset[int]] = {}
        self.failure: OSError | None = None
        # Threads of containers of others. Where an engine makes its containers under the controllers only, systemd's hierarchy
        # still lists their threads in the engine's own service: the container counts.
        self.of_others: frozenset[int] = frozenset()

    @property
    def in_containers(self) -> frozenset[int]:
        """The threads of those parts that are containers, as last listed."""
        return frozenset().union(*(listed for part, listed in self._listed.items() if part[1]))

    def threads(self) -> frozenset[int]:
        """All threads of all parts; one that is gone has none. What keeps those of one part from being known is in `failure`, and
        the other parts are still listed. *Raises:* OSError when no part can be listed."""
        self.failure, self._listed = None, {}
        # All units of a host may share one group.
        for part, sources in beating(self._sources.items(), self._heartbeat, _PARTS_PER_BEAT):
            try:
                listed = frozenset().union(*map(_threads_or_none, sources))
            except OSError as failure:
                self.failure = failure
                self._listed[part] = frozenset()
                continue
            self._listed[part] = listed - (frozenset() if part[1] else self.of_others)
        if self.failure is not None and not any(self._listed.values()):
            raise self.failure
        return frozenset().union(*self._listed.values())

    def outside_by_part(self, outside: frozenset[int]) -> dict[Part, int | None]:
        """How many threads of each part, as last listed, are among those outside; None where it had or told none."""
        return {part: len(listed & outside) if listed else None for part, listed in self._listed.items()}


def _threads_or_none(source: CgroupThreads) -> frozenset[int]:
    try:
        return source.threads()
    except OSError as problem:
        # It ended between the look and now.
        if problem.errno in (ENOENT, ENODEV):
            return frozenset()
        raise
