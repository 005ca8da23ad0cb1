"""Reads the files of the memory controller that say who was killed for lack of memory."""

from agent.model.errors import KernelFormatError
from agent.ports import KernelTree
from workers.unit.layout import CgroupLayout
from workers.unit.oom_reading import (
    EVENTS_BYTES_MAX,
    MemoryEvents,
    OomReading,
    parse_count,
    parse_memory_events,
    parse_memory_limit,
    parse_oom_control,
)

NUMBER_BYTES_MAX = 64
# A directory with more sub-directories than this is no place for units.
CHILDREN_MAX = 4096


class OomFiles:
    """`workers.unit.oom_ledger.CgroupMemory` below a cgroup root. `has_local_events`: the mount counts each cgroup alone."""

    def __init__(self, tree: KernelTree, layout: CgroupLayout, *, has_local_events: bool = False) -> None:
        self._tree = tree
        self._root = layout.roots.get("memory")
        self._is_v2 = layout.hierarchy == "v2"
        self.is_root_hidden = self._is_v2 and self._text("/memory.events") is not None
        # Before Linux 5.2 `memory.events` has what happened in the cgroup alone, and there is no second file.
        self.is_whole = self._is_v2 and not has_local_events and self._counts_whole()

    @property
    def tops(self) -> list[str]:
        """The uppermost cgroups that there are now."""
        if self._root is None:
            return []
        return ["/"] if self.is_root_hidden else self.children("")

    def events_path(self, path: str) -> str:
        """The file that changes when something happens in a cgroup or below it; relative to the cgroup root."""
        return f"{self._root or ''}{path.rstrip('/')}/memory.events".lstrip("/")

    def read(self, path: str) -> OomReading | None:
        """See `CgroupMemory`. What cannot be understood counts as gone: nothing is said of it."""
        try:
            return self._read_v2(path.rstrip("/")) if self._is_v2 else self._read_v1(path.rstrip("/"))
        except KernelFormatError:
            return None

    def children(self, path: str) -> list[str]:
        """See `CgroupMemory`."""
        try:
            names = self._tree.list_directories(f"{self._root or ''}{path}".strip("/") or ".")
        except OSError:
            return []
        return [f"{path.rstrip('/')}/{name}" for name in names[:CHILDREN_MAX]]

    def limit_bytes(self, path: str) -> int | None:
        """See `CgroupMemory`."""
        text = self._text(f"{path.rstrip('/')}/{'memory.max' if self._is_v2 else 'memory.limit_in_bytes'}")
        return None if text is None else parse_memory_limit(text)

    def _read_v2(self, path: str) -> OomReading | None:
        whole = self._events(f"{path}/memory.events")
        if whole is None or not self.is_whole:
            return None if whole is None else OomReading(whole)
        # Read second: what happens between the two is then never taken for something below the cgroup.
        own = self._events(f"{path}/memory.events.local")
        return None if own is None else OomReading(own, whole)

    def _read_v1(self, path: str) -> OomReading | None:
        control, hits = self._text(f"{path}/memory.oom_control"), self._text(f"{path}/memory.failcnt")
        return None if control is None or hits is None else OomReading(parse_oom_control(control, parse_count(hits)))

    def _events(self, path: str) -> MemoryEvents | None:
        text = self._text(path)
        return None if text is None else parse_memory_events(text)

    def _text(self, path: str) -> bytes | None:
        if self._root is None:
            return None
        try:
            return self._tree.read(f"{self._root}{path}".lstrip("/"), EVENTS_BYTES_MAX)
        except OSError:
            return None

    def _counts_whole(self) -> bool:
        """Whether the kernel has both files; where nothing has the first one yet, it is taken for one of today."""
        tops = [""] if self.is_root_hidden else self.children("")
        counted = [path for path in tops if self._text(f"{path}/memory.events") is not None]
        return not counted or self._text(f"{counted[0]}/memory.events.local") is not None
