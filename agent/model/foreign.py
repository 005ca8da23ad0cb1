"""Names and bytes that others chose (processes, files, cgroups), as text that is safe everywhere. PURE.

Linux allows any byte except NUL in a name. Python represents bytes that are not UTF-8 as lone surrogates, which no message, no
JSON and no Arrow column can hold, and a control character can control the reader's terminal. So every foreign name passes through
`readable` once, where it enters a message, a log line, an error or a row.

`encodable` is the safety net: every encoder of messages, rows and log lines uses it for text that it cannot encode, so that a
forgotten name looks ugly but never ends a process or loses a batch.
"""

# The longest path of the kernel has 4,096 bytes.
CHARACTERS_MAX = 4096
# The statistics of workers are four levels deep.
DEPTH_MAX = 16


def readable(name: str | bytes, characters_max: int = CHARACTERS_MAX) -> str:
    r"""The name on one line as valid UTF-8: other bytes are written `\xff`, control characters `\n` or `\x1b`.

    *Range:* at most `characters_max` characters; a longer one ends with `…`. Linear in its length.
    """
    if isinstance(name, bytes):
        # A character has at most four bytes, so later bytes would not be shown.
        name = name[: 4 * characters_max + 4].decode("utf-8", "surrogateescape")
    is_cut = len(name) > characters_max
    name = name[:characters_max]
    if not name.isprintable():
        name = "".join(letter if letter.isprintable() else _escape(letter) for letter in name)
        is_cut = is_cut or len(name) > characters_max
    return name if not is_cut else name[: characters_max - 1] + "…"


def encodable(text: str | bytes) -> str:
    r"""The text as valid UTF-8: lone surrogates and bytes that are not UTF-8 are written `\xff`; the rest is unchanged.

    Unlike `readable` it keeps control characters: a path in a row stays the path.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    return "".join(_escape(letter) if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def all_encodable(value: object, depth_max: int = DEPTH_MAX) -> object:
    """A plain value in which every text is encodable. *Range:* values deeper than `depth_max` are replaced by their `repr`."""
    if isinstance(value, str):
        return encodable(value)
    if depth_max == 0:
        return encodable(repr(value)[:CHARACTERS_MAX])
    if isinstance(value, dict):
        return {encodable(str(key)): all_encodable(inner, depth_max - 1) for key, inner in value.items()}
    if not isinstance(value, list | tuple):
        return value
    return [all_encodable(inner, depth_max - 1) for inner in value]


def _escape(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        # Python's surrogate for a byte that is not UTF-8 (PEP 383).
        return f"\\x{code - 0xDC00:02x}"
    return repr(letter)[1:-1]
