"""The keys of `agentctl top`: what a terminal sends for them, and which step in time each is. PURE."""

from collections.abc import Iterator, Mapping

from agent.model.timebase import S

LEFT, RIGHT, END = "left", "right", "end"
# What terminals send (xterm in both modes of the cursor keys, the Linux console, screen).
_SEQUENCES: Mapping[str, str] = {
    "\x1b[D": LEFT,
    "\x1bOD": LEFT,
    "\x1b[C": RIGHT,
    "\x1bOC": RIGHT,
    "\x1b[F": END,
    "\x1bOF": END,
    "\x1b[4~": END,
    "\x1b[8~": END,
}
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
            yield typed[position]
            position += 1
