r"""Where a value ends inside a command line's bytes. PURE.

The bytes are those of `/proc/PID/cmdline`: arguments parted by NUL, each of which may itself be a whole script or a title.
Every pattern here is possessive or bounded: a match or a refusal costs as many steps as bytes it looks at, once.
"""

import re
from re import Pattern

_QUOTED = rb""" "(?:[^"\\\0]|\\[^\0])*+" | '[^'\0]*+' | \\[^\0] """
# A word as a shell reads it: quoted pieces and plain ones, up to white space.
_WORD = re.compile(rb"(?:" + _QUOTED + rb""" | [^\s\0"'\\] )*+""", re.VERBOSE)
# A value in a list, a query or a document. A separator ends it only where the next name, or nothing, comes behind it, a
# quote or a bracket only where a separator does.
_LISTED = re.compile(
    rb"""(?: [^\s\0"'\\,;&<)}\]] | \\[^\0"'] | \\?["'](?! [\s\0,;:}\])\\] | \Z )
    | [,;&](?! [\w.-]{1,64}\\?["']?\s?[=:] | ["'\s\0\\] | \Z ) | [)}\]](?! [\s\0"',;)}\]\\] | \Z ) )*+""",
    re.VERBOSE,
)
_INSIDE: dict[bytes, Pattern[bytes]] = {
    b'"': re.compile(rb'(?:[^"\\\0]|\\[^\0])*+"'),
    b"'": re.compile(rb"(?:[^'\\\0]|\\[^\0])*+'"),
}
# What stands behind an option and looks like the next option is no value: no secret begins with two dashes.
LONG_OPTION = re.compile(rb"--[A-Za-z][\w-]*+(?:[=\s\0]|\Z)")
_OPENING = re.compile(rb"""\$?(\\{0,7})(["'])""")


def end_of_argument(data: bytes, at: int) -> int:
    """The end of the argument that holds this place."""
    end = data.find(b"\0", at)
    return len(data) if end < 0 else end


def end_of_word(data: bytes, at: int) -> int:
    """The end of a shell's word; of the argument, where a quote in it is never closed."""
    found = _WORD.match(data, at)
    end = at if found is None else found.end()
    is_outer_quote = end > at and data[end + 1 : end + 2] in (b"", b" ", b"\t", b"\n", b"\0", b")", b";", b"'", b'"')
    return end if data[end : end + 1] not in (b"'", b'"') or is_outer_quote else end_of_argument(data, at)


def end_of_listed(data: bytes, at: int) -> int:
    """The end of a value among others, such as `x` in `password=x,user=y`."""
    if _OPENING.match(data, at):
        return end_of_literal(data, at)
    found = _LISTED.match(data, at)
    return at if found is None else found.end()


def end_inside(data: bytes, at: int, quote: bytes) -> int:
    """The place of the quote that ends what stands inside such quotes; the argument's end, where there is none."""
    found = _INSIDE[quote].match(data, at)
    return end_of_argument(data, at) if found is None else found.end() - 1


def end_of_literal(data: bytes, at: int) -> int:
    r"""The end of a document's value: of a text in quotes (`"x"`, `\"x\"`), else of a listed value."""
    opening = _OPENING.match(data, at)
    if opening is None:
        return end_of_listed(data, at)
    stop = end_of_argument(data, at)
    if not opening[1]:
        return min(end_inside(data, opening.end(), opening[2]) + 1, stop)
    end = data.find(opening[1] + opening[2], opening.end(), stop)
    return stop if end < 0 else end + len(opening[1]) + 1
