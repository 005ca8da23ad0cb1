"""Raw rows of a window against its sketches: the same values in the same buckets. Counts by itself, not by the agent's code. PURE.

Rows of `process` have each value. Those of `process_tail`, and deaths told together, have a count, a sum and a largest one. Above
the largest of these every bucket must be equal, and below it the count and the sum of all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

METRICS = ("cpu", "rss")
_CPU, _RSS = METRICS
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WindowMatch:
    """One metric of one window of one host. `buckets_off`: values that are in one of them and not in the other; `count_off` and
    `sum_off`: how far both are apart in all. `compared` of `values` lie above `largest`, the largest value that is told only with
    others. `unsure`: processes that may or may not have had a value."""

    where: str
    window_start_ns: int
    metric: str
    ticks: int
    raw_ticks: int
    values: int
    compared: int
    largest: int
    buckets_off: int
    count_off: int
    sum_off: int
    unsure: int

    @property
    def is_equal(self) -> bool:
        """Whether nothing is off."""
        return not self.buckets_off and self.count_off <= self.unsure and not self.sum_off


@dataclass(slots=True)
class _Side:
    """What one side counts: each value that it knows, the count and the sum of all."""

    buckets: Counter[int] = field(default_factory=Counter)
    zeros: int = 0
    count: int = 0
    sum: int = 0
    largest: int = 0
    has_tail: bool = False
    unsure: int = 0
    ticks: set[int] = field(default_factory=set)

    def add(self, value: int, times: int = 1) -> None:
        """A value that is known."""
        self.count += times
        self.sum += value * times
        if value:
            self.buckets[bucket_above(value)] += times
        else:
            self.zeros += times

    def add_together(self, count: int, total: int, largest: int) -> None:
        """Some values of which only the largest is known."""
        self.count += count
        self.sum += total
        self.largest = max(self.largest, largest)
        self.has_tail = self.has_tail or count > 0


def bucket_above(value: int, scale: int = 6) -> int:
    """The bucket `i` with 2^(i / 2^scale) < value <= 2^((i + 1) / 2^scale), by whole numbers alone. *Range:* 1 and more."""
    return int((value ** (1 << scale) - 1).bit_length() - 1)


def matches(where: str, tables: Mapping[str, Iterable[Row]], window_ns: int) -> list[WindowMatch]:
    """Each window that has sketches, of the rows of one host, by the names of their tables."""
    sketches: defaultdict[tuple[int, str], _Side] = defaultdict(_Side)
    for row in tables.get("process_sketch", ()):
        _add_sketch(sketches[row["window_start"], row["metric"]], row)
    for row in tables.get("process_raw", ()):
        # Values that could not be put into a sketch stand beside those that were.
        sketches[row["window_start"], row["metric"]].add(row["value"], row["times"])
    raw = _raw_sides(tables, window_ns)
    return [_match(where, key, sketch, raw.get(key) or _Side()) for key, sketch in sorted(sketches.items())]


def _add_sketch(side: _Side, row: Row) -> None:
    # Coarser ones are not compared: a sketch of this agent never needs to be.
    assert row["scale"] == 6, row
    side.zeros += row["zero_count"]
    side.count += row["count"]
    side.sum += row["sum"]
    side.ticks.add(row["ticks"])
    for offset, count in enumerate(row["counts"]):
        if count:
            side.buckets[row["first_bucket"] + offset] += count


def _raw_sides(tables: Mapping[str, Iterable[Row]], window_ns: int) -> dict[tuple[int, str], _Side]:
    sides: defaultdict[tuple[int, str], _Side] = defaultdict(_Side)

    def of(row: Row, metric: str) -> _Side:
        return sides[row["timestamp"] // window_ns * window_ns, metric]

    for row in tables.get("process_scan", ()):
        for metric in METRICS:
            of(row, metric).ticks.add(row["timestamp"])
    for row in tables.get("process", ()):
        for metric, column in ((_CPU, "cpu_ns"), (_RSS, "rss_bytes")):
            if row[column] is not None:
                of(row, metric).add(row[column])
    for row in tables.get("process_tail", ()):
        for metric, column, largest in ((_CPU, "cpu_ns", "cpu_largest_ns"), (_RSS, "rss_bytes", "rss_largest_bytes")):
            side = of(row, metric)
            side.add_together(row["processes"], row[column] or 0, row[largest] or 0)
            # Its sum lacks some: how many is not said.
            side.unsure += row["processes"] if row["absent"] else 0
    for row in tables.get("process_exit", ()):
        if row["cpu_ns"] is not None:
            if row["deaths"] == 1:
                of(row, _CPU).add(row["cpu_ns"])
            else:
                of(row, _CPU).add_together(row["deaths"], row["cpu_ns"], row["cpu_ns"])
    return dict(sides)


def _match(where: str, key: tuple[int, str], sketch: _Side, raw: _Side) -> WindowMatch:
    least = bucket_above(raw.largest) if raw.largest else None
    above = [side.buckets if least is None else _above(side.buckets, least) for side in (sketch, raw)]
    off = sum((above[0] - above[1]).values()) + sum((above[1] - above[0]).values())
    if not raw.has_tail:
        off += abs(sketch.zeros - raw.zeros)
    return WindowMatch(
        where=where,
        window_start_ns=key[0],
        metric=key[1],
        ticks=max(sketch.ticks, default=0),
        raw_ticks=len(raw.ticks),
        values=sketch.count,
        compared=above[0].total() + (0 if raw.has_tail else sketch.zeros),
        largest=raw.largest,
        buckets_off=off,
        count_off=abs(sketch.count - raw.count),
        sum_off=abs(sketch.sum - raw.sum),
        unsure=raw.unsure,
    )


def _above(buckets: Counter[int], least: int) -> Counter[int]:
    return Counter({index: count for index, count in buckets.items() if index > least})


def apart(stored: Sequence[tuple[Any, ...]], there: Sequence[tuple[Any, ...]]) -> tuple[int, int, int]:
    """Rows that are stored here and not there, that are there too often, and that are there and not here."""
    here, found = Counter(stored), Counter(there)
    missing = sum((here - found).values())
    doubled = sum(count - here[row] for row, count in found.items() if row in here and count > here[row])
    return missing, doubled, sum(count for row, count in found.items() if row not in here)
