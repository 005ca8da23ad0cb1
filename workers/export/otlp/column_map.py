"""What a column is in OTLP: the words in which a table of conventions is written. PURE."""

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct


class MetricKind(Enum):
    """How the values of a metric follow each other.

    GAUGE: a value at a moment. DELTA: a monotonic sum since the start of its point. TOTAL: a monotonic sum since the beginning of
    its entity. LEVEL: an up-down counter, that is a non-monotonic sum.
    """

    GAUGE = 0
    DELTA = 1
    TOTAL = 2
    LEVEL = 3


class ValueForm(Enum):
    """How a value is written. WHOLE: as the integer that it is. SECONDS: nanoseconds as seconds. FRACTION: a double.

    MILLI: thousandths as a double, as of milliwatts.
    """

    WHOLE = 0
    SECONDS = 1
    FRACTION = 2
    MILLI = 3


class Role(Enum):
    """A column that says what the values of its row are about."""

    TIME = "the time of the points"
    ELAPSED = "their start_time is so long before their time"
    UNIT = "k8s.pod.uid, or evergauge.unit for what is no pod"
    UNIT_KIND = "evergauge.unit.kind, and which names the metrics have"
    CONTAINER = "container.id, and k8s.container.name where it is known"
    NAMESPACE = "k8s.namespace.name"
    POD_NAME = "k8s.pod.name"
    START_TICKS = "evergauge.process.start_ticks, and the start_time of totals"


class Tag(Struct, frozen=True):
    """An attribute of the resource that the row is about."""

    name: str


class OptionalTag(Struct, frozen=True):
    """One that is sent only where an option of the sink says so."""

    name: str
    option: str


class Dimension(Struct, frozen=True):
    """An attribute of each point of the row."""

    name: str


class Point(Struct, frozen=True):
    """A point of a metric. `names`: one for all rows; or three: of a pod, of a container, of another unit.

    `attributes` are those of this point alone, such as `disk.io.direction`.
    """

    names: tuple[str, ...]
    unit: str
    kind: MetricKind
    form: ValueForm = ValueForm.WHOLE
    attributes: tuple[tuple[str, str], ...] = ()


class Logged(Struct, frozen=True):
    """An attribute of the row's log record."""

    name: str


class NotSent(Struct, frozen=True):
    """A column that OTLP does not get, and why."""

    reason: str


Meaning = Role | Tag | OptionalTag | Dimension | Point | Logged | NotSent


class SketchMap(Struct, frozen=True):
    """A table whose rows are sketches. `names`: by the word in column `metric`, name and unit."""

    names: Mapping[str, tuple[str, str]]
    other: str = "evergauge.process.distribution"


class RecordMap(Struct, frozen=True):
    """A table whose rows are log records too. `name`: the event's name, or its beginning where `column` says the rest.

    `only_with`: rows whose column of this name is null are none. `warnings`: words of `column` that are warnings; the others are
    information. `is_warning`: all are.
    """

    name: str
    column: str = ""
    only_with: str = ""
    warnings: frozenset[str] = frozenset()
    is_warning: bool = False


class TableMap(Struct, frozen=True):
    """One table: the meaning of each of its columns. `rate_of`: two columns whose quotient is the time since the last row.

    `is_whole_host`: its series are known without rows, so that a gap in it can be told in each of them.
    """

    table: str
    columns: Mapping[str, Meaning | tuple[Meaning, ...]]
    record: RecordMap | None = None
    sketch: SketchMap | None = None
    rate_of: tuple[str, str] | None = None
    is_whole_host: bool = False

    def meanings(self, column: str) -> tuple[Meaning, ...]:
        """What a column is; nothing for one that is not known."""
        found = self.columns.get(column, ())
        return found if isinstance(found, tuple) else (found,)

    @property
    def has_points(self) -> bool:
        """Whether its rows are points."""
        return self.sketch is not None or any(isinstance(each, Point) for name in self.columns for each in self.meanings(name))


class Conventions(Struct, frozen=True):
    """All tables by one version of the semantic conventions. `context`: tables that are sent as attributes of others, and why;
    `left_out`: those that are not sent, and why."""

    version: str
    schema_url: str
    tables: Mapping[str, TableMap]
    context: Mapping[str, str]
    left_out: Mapping[str, str] = {}
