"""The SQL macros give what the sketch itself gives, over any rows and scales."""

import random
from collections.abc import Iterator, Sequence

import duckdb
import pytest
from fakes.stored_sketches import WINDOW_NS, sketch_row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli.query_sketch import SKETCH_MACROS, WORD
from agent.cli.query_view import sql_columns
from agent.model.sketch import BUCKETS_MAX, Sketch, merged, relative_error
from workers.process.schema import PROCESS_SKETCH

PARTS = (0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
VALUES = st.lists(st.one_of(st.integers(0, 100), st.integers(0, 1 << 57)), min_size=1, max_size=30)


class Stored:
    """A table of sketches, and the same sketches beside it."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:")
        for macro in SKETCH_MACROS:
            self.connection.execute(macro)
        columns = ", ".join(f'"{name}" {dtype}' for name, dtype in sql_columns(PROCESS_SKETCH))
        self.connection.execute(f"CREATE TABLE process_sketch ({columns})")

    def store(self, lists: Sequence[Sequence[int]], limits: Sequence[int]) -> Sketch:
        """Store a row for each list, under this limit of buckets; all of them in one sketch."""
        self.connection.execute("DELETE FROM process_sketch")
        sketches = []
        for number, (values, limit) in enumerate(zip(lists, limits, strict=True)):
            row = (*sketch_row(number * WINDOW_NS, values, buckets_max=limit), "host")
            self.connection.execute(f"INSERT INTO process_sketch VALUES ({', '.join('?' * len(row))})", row)
            sketch = Sketch(limit)
            sketch.add_all(values)
            sketches.append(sketch)
        return merged(sketches)

    def quantile(self, part: float) -> float | None:
        (row,) = self.connection.execute("SELECT sketch_quantile(list(s), ?) FROM process_sketch s", [part]).fetchall()
        found: float | None = row[0]
        return found


@pytest.fixture(scope="module")
def stored() -> Iterator[Stored]:
    found = Stored()
    yield found
    found.connection.close()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lists=st.lists(VALUES, min_size=1, max_size=4), chance=st.randoms(use_true_random=False))
def test_quantiles_are_those_of_the_merged_sketch(stored: Stored, lists: list[list[int]], chance: random.Random) -> None:
    """Also of rows with different scales, zeros and the largest values."""
    sketch = stored.store(lists, [chance.choice([BUCKETS_MAX, 20, 8]) for _ in lists])
    for part in PARTS:
        assert stored.quantile(part) == pytest.approx(sketch.quantile(part), rel=1e-9)


def test_each_group_has_its_own(stored: Stored) -> None:
    """As any aggregate, with conditions and other aggregates beside it."""
    stored.store([[10, 20, 30], [0, 0, 5], [7_000_000]], [BUCKETS_MAX] * 3)
    rows = stored.connection.execute(
        "SELECT * FROM (SELECT window_start, sketch_quantile(list(s), 1) AS most, sum(s.count) FROM process_sketch s"
        " WHERE metric = 'cpu' GROUP BY window_start) WHERE most < 1000 ORDER BY 1"
    ).fetchall()
    assert rows == [(0, 30.0, 3), (WINDOW_NS, 5.0, 3)]


def test_the_alias_of_the_table_is_any_name(stored: Stored) -> None:
    """Also one of a macro's own, or the table's."""
    stored.store([[10, 20, 30]], [BUCKETS_MAX])
    for alias in ("process_sketch", "sketches", "number", "s", "q", "value", "rank", "last"):
        ((found,),) = stored.connection.execute(
            f"SELECT sketch_quantile(list({alias}), 0.5) FROM process_sketch {alias}"
        ).fetchall()
        assert found == pytest.approx(20, rel=0.0055)


def test_a_single_row_is_a_list_of_one(stored: Stored) -> None:
    """Without a group."""
    stored.store([[10, 20, 30], [5, 5, 5]], [BUCKETS_MAX] * 2)
    rows = stored.connection.execute("SELECT sketch_quantile([s], 0.5) FROM process_sketch s ORDER BY window_start").fetchall()
    assert [row[0] for row in rows] == [pytest.approx(20, rel=0.0055), 5.0]


def test_no_rows_have_no_quantile(stored: Stored) -> None:
    """Null, and no failure."""
    stored.store([[1]], [BUCKETS_MAX])
    query = "SELECT sketch_quantile(list(s), 0.5), sketch_error(list(s)) FROM process_sketch s WHERE command = 'none'"
    assert stored.connection.execute(query).fetchall() == [(None, None)]


@pytest.mark.parametrize("part", [-0.1, 50])
def test_a_part_outside_of_0_to_1_is_refused(stored: Stored, part: float) -> None:
    """It says so."""
    stored.store([[1]], [BUCKETS_MAX])
    with pytest.raises(duckdb.Error, match="between 0 and 1"):
        stored.quantile(part)


def test_the_error_is_that_of_the_coarsest_row(stored: Stored) -> None:
    """As a part of the value."""
    stored.store([[1], [1 << power for power in range(0, 60, 2)]], [BUCKETS_MAX, 16])
    ((found,),) = stored.connection.execute("SELECT sketch_error(list(s)) FROM process_sketch s").fetchall()
    assert found == relative_error(-2)


def test_a_thousand_wide_rows_are_merged_in_a_moment(stored: Stored) -> None:
    """Its time grows with the number of buckets, and not with the square of it: that would be half a minute."""
    chance = random.Random(1)
    sketch = stored.store([[int(chance.lognormvariate(14, 2)) for _ in range(100)] for _ in range(400)], [BUCKETS_MAX] * 400)
    assert stored.quantile(0.99) == pytest.approx(sketch.quantile(0.99), rel=1e-9)


def test_every_macro_has_the_word_that_asks_for_it() -> None:
    """A statement without it needs none."""
    assert all(WORD in macro for macro in SKETCH_MACROS)
