"""What a metric of stored rows is, as one declaration: which column of which table, under which name, with which labels. PURE."""

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from agent.model.timebase import S

# `grown`: the column has what was added since the last row, and is summed up here. `total`: it is a counter itself. `sketch`: it is
# not one column but a whole `agent.model.sketch.SketchColumns`.
Source = Literal["grown", "total", "value", "sketch"]
MetricKind = Literal["counter", "gauge", "gaugehistogram"]
Pairs = tuple[tuple[str, str], ...]


class Metric(Struct, frozen=True):
    """One column as samples of the family `name`. A value is divided by `per`: nanoseconds by 1e9 are seconds.

    `labels` are fixed ones, which tell the columns of one family apart. *Absent:* a row without the value gives no sample.
    """

    name: str
    column: str
    source: Source
    about: str
    per: int = 1
    labels: Pairs = ()

    @property
    def type(self) -> MetricKind:
        """The type in Prometheus."""
        return _TYPES[self.source]

    @property
    def weight(self) -> int:
        """How many series it is in the budget: in the text formats a sketch is three quantiles."""
        return 3 if self.source == "sketch" else 1


_TYPES: dict[Source, MetricKind] = {"grown": "counter", "total": "counter", "value": "gauge", "sketch": "gaugehistogram"}


class View(Struct, frozen=True):
    """How the rows of one table become series. Rows with the same values in the columns `key` belong to one entity, which has one
    series of each metric.

    `labels`: (label, column of the key); a null column gives `others` if that is not empty, else no label. `unit` and `container`:
    columns of the key with which names of pods and containers are looked up. `where`: only rows whose column is null (False) or
    not (True). `is_final`: the column that says that a row is an entity's last. `is_summed`: several rows of one time add up.
    `is_lasting`: rows come only when something happens, so its series never end. `rank`: what finds room first has the lowest.
    """

    name: str
    table: str
    key: tuple[str, ...]
    metrics: tuple[Metric, ...]
    rank: int
    labels: Pairs = ()
    unit: str = ""
    container: str = ""
    where: tuple[str, bool] | None = None
    is_final: str = ""
    is_summed: bool = False
    is_lasting: bool = False
    others: str = ""

    @property
    def families(self) -> dict[str, list[int]]:
        """The places of the metrics of each family."""
        found: dict[str, list[int]] = {}
        for place, metric in enumerate(self.metrics):
            found.setdefault(metric.name, []).append(place)
        return found


def seconds(name: str, column: str, about: str, **labels: str) -> Metric:
    """A counter in seconds of a column in nanoseconds."""
    return Metric(name, column, "grown", about, S, tuple(labels.items()))


def grown(name: str, column: str, about: str, **labels: str) -> Metric:
    """A counter of a column that says what was added."""
    return Metric(name, column, "grown", about, labels=tuple(labels.items()))


def total(name: str, column: str, about: str, **labels: str) -> Metric:
    """A counter of a column that is one."""
    return Metric(name, column, "total", about, labels=tuple(labels.items()))


def value(name: str, column: str, about: str, *, per: int = 1, **labels: str) -> Metric:
    """A gauge."""
    return Metric(name, column, "value", about, per, tuple(labels.items()))


def by_label(
    make: Callable[..., Metric], name: str, label: str, about: str, columns: Sequence[tuple[str, str]]
) -> tuple[Metric, ...]:
    """One family of several columns: (value of the label, column)."""
    return tuple(make(name, column, about, **{label: word}) for word, column in columns)
