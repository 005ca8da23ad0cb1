"""The limits in force for a unit: of each kind the lowest of it and all above it."""

from collections.abc import Callable
from typing import NamedTuple

from agent.model.timebase import MINUTE, S
from agent.ports import KernelTree
from workers.unit.layout import CgroupLayout
from workers.unit.tracked_unit import TrackedUnit

# A changed limit is seen after this time at the latest where a unit does something, after the second where it does nothing.
LIMITS_NS, IDLE_LIMITS_NS = 10 * S, 5 * MINUTE
LIMIT_BYTES_MAX = 64
# Where nobody asks for them any more, they are forgotten.
DIRECTORIES_MAX = 20_000
_PERIOD = "cpu.cfs_period_us"

Limit = int | float | None
COLUMNS = ("cpu_limit_cores", "memory_limit_bytes", "memory_high_bytes", "pids_limit")
_NONE: tuple[Limit, ...] = (None,) * len(COLUMNS)


class LimitChange(NamedTuple):
    """A limit of one cgroup, by the name of its file. *Absent:* there is none."""

    file: str
    before: Limit
    after: Limit


class LimitsInForce:
    """Remembers what each cgroup has, since many units have the same ones above them. `on_change` hears of each other one."""

    def __init__(
        self, tree: KernelTree, layout: CgroupLayout, on_change: Callable[[str, LimitChange], None] = lambda _path, _change: None
    ) -> None:
        self._tree = tree
        self._on_change = on_change
        self._layout = layout
        self._known: dict[str, tuple[int, tuple[Limit, ...]]] = {}

    def follow(self, unit: TrackedUnit, now_ns: int, *, is_idle: bool = False) -> None:
        """Bring `unit.limits` up to date, if it is time for that."""
        if unit.limits_at_ns is not None and now_ns - unit.limits_at_ns < (IDLE_LIMITS_NS if is_idle else LIMITS_NS):
            return
        unit.limits_at_ns = now_ns
        lowest = list(_NONE)
        path = unit.path.rstrip("/")
        while path:
            for place, limit in enumerate(self._of(path, now_ns)):
                at_most = lowest[place]
                if limit is not None and (at_most is None or limit < at_most):
                    lowest[place] = limit
            path = path.rpartition("/")[0]
        unit.limits = tuple(lowest)

    def _of(self, path: str, now_ns: int) -> tuple[Limit, ...]:
        known = self._known.get(path)
        if known is not None and now_ns - known[0] < LIMITS_NS:
            return known[1]
        limits = self._read(path)
        if known is not None and known[1] != limits:
            for file, before, after in zip(self._layout.limits, known[1], limits, strict=False):
                if before != after:
                    self._on_change(path, LimitChange(file.name, before, after))
        if len(self._known) >= DIRECTORIES_MAX:
            self._known.clear()
        self._known[path] = now_ns, limits
        return limits

    def _read(self, path: str) -> tuple[Limit, ...]:
        found: dict[str, Limit] = {}
        for file in self._layout.limits:
            found[file.column] = self._read_one(path, file.controller, file.name, file.parse)
        if found["cpu_limit_cores"] is not None and self._layout.hierarchy != "v2":
            period = self._read_one(path, "cpu", _PERIOD, self._layout.limits[0].parse)
            found["cpu_limit_cores"] = found["cpu_limit_cores"] / period if period else None
        return tuple(found.get(column) for column in COLUMNS)

    def _read_one(self, path: str, controller: str, name: str, parse: Callable[[bytes], Limit]) -> Limit:
        root = self._layout.roots.get(controller)
        if root is None:
            return None
        try:
            return parse(self._tree.read(f"{root}{path}/{name}".lstrip("/"), LIMIT_BYTES_MAX))
        except OSError:
            # Where the controller is not enabled, there is no limit either.
            return None
