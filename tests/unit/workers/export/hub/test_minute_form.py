"""Which columns of stored rows minutes are made of, whatever version wrote the rows."""

import pytest

from agent.model.column_type import DType
from agent.model.table import Table
from agent.store.record import TableForm, form_of
from workers.export.hub.minute_form import HEAD_COLUMNS, MINUTE_FORMS, reader_of
from workers.host.schema import HOST
from workers.unit.schema import UNIT

SOURCES = {"unit": UNIT, "host": HOST}


@pytest.mark.parametrize("name", MINUTE_FORMS)
def test_a_reader_gives_the_sources_in_their_order(name: str) -> None:
    """Of a row of today; what such rows do not have is null."""
    table, form = SOURCES[name], MINUTE_FORMS[name]
    row = tuple(table.column_names)
    values = reader_of(form, form_of(table))(row)
    assert values == tuple(source if source in table.column_names else None for source in form.sources)
    assert values[: len(HEAD_COLUMNS)].count(None) == (0 if form.has_units else 4)


@pytest.mark.parametrize("name", MINUTE_FORMS)
def test_every_column_of_a_minute_names_its_source(name: str) -> None:
    """As its declaration says: a column of the source's table."""
    table, form = SOURCES[name], MINUTE_FORMS[name]
    by_name = {column.name: column for column in form.table.columns}
    for column in (*form.sums, *form.lasts):
        assert by_name[column].source == f"{name}.{column}"
        assert by_name[column].dtype == _column(table, column)
        assert by_name[column].nullable
    for column, source in (*form.most, *form.least):
        assert by_name[column].source == f"{name}.{source}"
        assert by_name[column].dtype == _column(table, source)


def _column(table: Table, name: str) -> DType:
    return next(column.dtype for column in table.columns if column.name == name)


def test_a_column_of_another_type_is_null() -> None:
    """Only a whole number may stand for a fraction, and not the other way round."""
    form = MINUTE_FORMS["unit"]
    stored = TableForm(9, ("cpu_ns", "cpu_limit_cores", "timestamp", "new"), ("double", "int64", "int64", "utf8"), "unit-")
    values = dict(zip(form.sources, reader_of(form, stored)((1.5, 2, 3, "x")), strict=True))
    assert {name: value for name, value in values.items() if value is not None} == {"cpu_limit_cores": 2, "timestamp": 3}
