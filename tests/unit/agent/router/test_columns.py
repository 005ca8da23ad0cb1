"""Columns of known types, whatever a file has in their place."""

import pyarrow

from agent.router.columns import coded, counting, summed, texts, weighted_sum, whole_numbers, window_numbers, with_columns

MAX = (1 << 63) - 1


def test_a_column_of_another_type_is_null_where_it_cannot_be_one() -> None:
    """And one that is not there is null everywhere."""
    batch = pyarrow.record_batch(
        {"n": pyarrow.array([1, None], pyarrow.int32()), "t": pyarrow.array(["a", None]).dictionary_encode(), "l": [[1], [2]]}
    )
    assert whole_numbers(batch, "n").to_pylist() == [1, None]
    assert texts(batch, "t").to_pylist() == ["a", None]
    for name in ("l", "t", "none"):
        assert whole_numbers(batch, name).to_pylist() == [None, None]
    assert texts(batch, "l").to_pylist() == [None, None]


def test_rows_are_numbered_by_their_texts() -> None:
    """Each combination is asked for once; a missing text is one too."""
    asked: list[tuple[str | None, ...]] = []

    def number(parts: tuple[str | None, ...]) -> int:
        asked.append(parts)
        return len(asked) * 10

    first, second = pyarrow.array(["a", "b", None, "a"]), pyarrow.array(["x", None, None, "x"])
    found = coded([first, second], number).to_pylist()
    assert found[0] == found[3]
    assert dict(zip(asked, (10, 20, 30), strict=True)) == {("a", "x"): found[0], ("b", None): found[1], (None, None): found[2]}
    assert len(coded([pyarrow.array([], pyarrow.utf8())], number)) == 0


def test_sums_do_not_run_over() -> None:
    """Those of foreign numbers are as large as they are."""
    table = pyarrow.table({"k": [1, 1, 2], "n": [MAX, MAX, 3], "m": [1, 5, 2]})
    assert summed(table, ["k"], ["n"], ("m",)) == [{"rows": 2, "k": 1, "n": 2 * MAX, "m": 5}, {"rows": 1, "k": 2, "n": 3, "m": 2}]
    assert weighted_sum(pyarrow.array([MAX, 7, 0]), pyarrow.array([1_000_000, 3, 5])) == MAX * 1_000_000 + 21
    assert weighted_sum(pyarrow.array([], pyarrow.int64()), pyarrow.array([], pyarrow.int64())) == 0


def test_times_have_their_minute() -> None:
    """What has none is in the first of all."""
    assert window_numbers(pyarrow.array([0, 59, 60, None, -5]), 60).to_pylist() == [0, 0, 1, 0, 0]
    assert counting(3).to_pylist() == [0, 1, 2]
    assert with_columns(pyarrow.record_batch({"a": [1]}), {"b": pyarrow.array([2])}).to_pylist() == [{"a": 1, "b": 2}]
