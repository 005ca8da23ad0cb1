"""The keys of `agentctl top`: what a terminal sends for them, and which steps in time some are. PURE."""

from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping

from agent.model.timebase import S

LEFT, RIGHT, UP, DOWN = "left", "right", "up", "down"
HOME, END, PAGE_UP, PAGE_DOWN = "home", "end", "page up", "page down"
BACK_TAB, HELP = "back tab", "help"
TAB, ENTER, ESCAPE, BACKSPACE, CLEAR = "\t", "\n", "\x1b", "\x7f", "\x15"
# What terminals send (xterm in both modes of the cursor keys, the Linux console, screen, rxvt).
_CURSOR = {"A": UP, "B": DOWN, "C": RIGHT, "D": LEFT, "H": HOME, "F": END}
_SEQUENCES: Mapping[str, str] = {
    **{f"\x1b{mode}{letter}": key for mode in "[O" for letter, key in _CURSOR.items()},
    **{f"\x1b[{number}~": key for number, key in ((1, HOME), (7, HOME), (4, END), (8, END), (5, PAGE_UP), (6, PAGE_DOWN))},
    "\x1b[Z": BACK_TAB,
    "\x1bOP": HELP,
    "\x1b[11~": HELP,
    "\x1b[[A": HELP,
}
# Other codes of one of the keys.
_SAME: Mapping[str, str] = {"\r": ENTER, "\x08": BACKSPACE}
_SEQUENCE_CHARACTERS_MAX = max(map(len, _SEQUENCES))
TICK_STEPS: Mapping[str, bool] = {LEFT: True, RIGHT: False}
TIME_STEPS_NS: Mapping[str, int] = {"[": -60 * S, "]": 60 * S, "{": -3_600 * S, "}": 3_600 * S}
NOW_KEYS = ("0", END)
HINT = "(← → tick   [ ] minute   { } hour   0 now)"
HINT_ASCII = "(left right tick   [ ] minute   { } hour   0 now)"


def is_cut(typed: str) -> bool:
    """Whether the input ends within a sequence whose rest is still to be read."""
    begin = typed.rfind("\x1b")
    rest = typed[begin + 1 :]
    return begin >= 0 and (not rest or (rest[0] in "[O" and not any(letter.isalpha() or letter == "~" for letter in rest[1:])))


def is_cut_character(typed: bytes) -> bool:
    """Whether the input ends within a character of UTF-8."""
    decoder = getincrementaldecoder("utf-8")("replace")
    decoder.decode(typed)
    return bool(decoder.getstate()[0])


def keys_of(typed: str) -> Iterator[str]:
    """The keys in what was read: a name for the sequences that are known, each other character as itself.

    *Range:* a sequence that is none of ours is passed over up to its last letter, so that no part of it counts as a key.
    """
    position = 0
    while position < len(typed):
        known = next(
            (length for length in range(_SEQUENCE_CHARACTERS_MAX, 1, -1) if typed[position : position + length] in _SEQUENCES), None
        )
        if known is not None:
            yield _SEQUENCES[typed[position : position + known]]
            position += known
        elif typed[position : position + 2] in ("\x1b[", "\x1bO"):
            position += 2
            while position < len(typed) and not (typed[position].isalpha() or typed[position] == "~"):
                position += 1
            position += 1
        else:
            yield _SAME.get(typed[position], typed[position])
            position += 1
