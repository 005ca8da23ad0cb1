"""docs/events.md has every kind of the catalogue. Run as a program it writes the tables of the page."""

from collections.abc import Iterable
from pathlib import Path

from agent.model.event_catalogue import KINDS
from agent.model.event_kind import ALIASES, CataloguedKind, EventForm

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
MARK = "<!-- tables of the catalogue -->"


def tables() -> str:
    """The tables, as the catalogue says."""
    return "\n".join(
        [
            "## Other names",
            "",
            "| name | means |",
            "|---|---|",
            *(f"| {name} | {_meaning(name)} |" for name in ALIASES),
            "",
            "## Conditions",
            "",
            "| kind | severity | what it means | what to do | normal |",
            "|---|---|---|---|---|",
            *_lines(kind for kind in KINDS.values() if kind.form is EventForm.CONDITION),
            "",
            "## Events",
            "",
            "| kind | severity | what it means | what to do | normal |",
            "|---|---|---|---|---|",
            *_lines(kind for kind in KINDS.values() if kind.form is EventForm.EVENT),
            "",
        ]
    )


def _meaning(name: str) -> str:
    alias = ALIASES[name]
    return f"`{alias.kind}`" if alias.phase is None else f"phase `{alias.phase}` of `{alias.kind}`"


def _lines(kinds: Iterable[CataloguedKind]) -> list[str]:
    found = sorted(kinds, key=lambda kind: kind.name)
    return [f"| `{each.name}` | {each.severity} | {each.about} | {each.remedy} | {each.normal} |" for each in found]


def test_the_page_has_the_catalogue() -> None:
    """A change of a kind is followed by `PYTHONPATH=. python tests/architecture/test_event_document.py`."""
    _head, mark, rest = PAGE.read_text().partition(MARK)
    assert mark, "the page has no mark for its tables"
    assert rest.strip() == tables().strip()


if __name__ == "__main__":
    before, _, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(f"{before}{MARK}\n\n{tables()}")
