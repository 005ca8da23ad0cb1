"""Numbers in the files of cgroups."""

import pytest

from workers.unit.cgroup_file import number, unreadable


@pytest.mark.parametrize(
    ("word", "found"), [(b"0", 0), (b"12", 12), (b"", None), (b"-1", None), (b"1_0", None), (b" 1", None), (b"9" * 5000, None)]
)
def test_a_number_has_digits_alone(word: bytes, found: int | None) -> None:
    """And no more of them than 64 bits have."""
    assert number(word) == found


def test_a_scaled_number_still_fits_a_column() -> None:
    """Otherwise it is not known."""
    assert number(b"9223372036854775807") == (1 << 63) - 1
    assert number(b"9223372036854775807", 2) is None


def test_the_problem_names_the_file_and_its_beginning() -> None:
    """Whatever it holds, in eighty bytes."""
    assert unreadable("cpu.stat", b"\x00" * 500).sentence.startswith("cpu.stat: cannot be read: b'")
