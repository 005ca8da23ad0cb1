"""Names and bytes that others chose (processes, files, control groups), as text that may go anywhere. PURE.

Linux allows any byte but NUL in a name. Python hands the bytes that are no UTF-8 through as lone surrogates, which no
message, no JSON and no Arrow column can carry, and a control character steers the reader's terminal. So
whatever is foreign passes `readable` once, where it goes into a message, a log line, an error or a row.

`encodable` is the net below that: every encoder of messages, rows and log lines uses it for what it cannot encode, so that a
forgotten name costs its own beauty and never a process or a batch.
"""

# No sentence is made clearer by more of a name than this; a path of the kernel's limit has 4,096 bytes.
CHARACTERS_MAX = 4096
# What a worker tells of itself is four deep.
DEPTH_MAX = 16


def readable(name: str | bytes, characters_max: int = CHARACTERS_MAX) -> str:
    r"""The name on one line, as UTF-8 can carry it: bytes that are none are written `\xff`, control characters `\n` or `\x1b`.

    *Range:* at most `characters_max` characters; a longer one ends with `…`. Linear in its length.
    """
    if isinstance(name, bytes):
        # Four bytes at most make a character: what lies behind could not be shown.
        name = name[: 4 * characters_max + 4].decode("utf-8", "surrogateescape")
    is_cut = len(name) > characters_max
    name = name[:characters_max]
    if not name.isprintable():
        name = "".join(letter if letter.isprintable() else _escape(letter) for letter in name)
        is_cut = is_cut or len(name) > characters_max
    return name if not is_cut else name[: characters_max - 1] + "…"


def encodable(text: str | bytes) -> str:
    r"""The text as UTF-8 can carry it: lone surrogates and bytes that are no UTF-8 are written `\xff`, all else stays as it is.

    Other than `readable` it leaves control characters: a path in a row is the path.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    return "".join(_escape(letter) if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def all_encodable(value: object, depth_max: int = DEPTH_MAX) -> object:
    """A plain value with every text in it encodable; what lies deeper than `depth_max` becomes its own description."""
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
        # Python's stand-in for a byte that is no UTF-8 (PEP 383).
        return f"\\x{code - 0xDC00:02x}"
    return repr(letter)[1:-1]
