"""Rows of `process_sketch` added up: a number for each slot, scale and bucket. It imports pyarrow."""

from typing import Any

import pyarrow
from msgspec import Struct
from pyarrow import compute

from agent.model.sketch import SCALE, SCALE_MIN, VALUE_MAX, boundaries
from agent.router.columns import Array, counting, floats, summed, whole_numbers
from agent.router.gathered import Ends

# As many rows of sums are kept before they are added up again.
KEPT_ROWS = 1 << 20
_ENDS = ("window_start", "window_ns", "metric", "pod_uid", "command", "keys", "zero_count", "count", "sum", "min", "max")
_BUCKETS = ("scale", "first_bucket", "counts")
# No window counts so much; what does is no sketch, and sums of it could run over.
_COUNT_MAX = 1 << 44
_INDEX_BEHIND = len(boundaries()) - 1
# Of a sum and the ends it lies between, which are compared as floating-point numbers.
_NEARLY = 1e-9


class SlotSketch(Struct):
    """The sketches of one slot: counts by scale and bucket, the windows they are of, and how many keys a row had at most."""

    counts: dict[tuple[int, int], int]
    ends: Ends
    windows: set[int]
    keys: int = 1


class SketchRows:
    """Takes batches of rows. Without `has_buckets` their buckets are not read: their number, sum and ends say enough."""

    def __init__(self, *, has_buckets: bool = True) -> None:
        self._has_buckets = has_buckets
        self._found: dict[int, SlotSketch] = {}
        self._kept: list[Any] = []
        self._kept_rows = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of rows."""
        return (*_ENDS, *_BUCKETS) if self._has_buckets else _ENDS

    def are_sketches(self, batch: Any) -> Array:
        """Which rows hold a sketch: as `Sketch.from_columns` judges one, but for sums that are wrong by a billionth."""
        zeros, count, total, least, most = (whole_numbers(batch, name) for name in ("zero_count", "count", "sum", "min", "max"))
        checks = [
            compute.and_(compute.greater_equal(zeros, 0), compute.less_equal(zeros, count)),
            compute.less_equal(count, _COUNT_MAX),
            compute.if_else(compute.equal(count, 0), _is_empty(total, least, most), _has_ends(count, total, least, most)),
            *(_bucket_checks(batch, compute.subtract(count, zeros)) if self._has_buckets else ()),
        ]
        good = checks[0]
        for check in checks[1:]:
            good = compute.and_kleene(good, check)
        return compute.fill_null(good, False)

    def add(self, batch: Any, slot: Array, window: Array) -> None:
        """Add rows that are sketches."""
        if not len(batch):
            return
        self._add_ends(batch, slot, window)
        if not self._has_buckets:
            return
        lists = _lists(batch)
        parent = compute.list_parent_indices(lists).cast(pyarrow.int64())
        times = compute.list_flatten(lists)
        length = compute.fill_null(compute.list_value_length(lists), 0).cast(pyarrow.int64())
        begin = compute.subtract(compute.cumulative_sum(length), length)
        place = compute.subtract(counting(len(times)), compute.take(begin, parent))
        bucket = compute.add(compute.take(whole_numbers(batch, "first_bucket"), parent), place)
        scale = compute.take(whole_numbers(batch, "scale"), parent)
        table = pyarrow.table({"slot": compute.take(slot, parent), "scale": scale, "bucket": bucket, "times": times})
        self._keep(_added_up(table.filter(compute.greater(times, 0))))

    def by_slot(self) -> dict[int, SlotSketch]:
        """What was added, by slot."""
        if self._kept:
            table = _added_up(pyarrow.concat_tables(self._kept))
            for slot, scale, bucket, times in zip(*(column.to_pylist() for column in table.columns), strict=True):
                self._found[slot].counts[scale, bucket] = times
            self._kept, self._kept_rows = [], 0
        return self._found

    def _keep(self, table: Any) -> None:
        self._kept.append(table)
        self._kept_rows += len(table)
        if self._kept_rows > KEPT_ROWS:
            self._kept = [_added_up(pyarrow.concat_tables(self._kept))]
            # What is left may be as much; it is added up again when it has doubled.
            self._kept_rows = 0

    def _add_ends(self, batch: Any, slot: Array, window: Array) -> None:
        columns = {"slot": slot, "count": whole_numbers(batch, "count"), "zero": whole_numbers(batch, "zero_count")}
        columns |= {name: whole_numbers(batch, name) for name in ("sum", "min", "max", "keys")}
        # Summed is the largest only, so the least is the largest of its opposite.
        columns["below"] = compute.negate(columns.pop("min"))
        columns["largest_sum"] = columns["sum"]
        for row in summed(pyarrow.table(columns), ["slot"], ["count", "zero", "sum"], ("below", "max", "keys", "largest_sum")):
            found = self._found.setdefault(row["slot"], SlotSketch({}, Ends(), set()))
            found.keys = max(found.keys, row["keys"] or 1)
            if row["count"]:
                is_summed = row["largest_sum"] < VALUE_MAX
                found.ends.take(Ends(row["count"], row["zero"], row["sum"], -row["below"], row["max"], is_summed))
        pairs = pyarrow.table({"slot": slot, "window": window}).group_by(["slot", "window"], use_threads=False).aggregate([])
        for number, index in zip(pairs["slot"].to_pylist(), pairs["window"].to_pylist(), strict=True):
            self._found[number].windows.add(index)


def _lists(batch: Any) -> Array:
    """Column `counts` as lists of whole numbers."""
    kind = pyarrow.list_(pyarrow.int64())
    if "counts" not in batch.schema.names:
        return pyarrow.nulls(len(batch), kind)
    column = batch.column("counts")
    try:
        return column if column.type.equals(kind) else column.cast(kind)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        return pyarrow.nulls(len(batch), kind)


def _list_sums(lists: Array) -> tuple[Array, Array, Array]:
    """For each row the sum of its counts, the least, and how many are null. *Range:* larger than a count can be where they are."""
    parent, flat = compute.list_parent_indices(lists), compute.list_flatten(lists)
    bounded = compute.min_element_wise(flat, _COUNT_MAX, skip_nulls=False)
    table = pyarrow.table({"row": parent.cast(pyarrow.int64()), "n": bounded, "null": compute.is_null(flat).cast(pyarrow.int64())})
    found = table.group_by("row", use_threads=False).aggregate([("n", "sum"), ("n", "min"), ("null", "sum")])
    place = compute.index_in(counting(len(lists)), value_set=found["row"])
    return tuple(compute.fill_null(compute.take(found[name].combine_chunks(), place), 0) for name in ("n_sum", "n_min", "null_sum"))


def _bucket_checks(batch: Any, counted: Array) -> list[Array]:
    """What must be true of the buckets of rows that count so many values above 0."""
    scale, first = whole_numbers(batch, "scale"), whole_numbers(batch, "first_bucket")
    lists = _lists(batch)
    length = compute.fill_null(compute.list_value_length(lists), 0).cast(pyarrow.int64())
    per_row, least_count, nulls = _list_sums(lists)
    shift = compute.subtract(SCALE, compute.min_element_wise(compute.max_element_wise(scale, SCALE_MIN), SCALE))
    last, lowest = (
        compute.shift_right(pyarrow.repeat(pyarrow.scalar(index, pyarrow.int64()), len(batch)), shift)
        for index in (_INDEX_BEHIND - 1, -1)
    )
    is_inside = compute.and_(
        compute.greater_equal(first, lowest), compute.less_equal(first, compute.subtract(compute.add(last, 1), length))
    )
    return [
        compute.is_valid(lists),
        compute.equal(nulls, 0),
        compute.and_(compute.greater_equal(scale, SCALE_MIN), compute.less_equal(scale, SCALE)),
        compute.greater_equal(least_count, 0),
        compute.equal(counted, per_row),
        compute.or_(compute.equal(length, 0), is_inside),
    ]


def _is_empty(total: Array, least: Array, most: Array) -> Array:
    return compute.and_kleene(compute.equal(total, 0), compute.and_(compute.is_null(least), compute.is_null(most)))


def _has_ends(count: Array, total: Array, least: Array, most: Array) -> Array:
    """Whether the sum lies between those of the ends."""
    many, whole = floats(count), floats(total)
    lowest = compute.min_element_wise(compute.multiply(many, floats(least)), float(VALUE_MAX))
    highest = compute.multiply(many, floats(most))
    is_summed = compute.and_kleene(
        compute.greater_equal(whole, compute.multiply(lowest, 1 - _NEARLY)),
        compute.less_equal(whole, compute.add(compute.multiply(highest, 1 + _NEARLY), _NEARLY)),
    )
    is_ordered = compute.and_kleene(compute.greater_equal(least, 0), compute.less_equal(least, most))
    return compute.and_kleene(is_summed, is_ordered)


def _added_up(table: Any) -> Any:
    found = table.group_by(["slot", "scale", "bucket"], use_threads=False).aggregate([("times", "sum")])
    return found.rename_columns(["slot", "scale", "bucket", "times"])
