"""TOML that people write: errors have line, column and the line itself. PURE."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import Any

from agent.model.errors import ConfigError
from agent.model.foreign import readable

_REMEDY = "correct the file; `agentd --check-config` checks it"
# How `tomllib` says where: its error has no fields for it before Python 3.14.
_PLACE = re.compile(r" \(at (?:line ([0-9]{1,9}), column ([0-9]{1,9})|end of document)\)\Z")
# So much of a line is shown around the place.
_SHOWN_CHARACTERS = 60


def decode_document(data: bytes, *, origin: str, remedy: str = _REMEDY) -> str:
    """The text of a file, without the byte-order mark that some editors put before it.

    *Raises:* ConfigError naming the line where it is no UTF-8.
    """
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise ConfigError(readable(origin), "UTF-16 text", "save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        raise ConfigError(readable(origin), f"not UTF-8 text in line {line}", remedy) from cause


def parse_toml(document: str, *, origin: str, remedy: str = _REMEDY) -> dict[str, Any]:
    """The table that a document describes. *Raises:* ConfigError with line, column, reason and the line."""
    if not document:
        return {}
    # 0.15 MiB and 2 ms: an agent without a configuration file needs none of it.
    import tomllib

    try:
        return tomllib.loads(document)
    except (ValueError, RecursionError) as cause:
        # TOMLDecodeError is a ValueError; a number of 5,000 digits and a nesting of 5,000 levels raise the bare ones.
        raise ConfigError(readable(origin), f"not TOML: {_where(document, str(cause))}", remedy) from cause


def quoted(text: str) -> str:
    """A text as a TOML document holds it, on one line. *Source:* TOML 1.0, basic strings."""
    # Bytes that are no UTF-8 cannot stand in TOML at all: such a value can be read, and not be fed back.
    escaped = readable(text, len(text) * 4 + 1).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _where(document: str, problem: str) -> str:
    # `tomllib` counts lines as it reads them.
    lines = document.replace("\r\n", "\n").split("\n")
    found = _PLACE.search(problem)
    if found is None:
        return readable(problem, 200)
    # The end of the document: its last line that says something.
    number = int(found[1]) if found[1] else max((at for at, line in enumerate(lines, 1) if line.strip()), default=1)
    line = lines[min(number, len(lines)) - 1]
    column = int(found[2]) if found[2] else len(line) + 1
    begin = max(0, min(column - 1, len(line)) - _SHOWN_CHARACTERS // 2)
    shown = line[begin : begin + _SHOWN_CHARACTERS]
    text = f"{'…' if begin else ''}{readable(shown)}{'…' if begin + len(shown) < len(line) else ''}"
    return f"line {number}, column {column}: {readable(problem[: found.start()], 200)}: {text}"
