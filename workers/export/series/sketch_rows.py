"""The newest sketch of each unit, command and metric, from the rows of table `process_sketch`. PURE.

A row is the distribution of one window, and not a sum of all windows so far: a histogram that says so (a gauge histogram) is the
row itself. Adding up windows would hold some hundred buckets of each for good.
"""

from collections.abc import Sequence

from agent.model.sketch import SketchColumns
from agent.model.table import Row
from workers.export.series.catalogue import SKETCH_RANK, SKETCH_TABLE, SKETCHED
from workers.export.series.metric import Metric, View
from workers.export.series.view_state import ViewState

_COLUMNS = (
    "timestamp", "window_ns", "pod_uid", "command", "metric",
    "scale", "relative_error", "zero_count", "count", "sum", "min", "max", "first_bucket", "counts",
)  # fmt: skip


def sketch_views() -> tuple[View, ...]:
    """The view of each metric."""
    return tuple(
        View(
            name=f"sketch_{family.metric}",
            table=SKETCH_TABLE,
            key=("pod_uid", "command"),
            metrics=(Metric(family.histogram, "", "sketch", family.about),),
            rank=SKETCH_RANK,
            labels=(("unit", "pod_uid"), ("command", "command")),
            unit="pod_uid",
        )
        for family in SKETCHED
    )


def take_sketches(names: Sequence[str], rows: Sequence[Row], views: Sequence[ViewState]) -> None:
    """Rows of a table without the columns, and those of metrics that are not known, are passed over."""
    if not set(_COLUMNS) <= set(names):
        return
    places = [names.index(column) for column in _COLUMNS]
    by_metric: dict[object, ViewState] = {family.metric: state for family, state in zip(SKETCHED, views, strict=True)}
    for row in rows:
        at_ns, window_ns, unit, command, metric, *columns = (row[place] for place in places)
        state = by_metric.get(metric)
        if state is not None and columns[4] is not None:
            assert isinstance(at_ns, int)
            assert isinstance(window_ns, int)
            # The types of the columns were checked row by row.
            sketch = SketchColumns(*columns)  # type: ignore[arg-type]
            state.apply((unit, command), at_ns, window_ns, (), (sketch,), is_final=False)
