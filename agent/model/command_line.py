"""A command line as it may be stored: capped, printable, with values that look like secrets masked. PURE.

It masks first and cuts afterwards, so that no cut leaves half a secret, or a value without the name that identifies it as one.
"""

from agent.model.secret import MASK, masked

# How much of a command line is stored, from least to most: nothing, the program, all but secrets, everything.
CHOICES = ("off", "program", "masked", "full")


def parse_command_line(data: bytes, *, bytes_max: int, shown: str, is_whole: bool = True) -> str | None:
    """The content of `/proc/PID/cmdline` as one line; `shown` is one of CHOICES, `is_whole` says that the read was not cut.

    *Absent:* None for an empty one (kernel threads, zombies) and for `off`. *Range:* at most `bytes_max` bytes
    of UTF-8, cut at a character. *Source:* proc_pid_cmdline(5).
    """
    data = data.rstrip(b"\0")
    if shown == "off" or not data.strip(b"\0"):
        return None
    if shown == "program":
        data, is_whole = _program(data, is_whole=is_whole)
    line = data if shown == "full" else _masked_head(data, bytes_max, is_whole=is_whole)
    text = line[: 4 * bytes_max].replace(b"\0", b" ").decode("utf-8", "replace")
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text.encode()[:bytes_max].decode("utf-8", "ignore")


def _program(data: bytes, *, is_whole: bool) -> tuple[bytes, bool]:
    """Argument 0 up to its first blank: a process may write its whole line into it. And whether it is whole."""
    words = data.split(b"\0", 1)[0].split(None, 1)
    program = words[0] if words else b""
    return program, is_whole or len(program) < len(data)


def _masked_head(data: bytes, bytes_max: int, *, is_whole: bool) -> bytes:
    """The masked line, or as much of it as will be shown. Parts that the end of an argument separates can be masked separately."""
    head = data.find(b"\0", 2 * bytes_max)
    if head >= 0:
        shown = masked(data[:head])
        if len(shown) >= bytes_max:
            return shown
    return masked(data, is_whole=is_whole)


__all__ = ["CHOICES", "MASK", "parse_command_line"]
