"""The query of a request's target: its parameters, strictly decoded, and written again. PURE.

*Source:* WHATWG URL, 5.1 (what browsers write).
"""

import re
from collections.abc import Mapping, Sequence

# A question has a handful of parameters.
PARAMETERS_MAX = 64

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CONTROLS = re.compile("[\x00-\x1f\x7f]")


def parse_query(text: str) -> dict[str, list[str]] | None:
    """Parameters by name, each with its values in order; `+` is a space, a name without `=` has the value "".

    *Absent:* None for what cannot be taken at its word: a `%` without two digits, bytes that are not UTF-8, control characters,
    more than PARAMETERS_MAX parameters.
    """
    parts = [part for part in text.split("&") if part] if text else []
    if len(parts) > PARAMETERS_MAX:
        return None
    found: dict[str, list[str]] = {}
    for part in parts:
        name, _, value = part.partition("=")
        decoded = _decoded(name), _decoded(value)
        if decoded[0] is None or decoded[1] is None:
            return None
        found.setdefault(decoded[0], []).append(decoded[1])
    return found


def format_query(parameters: Mapping[str, Sequence[str]]) -> str:
    """The text that `parse_query` reads as these parameters."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, values in parameters.items() for value in values)


def _encoded(text: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())


def _decoded(text: str) -> str | None:
    raw = text.replace("+", " ").encode("latin-1")
    if b"%" in raw:
        if raw.count(b"%") != len(_ESCAPE.findall(raw)):
            return None
        raw = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), raw)
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(decoded) else decoded
