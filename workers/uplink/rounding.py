"""Numbers rounded to what somebody looking at a fleet can use, so that noise is not sent. PURE."""

# What a hub takes.
PERMILLE_MAX = 1_000_000_000


def coarse(value: float | None, least: int) -> int | None:
    """The nearest multiple of `least` times a power of two: within 1 % of a large number, within half of `least` of a small one.

    *Absent:* None for None, and for what is negative or no number. *Range:* below 2**62.
    """
    if value is None or not 0 <= value < 1 << 62:
        return None
    step = least
    # Powers of two: a step of 10 would jump from 1 % to 10 % at each digit.
    while step * 128 < value:
        step *= 2
    return step * round(value / step)


def permille(part: float | None, whole: float | None, least: int = 5) -> int | None:
    """A share in thousandths, rounded to `least`. *Absent:* None where one of both is not known, or nothing is the whole.

    *Range:* at most PERMILLE_MAX, which is no share of anything.
    """
    if part is None or whole is None or not (whole > 0 and part >= 0):
        return None
    share = 1000 * part / whole
    return PERMILLE_MAX if share >= PERMILLE_MAX else least * round(share / least)


def kib(count: float | None, least: int = 64) -> int | None:
    """Bytes as KiB, rounded."""
    return None if count is None else coarse(count / 1024, least)


def mib(count: float | None) -> int | None:
    """Bytes as whole MiB, not rounded further: a scheduler compares them with a need."""
    return None if count is None or count < 0 else int(count) >> 20
