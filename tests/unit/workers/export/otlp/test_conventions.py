"""The table of conventions is whole, agrees with the pinned version, and uses each name for one thing."""

from pathlib import Path

import pytest

from agent.model.column_type import DType
from agent.model.table import Table
from workers.export.otlp.column_map import Dimension, Logged, MetricKind, NotSent, OptionalTag, Point, Tag, ValueForm
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.registry import tables

FIXTURE = Path(__file__).parents[4] / "fixtures" / "semantic-conventions-1.44.0.tsv"
LINES = [line.split("\t") for line in FIXTURE.read_text().splitlines() if not line.startswith("#")]
METRICS = {line[1]: (line[2], line[3], set(filter(None, line[4].split(",")))) for line in LINES if line[0] == "metric"}
ATTRIBUTES = {
    line[1]: set(line[2].removeprefix("enum:").split(",")) if len(line) > 2 else None for line in LINES if line[0] == "attribute"
}
INSTRUMENTS = {
    MetricKind.GAUGE: "gauge",
    MetricKind.LEVEL: "updowncounter",
    MetricKind.DELTA: "counter",
    MetricKind.TOTAL: "counter",
}
OWN = "evergauge."
POINTS = [
    (mapped.table, column, meaning, name)
    for mapped in CONVENTIONS.tables.values()
    for column in mapped.columns
    for meaning in mapped.meanings(column)
    if isinstance(meaning, Point)
    for name in meaning.names
]


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_every_column_is_mapped_or_left_out_with_a_reason(table: Table) -> None:
    """A column that is added must be placed here, or named with the reason."""
    if table.name in CONVENTIONS.context or table.name in CONVENTIONS.left_out:
        assert {**CONVENTIONS.context, **CONVENTIONS.left_out}[table.name]
        return
    mapped = CONVENTIONS.tables[table.name]
    assert set(mapped.columns) == set(table.column_names)
    for column in table.columns:
        for meaning in mapped.meanings(column.name):
            if isinstance(meaning, NotSent):
                assert len(meaning.reason) > 10
            if isinstance(meaning, Point):
                assert column.dtype in (DType.INT64, DType.FLOAT64, DType.BOOL)
                assert (column.dtype is DType.FLOAT64) == (meaning.form is ValueForm.FRACTION), column.name
                assert len(meaning.names) in (1, 3)
            if isinstance(meaning, Logged):
                assert mapped.record is not None


def test_tables_of_conventions_are_tables() -> None:
    """No table that is gone."""
    assert set(CONVENTIONS.tables) | set(CONVENTIONS.context) | set(CONVENTIONS.left_out) == {table.name for table in tables()}


@pytest.mark.parametrize(("table", "column", "point", "name"), POINTS, ids=lambda value: str(value)[:60])
def test_names_of_the_convention_are_used_as_it_says(table: str, column: str, point: Point, name: str) -> None:
    """Instrument, unit and required attributes; whatever it does not have is in our own namespace."""
    if name.startswith(OWN):
        return
    instrument, unit, required = METRICS[name]
    assert (instrument, unit) == (INSTRUMENTS[point.kind], point.unit)
    dimensions = {
        meaning.name
        for each in CONVENTIONS.tables[table].columns
        for meaning in CONVENTIONS.tables[table].meanings(each)
        if isinstance(meaning, Dimension)
    }
    assert required <= {key for key, _ in point.attributes} | dimensions


def test_attributes_of_the_convention_are_used_as_it_says() -> None:
    """Names that it has, and values that it lists."""
    for _, _, point, _ in POINTS:
        for key, value in point.attributes:
            assert key.startswith(OWN) or value in (ATTRIBUTES[key] or {value})
    for mapped in CONVENTIONS.tables.values():
        for column in mapped.columns:
            for meaning in mapped.meanings(column):
                if isinstance(meaning, Tag | OptionalTag | Dimension | Logged):
                    assert meaning.name.startswith(OWN) or meaning.name in ATTRIBUTES, meaning.name


def test_a_name_has_one_unit_and_one_kind_and_its_points_differ() -> None:
    """Two columns of one row never make the same point."""
    known: dict[str, tuple[str, MetricKind]] = {}
    for _, _, point, name in POINTS:
        assert known.setdefault(name, (point.unit, point.kind)) == (point.unit, point.kind), name
    for mapped in CONVENTIONS.tables.values():
        for variant in range(3):
            points = [each for column in mapped.columns for each in mapped.meanings(column) if isinstance(each, Point)]
            series = [(point.names[variant % len(point.names)], point.attributes) for point in points]
            assert len(series) == len(set(series)), mapped.table
