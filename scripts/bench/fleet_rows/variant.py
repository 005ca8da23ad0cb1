"""The rows of a busier or larger node: CPU and memory doubled some times, so exactly that sketches stay those of the rows.

A doubling moves each value by whole buckets (2^scale of them), and a sum by the same factor. Any other factor would round single
values, and then the sketches would be those of other rows.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.sketch import VALUE_MAX
from agent.model.table import Row, Value
from fleet_rows.recording import SKETCH

CPU = frozenset(
    (
        *("cpu_ns", "cpu_user_ns", "cpu_system_ns", "cpu_total_ns", "cpu_share", "cpu_cores", "cpu_largest_ns", "cpu_dead_ns"),
        "cpu_tail_ns",
    )
)
MEMORY = frozenset(
    (
        *("rss_bytes", "pss_bytes", "rss_largest_bytes", "rss_max_bytes", "memory_current_bytes", "memory_anon_bytes"),
        *("memory_file_bytes", "memory_kernel_bytes", "memory_working_set_bytes", "memory_peak_bytes"),
    )
)


class Variant(Struct, frozen=True):
    """How often CPU and memory are doubled."""

    cpu: int = 0
    memory: int = 0


def varied(table: str, names: Sequence[str], rows: Sequence[Row], variant: Variant) -> list[Row]:
    """The rows with CPU and memory of the variant, all else as it was."""
    if table == SKETCH:
        return [_sketch(names, row, variant) for row in rows]
    doublings = [variant.cpu if name in CPU else variant.memory if name in MEMORY else 0 for name in names]
    if not any(doublings):
        return list(rows)
    return [tuple(map(_doubled, row, doublings)) for row in rows]


def _doubled(value: Value, times: int) -> Value:
    if not times or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return min(value << times, VALUE_MAX)
    return value * (1 << times)


def _sketch(names: Sequence[str], row: Row, variant: Variant) -> Row:
    found = dict(zip(names, row, strict=True))
    times = variant.cpu if found["metric"] == "cpu" else variant.memory
    scale, first = found["scale"], found["first_bucket"]
    assert isinstance(scale, int)
    assert isinstance(first, int)
    assert scale >= 0, "a bucket of so coarse a sketch holds several doublings"
    if found["counts"]:
        found["first_bucket"] = first + (times << scale)
    found |= {name: _doubled(found[name], times) for name in ("min", "max", "sum")}
    return tuple(found.values())
