"""Each page of docs/decisions says at its end which goals it touches: they are the deviations that a report names."""

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "decisions").glob("[0-9]*.md"))
GOALS = re.compile(r"Goals: (?:none|G-(?:10|[1-9])(?:, G-(?:10|[1-9]))*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_last_line_names_the_goals(page: Path) -> None:
    """`Goals: G-2, G-5`, or `Goals: none`, each goal once."""
    last = page.read_text().splitlines()[-1]
    assert GOALS.fullmatch(last)
    named = re.findall(r"G-\d+", last)
    assert len(set(named)) == len(named)
