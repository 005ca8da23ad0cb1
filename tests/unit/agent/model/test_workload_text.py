"""What people write of a workload becomes numbers, or a reason why not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.workload_text import parse_count, parse_cpu, parse_io, parse_pair, parse_size


@pytest.mark.parametrize(("written", "cores"), [("200%", 2.0), ("50%", 0.5), ("1.5", 1.5), (2, 2.0), (0.25, 0.25), (" 100% ", 1.0)])
def test_cpu_is_a_share_or_a_number_of_cpus(written: object, cores: float) -> None:
    """Percent of one CPU, or whole CPUs."""
    assert parse_cpu(written) == cores


@pytest.mark.parametrize("written", ["", "%", "two", "0", "-1", "nan", "inf%", True, None, [], "1" * 400 + "e400", 10**400])
def test_a_bad_cpu_is_refused(written: object) -> None:
    """Whatever it is."""
    with pytest.raises(ValueError, match="not"):
        parse_cpu(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [("4G", 4 << 30), ("512M", 512 << 20), ("4GiB", 4 << 30), ("1.5k", 1536), ("10", 10), ("7B", 7), (4096, 4096), ("1T", 1 << 40)],
)
def test_sizes_are_powers_of_1024(written: object, size: int) -> None:
    """As systemd and container engines read them."""
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written", ["", "G", "4KB", "4GB", "-4G", "0", 0, True, 1.5, None, "4 G G", "nanG", "infG", "iB", "9e99", 1 << 63]
)
def test_a_bad_size_is_refused(written: object) -> None:
    """`KB` is a thousand to some and 1024 to others."""
    with pytest.raises(ValueError, match="not"):
        parse_size(written)


def test_counts_are_whole_and_above_zero() -> None:
    """Not true, not a half."""
    assert (parse_count("5"), parse_count(7)) == (5, 7)
    for written in ("0", "-1", "x", "", True, 1.0, None):
        with pytest.raises(ValueError, match="not"):
            parse_count(written)


def test_a_disk_is_a_path_or_its_numbers_with_limits() -> None:
    """The kernel's words for them, sizes with units."""
    assert parse_io("/dev/sda:rbps=50M,wiops=1000") == {
        "device": "/dev/sda", "read_bytes_per_second": 50 << 20, "writes_per_second": 1000
    }  # fmt: skip
    assert parse_io("8:0:wbps=1,riops=2") == {"device": "8:0", "write_bytes_per_second": 1, "reads_per_second": 2}


@pytest.mark.parametrize(
    "written", ["", "/dev/sda", ":rbps=1", "/dev/sda:", "/dev/sda:rbps", "/dev/sda:speed=1", "/dev/sda:rbps=x", 7]
)
def test_a_bad_disk_is_refused(written: object) -> None:
    """With what is wrong with it."""
    with pytest.raises(ValueError, match="n"):
        parse_io(written)


def test_pairs_are_split_at_the_first_sign() -> None:
    """A value may hold more of them."""
    assert parse_pair("A=b=c") == ("A", "b=c")
    assert parse_pair("A=") == ("A", "")
    for written in ("", "A", "=b"):
        with pytest.raises(ValueError, match="KEY=VALUE"):
            parse_pair(written)


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_refused(written: str) -> None:
    """Nothing else is raised."""
    for parse in (parse_cpu, parse_size, parse_count, parse_io, parse_pair):
        try:
            parse(written)
        except ValueError:
            continue
