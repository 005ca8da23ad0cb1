"""The page that tells what the emulator does not follow."""

from pathlib import Path

from workers.resctrl.emulator.emulation import DEVIATIONS

PAGE = Path(__file__).parents[2] / "docs" / "resctrl-conformance.md"


def test_every_deviation_of_the_emulation_is_on_the_page() -> None:
    """Word for word, wherever its lines break."""
    page = " ".join(PAGE.read_text().split())
    missing = [deviation for deviation in DEVIATIONS if " ".join(deviation.split()) not in page]
    assert missing == []


def test_every_file_of_cases_is_on_the_page() -> None:
    """By its name without `test_`, and no other is."""
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    told = {name.strip().strip("`") for row in rows for name in row.split(",")}
    found = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert told == found
