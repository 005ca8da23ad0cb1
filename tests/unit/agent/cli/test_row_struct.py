"""A struct takes from a row what fits it, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from agent.cli.row_struct import struct_of
from agent.cli.top_sample import Named


class Gauge(Struct, frozen=True):
    """All the types that columns have."""

    device: str
    count: int | None = None
    ratio: float | None = None
    is_up: bool | None = None
    deaths: int = 1


VALUES = st.none() | st.integers() | st.floats(allow_nan=False) | st.text() | st.booleans() | st.binary() | st.lists(st.integers())


def test_a_struct_has_the_columns_of_its_row() -> None:
    """Each under its name; a whole number is a ratio too."""
    row: Named = {"device": "sda", "count": 5, "ratio": 1, "is_up": True, "deaths": 3, "unknown": 7}
    assert Gauge("sda", 5, 1.0, True, 3) == struct_of(Gauge, row)
    assert isinstance(struct_of(Gauge, row).ratio, float)


def test_a_name_that_others_chose_is_safe_to_print() -> None:
    """An interface may be called almost anything."""
    assert Gauge(r"eth\x1b0") == struct_of(Gauge, {"device": "eth\x1b0"})


def test_a_missing_column_or_another_type_is_absent() -> None:
    """A truth value is no count, a text no number."""
    assert Gauge("") == struct_of(Gauge, {})
    assert Gauge("") == struct_of(Gauge, {"device": 5, "count": True, "ratio": "1", "is_up": 1, "deaths": None})


@given(st.dictionaries(st.sampled_from(["device", "count", "ratio", "is_up", "deaths"]), VALUES))
def test_any_row_gives_a_struct_of_the_declared_types(row: Named) -> None:
    """Whatever a file holds."""
    gauge = struct_of(Gauge, row)
    assert isinstance(gauge.device, str)
    assert gauge.count is None or type(gauge.count) is int
    assert gauge.ratio is None or type(gauge.ratio) is float
    assert gauge.is_up is None or type(gauge.is_up) is bool
    assert type(gauge.deaths) is int
