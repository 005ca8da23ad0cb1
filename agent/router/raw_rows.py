"""Rows of `process`, `process_tail`, `process_exit` and `occupancy` added up for each slot. It imports pyarrow."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow
from pyarrow import compute

from agent.model.absence import Absence
from agent.model.sketch import SCALE, VALUE_MAX, bucket_range
from agent.router.columns import Array, ones, summed, texts, weighted_sum, whole_numbers
from agent.router.gathered import Ends, GatheredLines, Slot, estimate
from agent.router.interval import Spread, TailValues
from agent.router.question import AskedMetric
from agent.router.tail_columns import FEW_TAILS, TAIL_COLUMNS, ManyTails, buckets_of, phantoms_of, split

KEPT_ROWS = 1 << 20
# Beyond this number of different values they are known by their buckets: within 0.54 %, as in sketches.
EXACT_MAX = 200_000


class _Sums:
    """Rows of a few columns with how often each came, added up whenever there are many."""

    def __init__(self, *columns: str) -> None:
        self._columns = ["slot", *columns]
        self._kept: list[Any] = []
        self._rows = 0

    def add(self, columns: dict[str, Array]) -> None:
        """Add rows; with their column `times`."""
        table = pyarrow.table(columns)
        if len(table):
            self._kept.append(self._added_up(table))
            self._rows += len(self._kept[-1])
        if self._rows > KEPT_ROWS:
            self._kept, self._rows = [self._added_up(pyarrow.concat_tables(self._kept))], 0

    def table(self) -> Any:
        """All of them, each once, in the order of their slots. *Absent:* None: there are none."""
        if not self._kept:
            return None
        return self._added_up(pyarrow.concat_tables(self._kept)).sort_by([(name, "ascending") for name in self._columns])

    def _added_up(self, table: Any) -> Any:
        found = table.select([*self._columns, "times"]).group_by(self._columns, use_threads=False).aggregate([("times", "sum")])
        return found.rename_columns([*self._columns, "times"])


class RawRows:
    """Takes batches of rows with their `slot` and `window`."""

    def __init__(self) -> None:
        self._exact = _Sums("value")
        self._tails = _Sums(*TAIL_COLUMNS)
        # Of some processes that ended the CPU is not known: how many values there are is not either.
        self._doubtful = _Sums(*TAIL_COLUMNS)
        self._phantoms: dict[int, int] = {}
        self._windows: dict[int, set[int]] = {}

    def add_exact(self, table: Any, column: str) -> None:
        """Rows of one value each."""
        value = _rounded(table, column)
        table, value = _kept(table, value, compute.greater_equal(value, 0))
        self._note_windows(table)
        self._exact.add({"slot": table["slot"], "value": value, "times": ones(len(table))})

    def add_tails(self, table: Any, metric: AskedMetric) -> None:
        """Rows of `process_tail`."""
        count, total = whole_numbers(table, "processes"), whole_numbers(table, metric.tail)
        largest = whole_numbers(table, metric.largest) if metric.largest else total
        is_there = compute.and_(compute.greater(count, 0), compute.and_(compute.greater_equal(total, 0), compute.is_valid(largest)))
        table, count, total, largest = _kept(table, count, is_there, total, largest)
        self._note_windows(table)
        slot, once = table["slot"], ones(len(table))
        if metric.largest:
            lacks = compute.fill_null(compute.match_substring(texts(table, "absent"), Absence.INCOMPLETE.value), False)
            self._add_phantoms(slot, compute.if_else(lacks, phantoms_of(count, total, largest), 0))
            has_largest, largest, rest = split(count, total, largest)
            self._exact.add(
                {"slot": slot.filter(has_largest), "value": largest.filter(has_largest), "times": once.filter(has_largest)}
            )
        else:
            # No column says the largest; and what nobody could read is added as nothing.
            self._add_phantoms(slot, phantoms_of(count, total, total))
            rest = {"count": count, "sum_least": total, "sum_most": total, "most": total}
        self._add_tails(self._tails, slot, rest)

    def add_exits(self, table: Any, metric: AskedMetric) -> None:
        """Rows of `process_exit`: of single processes, and of several."""
        count, total = whole_numbers(table, "deaths"), whole_numbers(table, metric.exit)
        is_single = compute.is_valid(whole_numbers(table, "pid"))
        is_there = compute.and_(compute.greater(count, 0), compute.greater_equal(total, 0))
        table, count, total, is_single = _kept(table, count, is_there, total, is_single)
        self._note_windows(table)
        slot = table["slot"]
        self._exact.add(
            {"slot": slot.filter(is_single), "value": total.filter(is_single), "times": ones(len(table)).filter(is_single)}
        )
        is_sum = compute.invert(is_single)
        is_doubtful = compute.and_(is_sum, compute.is_valid(texts(table, "absent")))
        for kept, sums, least in (
            (compute.and_(is_sum, compute.invert(is_doubtful)), self._tails, total),
            (is_doubtful, self._doubtful, compute.multiply(total, 0)),
        ):
            rows = {"count": count, "sum_least": least, "sum_most": total, "most": total}
            self._add_tails(sums, slot.filter(kept), {name: column.filter(kept) for name, column in rows.items()})

    def _add_tails(self, sums: _Sums, slot: Array, rest: dict[str, Array]) -> None:
        is_zero = compute.or_(compute.equal(rest["sum_most"], 0), compute.equal(rest["most"], 0))
        if sums is self._tails:
            zeros = compute.and_(is_zero, compute.greater(rest["count"], 0))
            count = rest["count"].filter(zeros)
            self._exact.add({"slot": slot.filter(zeros), "value": compute.multiply(count, 0), "times": count})
        else:
            is_zero = compute.and_(is_zero, False)
        kept = compute.and_(compute.invert(is_zero), compute.greater(rest["count"], 0))
        columns = {name: rest[name].filter(kept) for name in TAIL_COLUMNS}
        length = len(columns["count"])
        sums.add({"slot": slot.filter(kept), **columns, "times": ones(length)})

    def _add_phantoms(self, slot: Array, phantoms: Array) -> None:
        for row in summed(pyarrow.table({"slot": slot, "phantoms": phantoms}), ["slot"], ["phantoms"]):
            self._phantoms[row["slot"]] = self._phantoms.get(row["slot"], 0) + row["phantoms"]

    def _note_windows(self, table: Any) -> None:
        pairs = pyarrow.table({name: table[name] for name in ("slot", "window")})
        pairs = pairs.group_by(["slot", "window"], use_threads=False).aggregate([])
        for slot, window in zip(pairs["slot"].to_pylist(), pairs["window"].to_pylist(), strict=True):
            self._windows.setdefault(slot, set()).add(window)

    # ---- the answer ----

    def give(self, gathered: GatheredLines, slots: Sequence[Slot]) -> None:
        """Add everything to the lines of an answer."""
        if (exact := self._exact.table()) is not None:
            self._give_exact(gathered, slots, exact)
        if (tails := self._tails.table()) is not None:
            for number, part in _by_slot(tails):
                for spread, group in gathered.spreads(slots[number]):
                    _take_tails(spread, part)
                    if group is not None:
                        estimate(group, *_means_of(part))
        if (doubtful := self._doubtful.table()) is not None:
            self._give_doubtful(gathered, slots, doubtful)
        for number, phantoms in self._phantoms.items():
            for spread, _ in gathered.spreads(slots[number]):
                spread.phantoms += phantoms
        for number, windows in self._windows.items():
            for _, group in gathered.spreads(slots[number]):
                if group is not None:
                    group.windows |= windows

    def _give_doubtful(self, gathered: GatheredLines, slots: Sequence[Slot], doubtful: Any) -> None:
        for number, part in _by_slot(doubtful):
            for tail, times in _tails_of(part):
                several = TailValues(tail.many * times, tail.sum_least * times, tail.sum_most * times, tail.most)
                gathered.add_lost(slots[number], several, is_certain=False)
            for _, group in gathered.spreads(slots[number]):
                if group is not None:
                    estimate(group, *_means_of(part))

    def _give_exact(self, gathered: GatheredLines, slots: Sequence[Slot], exact: Any) -> None:
        is_few = len(exact) <= EXACT_MAX
        for number, part in _by_slot(exact):
            counts, ends = _ends_of(part["value"], part["times"])
            for spread, group in gathered.spreads(slots[number]):
                if is_few:
                    for value, times in zip(part["value"].to_pylist(), part["times"].to_pylist(), strict=True):
                        spread.add_exact(value, times)
                else:
                    _take_buckets(spread, counts, ends)
                if group is not None:
                    estimate(group, counts, ends)


def _take_buckets(spread: Spread, counts: dict[tuple[int, int], int], ends: Ends) -> None:
    if ends.zero_count:
        spread.add_range(0, 0, ends.zero_count)
    for (_, bucket), times in counts.items():
        spread.add_range(*bucket_range(bucket), times)
    spread.sum_least += ends.total
    spread.sum_most += ends.total
    spread.largest_least = max(spread.largest_least, ends.most)


def _take_tails(spread: Spread, part: Any) -> None:
    if len(part) <= FEW_TAILS:
        for tail, times in _tails_of(part):
            spread.add_tail(tail, times)
        return
    least, most = (weighted_sum(part[name], part["times"]) for name in ("sum_least", "sum_most"))
    means = compute.divide(part["sum_least"], part["count"])
    spread.add_others(ManyTails(part), (least, most), compute.max(means).as_py())


def _means_of(tails: Any) -> tuple[dict[tuple[int, int], int], Ends]:
    """What stands for the values of tails: their means."""
    return _ends_of(compute.divide(tails["sum_most"], tails["count"]), compute.multiply(tails["count"], tails["times"]))


def _tails_of(part: Any) -> Iterator[tuple[TailValues, int]]:
    """Tails with how often each came."""
    for *columns, times in zip(*(part[name].to_pylist() for name in (*TAIL_COLUMNS, "times")), strict=True):
        yield TailValues(*columns), times


def _by_slot(table: Any) -> list[tuple[int, Any]]:
    """The rows of each slot, of a table in their order."""
    slots = table["slot"].combine_chunks()
    cuts = compute.indices_nonzero(compute.not_equal(slots[1:], slots[:-1])).to_pylist()
    begins = [0, *(cut + 1 for cut in cuts)]
    ends = [*begins[1:], len(slots)]
    return [(slots[begin].as_py(), table.slice(begin, end - begin)) for begin, end in zip(begins, ends, strict=True)]


def _ends_of(value: Array, times: Array) -> tuple[dict[tuple[int, int], int], Ends]:
    """Values by scale and bucket, and what they say together."""
    is_positive = compute.greater(value, 0)
    positive, counts = value.filter(is_positive), times.filter(is_positive)
    found: dict[tuple[int, int], int] = {}
    if len(positive):
        table = pyarrow.table({"bucket": buckets_of(positive), "times": counts})
        for row in summed(table, ["bucket"], ["times"]):
            found[SCALE, row["bucket"]] = row["times"]
    many = compute.sum(times).as_py() or 0
    zeros = many - sum(found.values())
    return found, Ends(many, zeros, weighted_sum(value, times), compute.min(value).as_py(), compute.max(value).as_py())


def _rounded(table: Any, column: str) -> Array:
    """A column of values; rates are rounded down to whole numbers."""
    if column in table.schema.names and pyarrow.types.is_floating(table.schema.field(column).type):
        floor = compute.floor(compute.min_element_wise(table[column], float(VALUE_MAX >> 1), skip_nulls=False))
        return compute.if_else(compute.is_finite(floor), floor, None).cast(pyarrow.int64(), safe=False)
    return whole_numbers(table, column)


def _kept(table: Any, column: Array, mask: Array, *more: Array) -> tuple[Any, ...]:
    """The rows in which a mask is true."""
    mask = compute.fill_null(mask, False)
    return (table.filter(mask), column.filter(mask), *(each.filter(mask) for each in more))
