"""Rows of process_sketch added up as columns: what one by one would give."""

from random import Random
from typing import Any

import pyarrow
import pytest
from fakes.router_world import COLUMNS
from msgspec.structs import asdict

from agent.model.errors import FormatError
from agent.model.sketch import Sketch, SketchColumns, merged
from agent.router.bucket_rows import SketchRows

FIELDS = SketchColumns.__struct_fields__


def batch_of(rows: list[dict[str, Any]]) -> Any:
    kinds = COLUMNS["process_sketch"]
    return pyarrow.record_batch({name: pyarrow.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()})


def sketches(count: int, drawn: Random) -> list[Sketch]:
    found = []
    for _ in range(count):
        sketch = Sketch(scale=drawn.choice([6, 6, 3, 0]))
        for _ in range(drawn.randrange(30)):
            sketch.add(drawn.choice([0, drawn.randrange(1 << drawn.randrange(1, 50))]))
        found.append(sketch)
    return found


def is_sketch(columns: dict[str, Any]) -> bool:
    try:
        Sketch.from_columns(SketchColumns(**{name: columns[name] for name in FIELDS}))
    except (FormatError, TypeError):
        return False
    return True


def test_rows_are_judged_as_one_by_one() -> None:
    """Every column altered in many ways, and taken away."""
    drawn = Random(3)
    rows: list[dict[str, Any]] = []
    for sketch in sketches(60, drawn):
        columns = asdict(sketch.to_columns())
        rows.append(columns)
        for name in ("scale", "zero_count", "count", "sum", "min", "max", "first_bucket"):
            for change in (-(1 << 62), -1, 1, 1 << 50):
                rows.append({**columns, name: (columns[name] or 0) + change})
            rows.append({**columns, name: None})
        rows += [{**columns, "counts": counts} for counts in (None, [], [1], [*columns["counts"], -1], [*columns["counts"], 0])]
    expected = [is_sketch(row) for row in rows]
    assert SketchRows().are_sketches(batch_of(rows)).to_pylist() == expected
    assert 100 < sum(expected) < len(rows) - 100


def test_without_buckets_the_ends_are_judged() -> None:
    """They are all that is read."""
    good = asdict(sketches(1, Random(4))[0].to_columns())
    light = SketchRows(has_buckets=False)
    assert "counts" not in light.columns
    rows = [good, {**good, "counts": None}, {**good, "sum": -1}, {**good, "zero_count": good["count"] + 1}]
    assert light.are_sketches(batch_of(rows)).to_pylist() == [True, True, False, False]


@pytest.mark.parametrize("seed", range(5))
def test_added_rows_are_the_merged_sketch(seed: int) -> None:
    """For each slot, over several batches, with the windows and keys that they had."""
    drawn = Random(seed)
    rows = SketchRows()
    by_slot: dict[int, list[Sketch]] = {0: [], 1: []}
    for window in range(4):
        made = sketches(6, drawn)
        slots = [drawn.randrange(2) for _ in made]
        for slot, sketch in zip(slots, made, strict=True):
            by_slot[slot].append(sketch)
        batch = batch_of([{**asdict(sketch.to_columns()), "keys": 3} for sketch in made])
        rows.add(batch, pyarrow.array(slots), pyarrow.array([window] * len(made)))
    rows.add(batch_of([]), pyarrow.array([], pyarrow.int64()), pyarrow.array([], pyarrow.int64()))
    for slot, found in rows.by_slot().items():
        whole = merged(by_slot[slot])
        again = Sketch(scale=whole.scale)
        for (scale, bucket), times in found.counts.items():
            again.add_buckets(scale, {bucket: times})
        assert again.buckets == whole.buckets
        ends = found.ends
        assert (ends.count, ends.zero_count, ends.total, ends.most) == (whole.count, whole.zero_count, whole.sum, max(whole.max, 0))
        assert found.keys == 3
        assert found.windows <= {0, 1, 2, 3}
