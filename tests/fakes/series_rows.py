"""Batches of rows for series, and what the series are, as plain values."""

from typing import Any

from fakes.known_names import KnownNames
from fakes.stored_batch import stored

from agent.model.sketch import Sketch
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from workers.export.series.table import SeriesTable
from workers.process.schema import PROCESS, PROCESS_SKETCH
from workers.unit.schema import UNIT

BEGIN_NS = 1_700_000_000 * S


def at(seconds: float) -> int:
    """So long after the first row."""
    return BEGIN_NS + int(seconds * S)


def unit_batch(seconds: float, *units: str, kind: str = "service", **columns: Any) -> StoredBatch:
    """One row of each unit."""
    head: dict[str, Any] = {"timestamp": at(seconds), "kind": kind, "cgroup": "/x", "is_final": False, "elapsed_ns": S}
    return stored(UNIT, [head | {"unit": unit} | columns for unit in units])


def process_batch(seconds: float, *rows: tuple[str, int, int, int, int]) -> StoredBatch:
    """Rows of (command, pid, CPU ns, resident bytes, bytes written)."""
    head: dict[str, Any] = {"timestamp": at(seconds), "start_ticks": 1, "state": "R", "chosen_for": "cpu"}
    names = ("comm", "pid", "cpu_ns", "rss_bytes", "write_bytes")
    return stored(PROCESS, [head | dict(zip(names, row, strict=True)) for row in rows])


def sketch_batch(seconds: float, unit: str | None, command: str | None, metric: str, values: list[int]) -> StoredBatch:
    """The sketch of these values."""
    sketch = Sketch()
    sketch.add_all(values)
    found = sketch.to_columns()
    row: dict[str, Any] = {name: getattr(found, name) for name in found.__struct_fields__}
    row |= {"timestamp": at(seconds), "window_start": at(seconds - 60), "window_ns": 60 * S, "ticks": 60, "keys": 1}
    return stored(PROCESS_SKETCH, [row | {"pod_uid": unit, "command": command, "metric": metric}])


def made(series_max: int = 10_000, names: KnownNames | None = None, **options: Any) -> SeriesTable:
    """A table of series."""
    return SeriesTable(names or KnownNames(), series_max=series_max, **options)


def shown(table: SeriesTable, name: str) -> dict[str, Any]:
    """The samples of a family, by their labels as text; fixed labels first."""
    found = {}
    for family in table.families():
        if family.metric.name == name:
            for tracked, metric, value in family.samples:
                labels = [f'{label}="{text}"' for label, text in metric.labels]
                found[",".join([*labels, *filter(None, [tracked.labels.text])])] = value
    return found
