"""The threads of the units of one group, told apart by container."""

from collections.abc import Mapping, Sequence
from errno import ENODEV, ENOENT

from agent.ports import KernelTree
from workers.control_plane.group_step import Part
from workers.resctrl.threads import CgroupThreads


class UnitThreads:
    """`workers.resctrl.ports.ThreadSource` over several parts; it remembers whose threads it listed last.

    A container's directory is taken with everything below it. The directories of a unit without containers stand each by
    itself: below a slice there are others' units.
    """

    def __init__(self, tree: KernelTree, roots: Sequence[str], places: Mapping[Part, tuple[str, ...]]) -> None:
        self._sources = {
            part: [CgroupThreads(tree, roots, path, is_recursive=bool(part[1])) for path in paths] for part, paths in places.items()
        }
        self._listed: dict[Part, frozenset[int]] = {}

    def threads(self) -> frozenset[int]:
        """All threads of all parts. *Raises:* OSError when one part's threads cannot be known; one that is gone has none."""
        self._listed = {part: frozenset().union(*map(_threads_or_none, sources)) for part, sources in self._sources.items()}
        return frozenset().union(*self._listed.values())

    def outside_by_part(self, outside: frozenset[int]) -> dict[Part, int | None]:
        """How many threads of each part, as last listed, are among those outside; None where it had no thread at all."""
        return {part: len(listed & outside) if listed else None for part, listed in self._listed.items()}


def _threads_or_none(source: CgroupThreads) -> frozenset[int]:
    try:
        return source.threads()
    except OSError as problem:
        # It ended between the look and now.
        if problem.errno in (ENOENT, ENODEV):
            return frozenset()
        raise
