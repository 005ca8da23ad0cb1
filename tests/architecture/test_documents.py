"""Pages that people follow from one to the next: every link leads somewhere, every decision can be found."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = ROOT / "docs" / "decisions"
# `[text](target)`; what leads out of the project is no file.
LINK = re.compile(r"\[[^]\n]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def links(page: Path) -> list[Path]:
    """The files that a page links to."""
    # A badge is made by the site that shows the page.
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target and not target.endswith("/badge.svg")]
    return [(page.parent / target).resolve() for target in targets]


def test_every_link_leads_to_a_file() -> None:
    """A page that was moved takes its links along."""
    assert [f"{page.relative_to(ROOT)} -> {target}" for page in PAGES for target in links(page) if not target.exists()] == []


def test_every_decision_is_in_the_index() -> None:
    """A new page has a line in docs/decisions/README.md; a page that has gone has none."""
    pages = set(DECISIONS.glob("[0-9]*.md"))
    assert {path.name for path in pages ^ set(links(DECISIONS / "README.md"))} == set()


def test_the_index_names_each_decision_once_in_order() -> None:
    """A reader finds a number where it belongs."""
    named = [path.name for path in links(DECISIONS / "README.md")]
    assert named == sorted(set(named))


def test_the_index_has_the_title_of_each_decision() -> None:
    """A title that was changed is changed in both places."""
    lines = (DECISIONS / "README.md").read_text().splitlines()
    shown = [line.partition("): ")[2] for line in lines if line.startswith("- [")]
    titles = [path.read_text().splitlines()[0].partition(". ")[2] for path in sorted(DECISIONS.glob("[0-9]*.md"))]
    assert shown == titles


def test_decision_numbers_are_unique() -> None:
    """`decision 0016` names one page."""
    numbers = [path.name[:4] for path in DECISIONS.glob("[0-9]*.md")]
    assert sorted(set(numbers)) == sorted(numbers)


# Turns of phrase that a reader has to stop at. Plain words say the same: "any process that", "again", "still", "is tested by".
STUMBLING = re.compile(
    r"whoever|\banew\b|all[\s#]+the[\s#]+same\b|the[\s#]+affair[\s#]+of|in[\s#]+the[\s#]+midst|in[\s#]+good[\s#]+order|\bof[\s#]+whom\b"
    r"|\b(?:tells?|told)[\s#]+of\b|\bas[\s#]+ever[.,;]|\bcomes?[\s#]+to[\s#]+be\b|\bcame[\s#]+to[\s#]+be\b|\blest\b|\bnought\b|\bin[\s#]+vain\b",
    re.IGNORECASE,
)


def test_pages_and_source_are_written_in_plain_words() -> None:
    """None of these phrases is in pages, docstrings, comments or names."""
    folders = ("agent", "evergauge", "supervisor", "workers", "scripts", "tests")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
    found = {}
    for path in [*PAGES, *sources]:
        if phrases := STUMBLING.findall(path.read_text()):
            found[str(path.relative_to(ROOT))] = phrases
    assert found == {}
