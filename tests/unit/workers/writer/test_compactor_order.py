"""What a compactor is told: there and back."""

import pytest

from agent.model.errors import MisuseError
from workers.writer.compactor_order import Order, parse_arguments


@pytest.mark.parametrize("gid", [None, 0, 4711])
def test_an_order_comes_as_it_was_sent(gid: int | None) -> None:
    """Whatever stands in the names."""
    order = Order("/state dir", "a-table", "date=2024-01-01", "--prefix", "000000010000abcd", "", gid)
    assert parse_arguments([*order.arguments(), "--parent", "17"]) == ("/state dir", order, 17)


def test_the_state_folder_alone_asks_to_clean_up() -> None:
    """With or without a parent."""
    assert parse_arguments(["/state"]) == ("/state", None, None)
    assert parse_arguments(["/state", "--parent", "17"]) == ("/state", None, 17)


@pytest.mark.parametrize(
    "words",
    [[], ["/state", "table"], ["/state", "table", "date=2024-01-01"], ["/state", "--parent", "x"], ["/state", "--what", "1"]],
)
def test_other_words_are_refused(words: list[str]) -> None:
    """With what would be right."""
    with pytest.raises(MisuseError, match="STATE_DIR"):
        parse_arguments(words)
