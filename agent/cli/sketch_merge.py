"""Sketches of many windows and keys put together, and what of the time they do not cover. PURE."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from agent.cli.time_bounds import TimeBounds
from agent.model.errors import FormatError, MisuseError
from agent.model.sketch import Sketch, SketchColumns

# The parts of a key that an answer may be split by, and the columns of `process_sketch` that they are.
BY = {"pod": "pod_uid", "command": "command", "namespace": "pod_uid", "host": "host"}
# A sketch takes up to some hundred KiB; more lines nobody reads.
GROUPS_MAX = 4_096
_KEY_COLUMNS = ("timestamp", "window_start", "window_ns", "pod_uid", "command", "ticks", "keys", "host")
COLUMNS = (*_KEY_COLUMNS, *SketchColumns.__struct_fields__)

# What an answer has one line for: the parts of the key that it is split by; None: the row of all further keys.
GroupKey = tuple[str | None, ...] | None


class SketchGroup(Struct):
    """One line of an answer: all sketches of it in one, and the windows that they are of. `keys` is above 1 for further keys."""

    sketch: Sketch
    windows: set[int]
    keys: int = 1


class Coverage(Struct, frozen=True):
    """Which windows of each host there are: those with any row, those with fewer ticks than the fullest, and those without rows in
    between.

    *Units:* ns. *Absent:* both ends are None without any window.
    """

    windows: int
    partial: int
    missing: int
    ticks_of_full: int
    first_ns: int | None
    behind_ns: int | None


class SketchMerge:
    """Takes rows of `process_sketch` one by one and keeps one sketch for each line of the answer.

    `by` are the parts that split the answer; `namespaces` has those of pods by uid. `hosts` are those whose rows count; empty: all.
    `is_wanted` says of a unit and command whether it counts; None: all do. Rows of further keys are a line of their own where the
    answer is split, and are left out where something is chosen; their windows are in `shared_windows`.
    """

    def __init__(
        self,
        bounds: TimeBounds,
        by: tuple[str, ...],
        is_wanted: Callable[[str | None, str | None], bool] | None,
        namespaces: Mapping[str, str] | None = None,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._bounds = bounds
        self._by = by
        self._is_wanted = is_wanted
        self._namespaces = namespaces or {}
        self._hosts = hosts
        self.groups: dict[GroupKey, SketchGroup] = {}
        # Rows that hold no sketch.
        self.damaged = 0
        self.shared_windows: set[int] = set()
        self._window_ns = 0
        # A window that a restart cut in two has rows of both parts, with the ticks of each.
        self._parts: set[tuple[str | None, int, int]] = set()

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows that have `COLUMNS`. *Raises:* MisuseError where the answer would have too many lines."""
        for row in rows:
            try:
                start_ns, window_ns, ticks, keys = (int(row[name]) for name in ("window_start", "window_ns", "ticks", "keys"))
            except (TypeError, ValueError):
                self.damaged += 1
                continue
            host = row.get("host")
            if (not self._hosts or host in self._hosts) and self._bounds.overlaps(start_ns, start_ns + window_ns):
                self._window_ns = max(self._window_ns, window_ns)
                self._parts.add((host, start_ns, ticks))
                self._add(row, start_ns, keys)

    def _add(self, row: Mapping[str, Any], start_ns: int, keys: int) -> None:
        is_shared = row["pod_uid"] is None and row["command"] is None
        if is_shared:
            self.shared_windows.add(start_ns)
        if self._is_wanted is not None and (is_shared or not self._is_wanted(row["pod_uid"], row["command"])):
            return
        try:
            sketch = Sketch.from_columns(SketchColumns(**{name: row[name] for name in SketchColumns.__struct_fields__}))
        except (FormatError, TypeError):
            self.damaged += 1
            return
        key = None if is_shared and {*self._by} - {"host"} else tuple(self._part(row, part) for part in self._by)
        group = self._group(key)
        group.sketch.merge(sketch)
        group.windows.add(start_ns)
        group.keys = max(group.keys, keys)

    def _part(self, row: Mapping[str, Any], part: str) -> str | None:
        value: str | None = row[BY[part]]
        return self._namespaces.get(value or "") if part == "namespace" else value

    def _group(self, key: GroupKey) -> SketchGroup:
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= GROUPS_MAX:
                problem = f"the answer has more than {GROUPS_MAX} lines"
                raise MisuseError("--by", problem, "choose some with --pod or --command, or ask for a shorter time")
            group = self.groups[key] = SketchGroup(Sketch(), set())
        return group

    def coverage(self) -> Coverage:
        """Which windows of the time that was asked for there are, whatever is chosen of them."""
        ticks: Counter[tuple[str | None, int]] = Counter()
        starts: dict[str | None, set[int]] = {}
        for host, start_ns, count in self._parts:
            ticks[host, start_ns] += count
            starts.setdefault(host, set()).add(start_ns)
        if not ticks:
            return Coverage(0, 0, 0, 0, None, None)
        full = max(ticks.values())
        first_ns, last_ns = min(map(min, starts.values())), max(map(max, starts.values()))
        partial = sum(count < full for count in ticks.values())
        missing = sum(map(self._missing, starts.values()))
        return Coverage(len(ticks), partial, missing, full, first_ns, last_ns + self._window_ns)

    def _missing(self, starts: set[int]) -> int:
        possible = (max(starts) - min(starts)) // max(1, self._window_ns) + 1
        return max(0, possible - len(starts))
