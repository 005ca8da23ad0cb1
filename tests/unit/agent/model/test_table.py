"""Tables name their files and describe their columns."""

import pytest

from agent.model.column_type import DType
from agent.model.fleet_tables import FLEET_TABLES
from agent.model.table import Table
from agent.model.tables import SYSTEM_TABLES


def test_files_of_a_table_begin_with_its_name_unless_it_says_otherwise() -> None:
    """`file_prefix` wins over the name."""
    assert Table("example", 1, "", (), ()).prefix == "example-"
    assert Table("t", 1, "", (), (), file_prefix="other-").prefix == "other-"


@pytest.mark.parametrize("table", [*SYSTEM_TABLES, *FLEET_TABLES], ids=lambda table: table.name)
def test_tables_are_whole(table: Table) -> None:
    """Column names are unique, key columns exist, everything is described, numbers have a unit."""
    names = table.column_names
    assert len(set(names)) == len(names)
    assert set(table.key) <= set(names)
    assert all(column.about and column.source for column in table.columns)
    assert all(column.unit for column in table.columns if column.dtype in (DType.INT64, DType.FLOAT64))
