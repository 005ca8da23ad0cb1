"""Files of amdgpu and kfd in sysfs, in the forms that their documents show."""

import pytest

from workers.gpu.amdgpu_file import parse_clock, parse_errors, parse_properties, parse_whole

# linux/Documentation/gpu/amdgpu: pp_dpm_* lists the levels, the one in force with a star.
LEVELS = "0: 500Mhz\n1: 1400Mhz *\n2: 2100Mhz\n"


def test_the_level_with_a_star_is_in_force() -> None:
    """In hertz."""
    assert parse_clock(LEVELS) == 1_400_000_000


@pytest.mark.parametrize("text", ["", "0: 500Mhz\n", "1: xMhz *\n", "*\n", "1: 500 *\n"])
def test_without_it_no_clock_is_known(text: str) -> None:
    """Of a card that sleeps, for instance."""
    assert parse_clock(text) is None


@pytest.mark.parametrize("length", range(len(LEVELS)))
def test_every_beginning_is_read(length: int) -> None:
    """Without an exception."""
    parse_clock(LEVELS[:length])


def test_errors_are_named() -> None:
    """ue are those that could not be corrected."""
    assert parse_errors("ue: 3\nce: 17\n") == (17, 3)
    assert parse_errors("") == (None, None)


@pytest.mark.parametrize(("text", "number"), [("37\n", 37), ("", None), ("-1\n", None), ("\u0661", None), ("9" * 30, None)])
def test_a_number_is_ascii_digits(text: str, number: int | None) -> None:
    """Everything else is none."""
    assert parse_whole(text) == number


def test_properties_are_names_and_numbers() -> None:
    """As kfd_topology.c writes them."""
    assert parse_properties("cpu_cores_count 0\nsimd_count 432\ndrm_render_minor 128\nname gfx\n") == {
        "cpu_cores_count": 0,
        "simd_count": 432,
        "drm_render_minor": 128,
    }
