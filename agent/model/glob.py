"""Shell patterns over names: `*`, `?`, `[…]`, as `fnmatch.fnmatchcase` reads them, in bounded time. PURE.

A pattern is a list of fixed pieces between stars. The first piece must be at the start of the name, the last at its end. Each piece
between is matched at its first occurrence, because no other choice leaves more room for the rest. So nothing is tried twice, and a
match costs at most (length of the name) x (length of the pattern) steps. Refused: one regular expression for the whole pattern,
whose cost depends on how it was translated and on the version of `re`.
"""

import re
from fnmatch import translate
from functools import lru_cache

# Useful patterns have a few stars; each costs one more pass over the name.
STARS_MAX = 16
_SPECIAL = re.compile(r"[?\[]")


class _Piece:
    """The text between two stars: letters, `?` and `[…]`, of a fixed length."""

    __slots__ = ("_letters", "_pattern", "length")

    def __init__(self, text: str, length: int) -> None:
        self.length = length
        self._letters = text if _SPECIAL.search(text) is None else None
        # Without its last two letters, the end of the text: `\Z`, or `\z` from Python 3.14 on.
        self._pattern = re.compile(translate(text)[:-2]) if self._letters is None else None

    def find(self, name: str, start: int, end: int) -> int:
        """Its first position within these bounds; -1: none."""
        if self._pattern is None:
            assert self._letters is not None
            return name.find(self._letters, start, end)
        found = self._pattern.search(name, start, end)
        return -1 if found is None else found.start()

    def is_at(self, name: str, start: int) -> bool:
        """Whether it matches at this position."""
        if self._pattern is None:
            assert self._letters is not None
            return name.startswith(self._letters, start)
        return self._pattern.match(name, start) is not None


class Glob:
    """A pattern, prepared for many matches."""

    __slots__ = ("_first", "_is_fixed", "_last", "_least", "_middle")

    def __init__(self, pattern: str) -> None:
        pieces = [_Piece(text, length) for text, length in _pieces(pattern)]
        self._first, *between = pieces
        self._is_fixed = not between
        self._last = between.pop() if between else self._first
        self._middle = [piece for piece in between if piece.length]
        self._least = sum(piece.length for piece in pieces)

    def matches(self, name: str) -> bool:
        """Whether the whole name fits the pattern."""
        if self._is_fixed:
            return len(name) == self._least and self._first.is_at(name, 0)
        end = len(name) - self._last.length
        if len(name) < self._least or not self._first.is_at(name, 0) or not self._last.is_at(name, end):
            return False
        at = self._first.length
        for piece in self._middle:
            found = piece.find(name, at, end)
            if found < 0:
                return False
            at = found + piece.length
        return True


@lru_cache(maxsize=512)
def prepared(pattern: str) -> Glob:
    """The pattern's Glob, from a cache."""
    return Glob(pattern)


def stars(pattern: str) -> int:
    """How many stars a pattern has; neighbours count as one."""
    pieces = _pieces(pattern)
    return 1 + sum(length > 0 for _, length in pieces[1:-1]) if len(pieces) > 1 else 0


def _pieces(pattern: str) -> list[tuple[str, int]]:
    """The texts between the stars with the length of what each takes; a star in brackets is a letter."""
    pieces: list[tuple[str, int]] = []
    begin = at = length = 0
    # Where no bracket closes behind a place, none closes behind a later one: each is looked for once.
    last_close = pattern.rfind("]")
    while at < len(pattern):
        letter = pattern[at]
        if letter == "*":
            pieces.append((pattern[begin:at], length))
            begin, length = at + 1, 0
        else:
            length += 1
            if letter == "[":
                # As fnmatch: a bracket directly behind `[` or `[!` is one of the letters.
                close = pattern.find("]", at + (2 if pattern[at + 1 : at + 2] != "!" else 3)) if at < last_close else -1
                at = at if close < 0 else close
        at += 1
    pieces.append((pattern[begin:], length))
    return pieces
