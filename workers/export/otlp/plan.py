"""How the rows of one table, as one segment declares its columns, become points, histograms and log records. PURE."""

from collections.abc import Callable, Sequence
from operator import itemgetter

from msgspec.structs import replace

from agent.model.column_type import DType
from agent.model.row_check import INT64_MAX
from agent.model.table import Row, Value
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder
from workers.export.names import Names
from workers.export.otlp.column_map import Dimension, Logged, Meaning, MetricKind, OptionalTag, Point, Role, TableMap, ValueForm
from workers.export.otlp.entity import CACHED_MAX, EntityCache, is_of_entity
from workers.export.otlp.metric import MetricHead, PreparedPoint, metric_head, prepared_point
from workers.export.otlp.wire import AttributeValue, attributes

_WHOLE_ROLES = (Role.TIME, Role.ELAPSED, Role.START_TICKS)
_NUMBERS = (DType.INT64, DType.FLOAT64, DType.BOOL)
_Picker = Callable[[Row], tuple[Value, ...]]


def _picker(places: Sequence[int]) -> _Picker:
    """Takes the values of these columns out of a row."""
    if not places:
        return lambda _row: ()
    if len(places) == 1:
        place = places[0]
        return lambda row: (row[place],)
    return itemgetter(*places)


class TablePlan:
    """Made once for a table and the columns that a segment declares for it. Columns that nobody knows are passed over."""

    def __init__(self, mapped: TableMap, form: TableForm, names: Names, options: frozenset[str]) -> None:
        self.map = mapped
        self.form = form
        self.decoder = RowDecoder(form)
        found = [
            (place, name, meaning)
            for place, name in enumerate(form.names)
            for meaning in mapped.meanings(name)
            # A segment of another version may have a column of this name with other values.
            if not isinstance(meaning, Point) or form.dtypes[place] in _NUMBERS
            if not isinstance(meaning, OptionalTag) or meaning.option in options
        ]
        self._points = [(place, _fitting(meaning, form.dtypes[place])) for place, _, meaning in found if isinstance(meaning, Point)]
        found = [each for each in found if each[2] not in _WHOLE_ROLES or form.dtypes[each[0]] == DType.INT64]
        self.time = _place_of(found, Role.TIME)
        self.elapsed = _place_of(found, Role.ELAPSED)
        self.start_ticks = _place_of(found, Role.START_TICKS)
        self.rate_of = self._rate_places(form)
        entity = [(place, meaning) for place, _, meaning in found if is_of_entity(meaning, options)]
        self.identity = _picker([place for place, _ in entity])
        self.entities = EntityCache([meaning for _, meaning in entity], names)
        dimensions = [(place, meaning.name) for place, _, meaning in found if isinstance(meaning, Dimension)]
        self.dimensions = _picker([place for place, _ in dimensions])
        self._dimension_names = tuple(name for _, name in dimensions)
        self.logged = tuple((place, meaning.name) for place, _, meaning in found if isinstance(meaning, Logged))
        self.heads, self._slots = _heads(self._points)
        self._prepared: dict[tuple[Value, ...], tuple[tuple[PreparedPoint, ...], ...]] = {}

    def points(self, row: Row, variant: int) -> tuple[PreparedPoint, ...]:
        """The points that a row may have, for this variant of its names."""
        values = self.dimensions(row)
        found = self._prepared.get(values)
        if found is None:
            if len(self._prepared) >= CACHED_MAX:
                self._prepared.clear()
            encoded = attributes(7, self.dimension_pairs(values))
            found = self._prepared[values] = tuple(
                tuple(
                    prepared_point(place, self._slots[_name_of(point, variant), point.unit, point.kind], point, encoded)
                    for place, point in self._points
                )
                for variant in range(3)
            )
        return found[variant]

    def dimension_pairs(self, values: tuple[Value, ...]) -> list[tuple[str, AttributeValue]]:
        """The attributes of points that these values are. *Absent:* null ones."""
        pairs = zip(self._dimension_names, values, strict=True)
        return [(name, value) for name, value in pairs if isinstance(value, str | int | float)]

    def elapsed_of(self, rows: Sequence[Row]) -> int | None:
        """The time since the rows before, of rows of one moment, from a sum and its rate; None: no row says it."""
        if self.rate_of is None:
            return None
        total, rate = self.rate_of
        for row in rows:
            amount, share = row[total], row[rate]
            if isinstance(amount, int) and isinstance(share, float) and amount > 0 and share > 0:
                elapsed = amount / share
                return round(elapsed) if elapsed < INT64_MAX else None
        return None

    def _rate_places(self, form: TableForm) -> tuple[int, int] | None:
        wanted = self.map.rate_of
        if wanted is None or not set(wanted) <= set(form.names):
            return None
        return form.names.index(wanted[0]), form.names.index(wanted[1])


def _fitting(point: Point, dtype: str) -> Point:
    """The point of a column that holds fractions where this version has whole numbers."""
    if dtype == DType.FLOAT64 and point.form is ValueForm.WHOLE:
        return replace(point, form=ValueForm.FRACTION)
    return point


def _place_of(found: Sequence[tuple[int, str, Meaning]], role: Role) -> int | None:
    return next((place for place, _, meaning in found if meaning is role), None)


def _name_of(point: Point, variant: int) -> str:
    return point.names[variant] if len(point.names) > 1 else point.names[0]


def _heads(points: Sequence[tuple[int, Point]]) -> tuple[list[MetricHead], dict[tuple[str, str, MetricKind], int]]:
    """Every metric that the rows may have points of, and where in that list each one is."""
    heads: list[MetricHead] = []
    slots: dict[tuple[str, str, MetricKind], int] = {}
    for _, point in points:
        for name in point.names:
            key = (name, point.unit, point.kind)
            if key not in slots:
                slots[key] = len(heads)
                heads.append(metric_head(*key))
    return heads, slots
