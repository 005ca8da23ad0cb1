"""Whether sketches say the same as the rows they were made beside: raw rows of a window are put into buckets again. PURE.

A window has named processes (`process`), sums of all others (`process_tail`), and the dead (`process_exit`). Of a sum only the
count, the sum and the largest value are known. So above the largest value that any sum can hide, every bucket of a sketch must have
exactly the named values; at and below it at least those. Where nothing is unknown, count and sum must be equal too. Values of which
no sketch could be built are rows of `process_raw`, and belong to the whole.

What cannot be compared is told with its reason, and is no difference: ticks without raw rows, values that nobody could read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from msgspec import Struct

from agent.model.sketch import SCALE, VALUE_MAX, Sketch, bucket_of

METRICS = ("cpu", "rss")
# Of one window; a damaged one has thousands.
DIFFERENCES_MAX = 16

Key = tuple[str | None, str | None]


class WindowDifference(Struct, frozen=True):
    """One thing that raw rows and sketches of a window do not say alike. *Absent:* `bucket`: it is not about one."""

    host: str
    window_ns: int
    metric: str
    pod_uid: str | None
    command: str | None
    bucket: int | None
    problem: str


class _Side(Struct):
    """What raw rows say of one key and metric: values that are known, and what sums add to them."""

    exact: Counter[int] = Counter()
    zeros: int = 0
    count: int = 0
    sum: int = 0
    max: int = -1
    # The largest value that a sum of this key may hide; -1: there is no such sum.
    hidden: int = -1
    # Whether count, and sum, are not known: some value could not be read.
    is_count_known: bool = True
    is_sum_known: bool = True

    def add(self, value: int, times: int = 1) -> None:
        """A value of a named process."""
        value = min(value, VALUE_MAX)
        if value:
            self.exact[bucket_of(value)] += times
        else:
            self.zeros += times
        self.count += times
        self.sum += value * times
        self.max = max(self.max, value)

    def add_hidden(self, count: int, total: int, largest: int) -> None:
        """A sum of values of which the largest is known."""
        self.count += count
        self.sum += total
        self.hidden = max(self.hidden, largest)

    def merge(self, other: "_Side") -> None:
        """Everything of another key too."""
        self.exact.update(other.exact)
        self.zeros += other.zeros
        self.count += other.count
        self.sum += other.sum
        self.max, self.hidden = max(self.max, other.max), max(self.hidden, other.hidden)
        self.is_count_known &= other.is_count_known
        self.is_sum_known &= other.is_sum_known


def _new_side() -> _Side:
    return _Side(Counter())


class CheckedWindow:
    """One window of one host: it is given all rows, in any order, and then says what differs."""

    def __init__(self, host: str, window_ns: int) -> None:
        self.host = host
        self.window_ns = window_ns
        self._sides: dict[str, defaultdict[Key, _Side]] = {metric: defaultdict(_new_side) for metric in METRICS}
        # Sums of several commands: by unit, None: of any.
        self._folded: dict[str, defaultdict[str | None, _Side]] = {metric: defaultdict(_new_side) for metric in METRICS}
        self._sketches: dict[str, dict[Key, Sketch]] = {metric: {} for metric in METRICS}
        self._has_other: dict[str, bool] = dict.fromkeys(METRICS, False)
        self._ticks: set[int] = set()
        # Of each metric and key how many rows there are, one for each part that a restart made, and their ticks together.
        self._parts: dict[tuple[str, Key], tuple[int, int]] = {}
        self._damaged = 0
        self._has_estimates = False

    # ---- rows ----

    def take_tick(self, timestamp: int) -> None:
        """A row of `process_scan`: the raw rows of this tick are there."""
        self._ticks.add(timestamp)

    def take_process(self, pod_uid: str | None, command: str, cpu_ns: int | None, rss_bytes: int | None) -> None:
        """A row of `process`, with the command as others sum it."""
        for metric, value in (("cpu", cpu_ns), ("rss", rss_bytes)):
            if value is not None and value >= 0:
                self._sides[metric][pod_uid, command].add(value)

    def take_tail(self, row: "CheckedTail") -> None:
        """A row of `process_tail`."""
        for metric, total, largest in (("cpu", row.cpu_ns, row.cpu_largest_ns), ("rss", row.rss_bytes, row.rss_largest_bytes)):
            if total is None:
                # The first tick has no CPU: no value of it is counted.
                continue
            side = self._side(metric, row.pod_uid, row.command)
            side.add_hidden(row.processes, total, total if largest is None else largest)
            if row.is_incomplete:
                side.is_count_known = False

    def take_exit(self, pod_uid: str | None, command: str | None, deaths: int, cpu_ns: int | None, *, is_incomplete: bool) -> None:
        """A row of `process_exit`: of one death, or of several together."""
        if cpu_ns is None:
            return
        side = self._side("cpu", pod_uid, command)
        if deaths == 1 and not is_incomplete and command is not None:
            side.add(cpu_ns)
            return
        side.add_hidden(deaths, cpu_ns, cpu_ns)
        if is_incomplete:
            side.is_count_known = side.is_sum_known = False

    def take_raw(
        self, pod_uid: str | None, command: str | None, metric: str, value: int, times: int, relative_error: float
    ) -> None:
        """A row of `process_raw`: values that are in no sketch."""
        if metric not in METRICS or value < 0 or times < 1:
            self._damaged += 1
            return
        if relative_error:
            self._has_estimates = True
        self._sketch(metric, (pod_uid, command)).add(value, times)

    def take_sketch(self, pod_uid: str | None, command: str | None, metric: str, ticks: int, sketch: Sketch | None) -> None:
        """A row of `process_sketch`. None: it holds no sketch."""
        rows, so_far = self._parts.get((metric, (pod_uid, command)), (0, 0))
        self._parts[metric, (pod_uid, command)] = rows + 1, so_far + ticks
        if metric not in METRICS or sketch is None:
            self._damaged += 1
        else:
            self._sketch(metric, (pod_uid, command)).merge(sketch)

    # ---- the comparison ----

    @property
    def why_not_compared(self) -> str:
        """Why the window cannot be compared; empty: it can."""
        if not self._parts:
            return "no sketches"
        if self._has_estimates:
            return "raw values that are estimates"
        if not self._ticks:
            return "no raw rows"
        # A sampler that was killed has not written the sketches of its last ticks.
        return "sketches of fewer ticks than raw rows" if self._sketched_ticks < len(self._ticks) else ""

    @property
    def why_incomplete(self) -> str:
        """Why only a part of it can be compared; empty: all can."""
        return "raw rows of fewer ticks than sketches" if len(self._ticks) < self._sketched_ticks else ""

    def differences(self) -> list[WindowDifference]:
        """What differs, at most DIFFERENCES_MAX things of each metric."""
        assert not self.why_not_compared
        found: list[WindowDifference] = []
        if self._damaged:
            found.append(self._told("", (None, None), None, f"{self._damaged} rows hold no sketch"))
        for metric in METRICS:
            found += list(self._differences_of(metric))[:DIFFERENCES_MAX]
        return found

    @property
    def _sketched_ticks(self) -> int:
        """Those that the sketches cover: some key is there in all parts."""
        return max((ticks for _, ticks in self._parts.values()), default=0)

    def _side(self, metric: str, pod_uid: str | None, command: str | None) -> _Side:
        return self._folded[metric][pod_uid] if command is None else self._sides[metric][pod_uid, command]

    def _sketch(self, metric: str, key: Key) -> Sketch:
        if key == (None, None):
            self._has_other[metric] = True
        found = self._sketches[metric].get(key)
        if found is None:
            found = self._sketches[metric][key] = Sketch()
        return found

    def _differences_of(self, metric: str) -> Iterator[WindowDifference]:
        sides, sketches, folded = dict(self._sides[metric]), dict(self._sketches[metric]), self._folded[metric]
        if self._has_other[metric]:
            self._share(metric, sides, sketches)
        for key in {**sides, **sketches}:
            side, sketch = sides.get(key, _new_side()), sketches.get(key)
            if sketch is None:
                if side.count:
                    yield self._told(metric, key, None, f"{side.count} values in raw rows, no sketch")
                continue
            may_hide = [each.hidden for unit, each in folded.items() if unit is None or key[0] in (None, unit)]
            yield from self._compare(metric, key, side, sketch, max(side.hidden, *may_hide, -1))
            if not folded:
                yield from self._compare_totals(metric, key, side, sketch)
        if folded:
            whole, all_sketches = _new_side(), Sketch()
            for side in (*sides.values(), *folded.values()):
                whole.merge(side)
            for sketch in sketches.values():
                all_sketches.merge(sketch)
            yield from self._compare_totals(metric, (None, None), whole, all_sketches)

    def _share(self, metric: str, sides: dict[Key, _Side], sketches: dict[Key, Sketch]) -> None:
        """Put together the keys that have no sketch of their own; all of them, where a restart may have changed which these are."""
        is_cut = any(rows > 1 for (of, _), (rows, _) in self._parts.items() if of == metric)
        rest = _new_side()
        for key in [key for key in sides if is_cut or key not in sketches]:
            rest.merge(sides.pop(key))
        if is_cut:
            whole = Sketch()
            for key in list(sketches):
                whole.merge(sketches.pop(key))
            sketches[None, None] = whole
        sides[None, None] = rest

    def _compare(self, metric: str, key: Key, side: _Side, sketch: Sketch, hidden: int) -> Iterator[WindowDifference]:
        """Bucket by bucket."""
        shift = SCALE - sketch.scale
        named: Counter[int] = Counter()
        for bucket, times in side.exact.items():
            named[bucket >> shift] += times
        # The last bucket in which a value of a sum may be.
        limit = bucket_of(hidden) >> shift if hidden > 0 else None
        for bucket in sorted({*named, *sketch.buckets}):
            raw, sketched = named[bucket], sketch.buckets.get(bucket, 0)
            is_exact = (limit is None or bucket > limit) and not self.why_incomplete
            if raw != sketched if is_exact else raw > sketched:
                yield self._told(metric, key, bucket, f"{raw} values in raw rows, {sketched} in the sketch")
        if side.zeros > sketch.zero_count or (hidden < 0 and not self.why_incomplete and side.zeros != sketch.zero_count):
            yield self._told(metric, key, None, f"{side.zeros} zeros in raw rows, {sketch.zero_count} in the sketch")
        if side.max > hidden and not self.why_incomplete and side.max != sketch.max:
            yield self._told(metric, key, None, f"the largest value is {side.max} in raw rows, {sketch.max} in the sketch")

    def _compare_totals(self, metric: str, key: Key, side: _Side, sketch: Sketch) -> Iterator[WindowDifference]:
        if self.why_incomplete:
            return
        if side.is_count_known and side.count != sketch.count:
            yield self._told(metric, key, None, f"{side.count} values in raw rows, {sketch.count} in sketches")
        if side.is_sum_known and min(side.sum, VALUE_MAX) != min(sketch.sum, VALUE_MAX):
            yield self._told(metric, key, None, f"their sum is {side.sum} in raw rows, {sketch.sum} in sketches")

    def _told(self, metric: str, key: Key, bucket: int | None, problem: str) -> WindowDifference:
        return WindowDifference(self.host, self.window_ns, metric, *key, bucket, problem)


class CheckedTail(Struct, frozen=True):
    """What is needed of a row of `process_tail`."""

    pod_uid: str | None
    command: str | None
    processes: int
    cpu_ns: int | None
    cpu_largest_ns: int | None
    rss_bytes: int | None
    rss_largest_bytes: int | None
    is_incomplete: bool
