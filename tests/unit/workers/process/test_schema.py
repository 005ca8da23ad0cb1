"""The declared tables of the process sampler."""

from workers.process.schema import PROCESS, TABLES


def test_each_table_has_its_key_among_its_columns_and_no_column_twice() -> None:
    """A key of columns that are missing would keep nothing apart."""
    for table in TABLES:
        assert set(table.key) <= set(table.column_names), table.name
        assert len(set(table.column_names)) == len(table.column_names), table.name
        assert table.column_names[0] == "timestamp"


def test_the_parts_of_the_cpu_stand_beside_their_sum() -> None:
    """A reader finds user and system time where the whole is."""
    at = PROCESS.column_names.index("cpu_ns")
    assert PROCESS.column_names[at : at + 3] == ("cpu_ns", "cpu_user_ns", "cpu_system_ns")
