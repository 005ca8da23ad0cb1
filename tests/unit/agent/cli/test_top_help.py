"""The help pages of `agentctl top`."""

from pathlib import Path

import pytest

from agent.cli.top_columns import COLUMNS_OF_SORT
from agent.cli.top_help import occupancy_help, process_help, unit_help
from agent.cli.top_style import Line, plain
from agent.cli.unit_columns import UNIT_SORTS
from agent.cli.width import display_width

DOCUMENT = Path(__file__).parents[4] / "docs" / "top.md"


@pytest.mark.parametrize("lines", [process_help(), occupancy_help(), unit_help()], ids=["processes", "occupancy", "units"])
def test_a_page_fits_on_a_terminal_of_80_by_24(lines: list[Line]) -> None:
    """Help cannot be scrolled."""
    assert len(lines) <= 24
    assert max(display_width(plain(line)) for line in lines) <= 80


def test_the_page_has_a_key_for_each_order() -> None:
    """A further order gets its key here."""
    (line,) = [plain(line) for line in process_help() if "by CPU" in plain(line)]
    keys, _, orders = line.partition("by ")
    assert len(keys.split()) == len(orders.split(", ")) == len(COLUMNS_OF_SORT)


def test_the_page_of_units_has_a_key_for_each_order() -> None:
    """As many keys as orders, and docs/top.md has the same."""
    (line,) = [plain(line) for line in unit_help() if "by CPU" in plain(line)]
    keys, _, orders = line.partition("by ")
    assert len(keys.split()) == len(orders.split(", ")) == len(UNIT_SORTS)
    assert f"| {' '.join(f'`{key}`' for key in keys.split())} |" in DOCUMENT.read_text()


def test_the_document_has_the_same_keys_for_orders() -> None:
    """Help and docs/top.md never name different ones."""
    (line,) = [plain(line) for line in process_help() if "by CPU" in plain(line)]
    (row,) = [row for row in DOCUMENT.read_text().splitlines() if "order by CPU" in row]
    assert [word.strip("`") for word in row.split("|")[1].split()] == line.partition("by ")[0].split()
