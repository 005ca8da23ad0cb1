"""How many columns of a terminal a text takes, and text cut and padded by that. PURE.

Letters of East Asian scripts and most emoji take two columns, marks that stand over their letter none. Refused: the
package `wcwidth`, which knows some sequences more, where terminals disagree anyway, and would be one more dependency
of every table. Text is expected without characters that are not printable (`render.text_of`).
"""

from textwrap import wrap
from unicodedata import category, combining, east_asian_width

ELLIPSIS = "…"
# Makes an emoji of the sign before it, which takes two columns then.
_EMOJI_STYLE = "\ufe0f"
# Vowels and final consonants that are drawn into the block of the consonant before them.
_JAMO_FIRST, _JAMO_LAST = "\u1160", "\u11ff"


def display_width(text: str) -> int:
    """The columns that it takes."""
    # Cut text is the usual exception; looking its letters up costs a hundred times as much.
    return len(text) if text.replace(ELLIPSIS, "").isascii() else sum(_widths(text))


def _widths(text: str) -> list[int]:
    """The columns of each character. *Source:* Unicode Standard Annex #11; the categories Mn and Me."""
    widths: list[int] = []
    former = ""
    for letter in text:
        if letter == _EMOJI_STYLE:
            widths.append(1 if former and category(former) == "So" and widths[-1] == 1 else 0)
        elif combining(letter) or _JAMO_FIRST <= letter <= _JAMO_LAST or category(letter) in ("Mn", "Me", "Cf"):
            widths.append(0)
        else:
            widths.append(2 if east_asian_width(letter) in ("W", "F") else 1)
        former = letter
    return widths


def cut(text: str, columns: int) -> str:
    """The text cut to a number of columns; an ellipsis marks a cut."""
    if text.isascii():
        return text if len(text) <= columns else text[: max(0, columns - 1)] + ELLIPSIS
    widths = _widths(text)
    if sum(widths) <= columns:
        return text
    left = columns - 1
    kept = 0
    # The text is wider than that. A letter of two columns is not halved: the line ends one column earlier.
    while widths[kept] <= left:
        left -= widths[kept]
        kept += 1
    return text[:kept] + ELLIPSIS


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """The text padded to a number of columns, aligned left or right."""
    space = " " * max(0, columns - display_width(text))
    return space + text if right else text + space


def wrapped(text: str, columns: int) -> list[str]:
    """The words in lines of a largest width; a longer word has a line of its own. No words give no lines."""
    if text.isascii():
        return wrap(text, columns, break_long_words=False, break_on_hyphens=False)
    lines: list[str] = []
    for word in text.split():
        if lines and display_width(lines[-1]) + 1 + display_width(word) <= columns:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
