"""Masks what looks like a secret in the bytes of a command line. PURE.

The cost is linear in the bytes: each kind of secret is looked for in one walk that never goes back, and only where a sign of
it is there at all, so that the usual command line costs a few microseconds.
"""

from collections.abc import Iterator
from enum import Flag, auto

from agent.model.secret_name import NAME_SIGNS, named_secrets
from agent.model.secret_option import PROGRAM_SIGNS, option_secrets
from agent.model.secret_shape import SHAPE_SIGNS, URL_SIGNS, shaped_secrets, source_name_secrets, spoken_secrets, url_secrets

MASK = b"***"


class _Kind(Flag):
    """Where a secret may be."""

    NONE = 0
    NAME = auto()
    SHAPE = auto()
    URL = auto()
    PROGRAM = auto()


def _kind_by_sign() -> dict[str, _Kind]:
    """Every sign that is needed, and what it is a sign of: a short sign stands for the longer ones that hold it."""
    signs = {_Kind.NAME: NAME_SIGNS, _Kind.SHAPE: SHAPE_SIGNS, _Kind.URL: URL_SIGNS, _Kind.PROGRAM: PROGRAM_SIGNS}
    every = {sign for group in signs.values() for sign in group}
    least = sorted(sign for sign in every if not any(other in sign for other in every - {sign}))
    found = dict.fromkeys(least, _Kind.NONE)
    for kind, group in signs.items():
        for sign in group:
            for short in filter(sign.__contains__, least):
                found[short] |= kind
    return found


_KIND_BY_SIGN = _kind_by_sign()
# What a word that was cut off in its middle may be, besides: the beginning of `user:x@host`.
_CUT_SIGNS = b":@"


def masked(data: bytes, *, is_whole: bool = True) -> bytes:
    """The command line with each secret replaced by `***`; the NULs between arguments stay.

    `is_whole` says that nothing was cut off behind it. Of a cut one the last word may be half a secret that can no longer be known
    as one, so it is masked where anything in it is a sign of one.
    """
    if not is_whole:
        last = 1 + max(map(data.rfind, (b"\0", b" ", b"\t", b"\r", b"\n")))
        tail = data[last:]
        if kinds(tail) or any(sign in tail for sign in _CUT_SIGNS):
            data = data[:last] + MASK
    found = kinds(data)
    return _without(data, sorted(_spans(data, found))) if found else data


def kinds(data: bytes) -> _Kind:
    """What kinds of secrets there may be; for most command lines, none."""
    # Text, because signs are found in it three times as fast as in bytes; Latin-1 makes it of any.
    text = data.decode("latin-1").lower()
    found = _Kind.NONE
    for sign in filter(text.__contains__, _KIND_BY_SIGN):
        found |= _KIND_BY_SIGN[sign]
    return found


def _spans(data: bytes, found: _Kind) -> Iterator[tuple[int, int]]:
    lower = data.lower()
    if _Kind.NAME in found:
        yield from named_secrets(data, lower)
        yield from spoken_secrets(data, lower)
    if _Kind.SHAPE in found:
        yield from shaped_secrets(data)
    if _Kind.URL in found:
        yield from url_secrets(data, lower)
        yield from source_name_secrets(data)
    if _Kind.PROGRAM in found:
        yield from option_secrets(data)


def _without(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The bytes with the mask in place of the spans; spans that touch or overlap have one mask."""
    kept: list[bytes] = []
    at = 0
    for start, end in spans:
        if start > at or not kept:
            kept += (data[at:start], MASK)
        at = max(at, end)
    return b"".join((*kept, data[at:]))
