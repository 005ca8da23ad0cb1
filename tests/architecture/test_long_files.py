"""Which files of tests begin first."""

from pathlib import Path

from harness.long_files import LONG

TESTS = Path(__file__).parents[1]


def test_each_long_file_is_there() -> None:
    """A name that is wrong would put no file first."""
    assert [name for name in LONG if not (TESTS / name).is_file()] == []
