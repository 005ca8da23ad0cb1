"""Names and bytes that others chose (processes, files, control groups), as text that may go anywhere. PURE.

Linux allows any byte but NUL in a name. Python hands the bytes that are no UTF-8 through as lone surrogates, which no
message, no JSON and no Arrow column can carry, and a control character steers the terminal of whoever reads it. So
whatever is foreign passes `readable` once, where it goes into a message, a log line, an error or a row.
"""

# No sentence is made clearer by more of a name than this; a path of the kernel's limit has 4,096 bytes.
CHARACTERS_MAX = 4096


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


def _escape(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        # Python's stand-in for a byte that is no UTF-8 (PEP 383).
        return f"\\x{code - 0xDC00:02x}"
    return repr(letter)[1:-1]
