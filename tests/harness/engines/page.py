"""The blocks of the pages in docs/engines, and the statements in them."""

import re
from pathlib import Path

PAGES = Path(__file__).parents[3] / "docs" / "engines"
# `<!-- name.sql -->` stands before a block.
_BLOCK = re.compile(r"^<!-- (.+?) -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks_of(page: str) -> dict[str, str]:
    """The named blocks of a page, by their names, in order. A name occurs once."""
    found = _BLOCK.findall((PAGES / page).read_text())
    names = [name for name, _ in found]
    assert sorted(set(names)) == sorted(names), f"{page} has two blocks of one name: {names}"
    return dict(found)


def statements_of(block: str) -> list[str]:
    """The statements of a block. None of ours has a semicolon within."""
    return [statement.strip() for statement in block.split(";") if statement.strip()]
