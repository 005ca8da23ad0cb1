"""Values of rows as numbers, for tests that calculate with them."""

from agent.model.table import Value


def number_of(value: Value) -> int | float:
    """The number in a column of numbers; 0 where it is absent."""
    assert value is None or isinstance(value, int | float), value
    return value or 0
