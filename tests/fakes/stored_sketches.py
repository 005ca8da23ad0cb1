"""Rows of table `process_sketch` as the process sampler writes them."""

from collections.abc import Iterable

from fakes.stored_data import row_of
from msgspec.structs import asdict

from agent.model.sketch import BUCKETS_MAX, Sketch
from agent.model.table import Row
from agent.model.timebase import S
from agent.store.record import form_of
from workers.process.schema import PROCESS_SKETCH

SKETCH_FORM = form_of(PROCESS_SKETCH)
WINDOW_NS = 60 * S


def sketch_row(
    window_start: int,
    values: Iterable[int],
    *,
    metric: str = "cpu",
    key: tuple[str | None, str | None] = ("u-web", "nginx"),
    ticks: int = 60,
    keys: int = 1,
    buckets_max: int = BUCKETS_MAX,
) -> Row:
    """The row of one window that counts these values, written a second after the window."""
    sketch = Sketch(buckets_max)
    for value in values:
        sketch.add(value)
    return row_of(
        PROCESS_SKETCH,
        {
            "timestamp": window_start + WINDOW_NS + S,
            "window_start": window_start,
            "window_ns": WINDOW_NS,
            "pod_uid": key[0],
            "command": key[1],
            "metric": metric,
            "ticks": ticks,
            **asdict(sketch.to_columns()),
            "keys": keys,
        },
    )
