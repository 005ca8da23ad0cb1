"""Numbers as a fleet shows them."""

import math

from hypothesis import given
from hypothesis import strategies as st

from workers.uplink.rounding import PERMILLE_MAX, coarse, kib, mib, permille


@given(value=st.floats(0, 1e15), least=st.sampled_from([1, 5, 64]))
def test_a_number_is_within_a_percent_or_half_a_step(value: float, least: int) -> None:
    """And rounding it again changes nothing much: steps are powers of two."""
    found = coarse(value, least)
    assert found is not None
    assert found % least == 0
    assert abs(found - value) <= max(least / 2, value / 100)


def test_what_is_not_known_or_no_amount_is_not_known() -> None:
    """Never zero."""
    for value in (None, -1, math.nan, math.inf, float(1 << 62)):
        assert coarse(value, 1) is None
    assert (kib(None), mib(None), mib(-1), permille(None, 1), permille(1, None)) == (None,) * 5
    assert (permille(1, 0), permille(-1, 1), permille(math.nan, 1), permille(1, math.nan), permille(1, -1)) == (None,) * 5


def test_shares_are_in_thousandths() -> None:
    """Rounded, and bounded where they are no shares."""
    assert (permille(1, 4), permille(0, 4), permille(1, 3), permille(1, 3, 1), permille(5, 2)) == (250, 0, 335, 333, 2500)
    assert (permille(1e300, 1e-300), permille(math.inf, 1)) == (PERMILLE_MAX, PERMILLE_MAX)


def test_bytes_are_in_larger_units() -> None:
    """Memory of a GPU as whole MiB, because it is compared with a need."""
    assert (kib(1 << 20), kib(1000, 1), mib((5 << 20) + 17), mib(5.0 * (1 << 20))) == (1024, 1, 5, 5)
