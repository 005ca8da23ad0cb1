"""Whole numbers in the kernel's files. PURE."""

# What a column of 64 bits holds. The kernel's counters are unsigned.
NUMBER_MAX = (1 << 63) - 1
_DIGITS_MAX = 20
# Every number of fewer digits fits.
_DIGITS_SAFE = 19


def whole(word: bytes) -> int | None:
    """The number that a word is. *Absent:* it is none, or does not fit a column of 64 bits."""
    if not word.isdigit() or len(word) > _DIGITS_MAX:
        return None
    number = int(word)
    return number if number <= NUMBER_MAX else None


def wholes(words: list[bytes]) -> list[int | None]:
    """The numbers that words are, as `whole` gives each."""
    # The usual case at once: a line of sixteen numbers takes a quarter of the time.
    if all(map(bytes.isdigit, words)) and max(map(len, words), default=0) < _DIGITS_SAFE:
        return list(map(int, words))
    return [whole(word) for word in words]


def scaled(word: bytes, scale: int) -> int | None:
    """The number that a word is, times `scale`. *Absent:* as `whole`."""
    number = whole(word)
    return None if number is None or number > NUMBER_MAX // scale else number * scale


def increase(before: int | None, now: int | None) -> int | None:
    """By how much a counter grew. *Absent:* one is not known, or it fell: it restarted or wrapped, and nobody knows which."""
    return None if before is None or now is None or now < before else now - before
