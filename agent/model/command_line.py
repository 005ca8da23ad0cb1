"""A command line as it may be stored: capped, printable, with values that look like secrets masked. PURE."""

import re

MASK = "***"
# A word in an option's or variable's name that says its value is a secret.
_SECRET_WORD = r"(?:pass(?:word|wd|phrase)?|_pwd|secret|token|credentials?|(?:api|access|secret|private)[-_]?key)"
_SECRET_NAME = re.compile(rf"{_SECRET_WORD}$", re.IGNORECASE)
_NAMED_VALUE = re.compile(r"(?s)(-{0,2}[\w.-]+)=(.*)")
# user:password@ in front of a host; up to the last @, because people write one into a password unescaped.
_URL_SECRET = re.compile(r"(://[^/\s:@]*):[^/\s]+@")
# `Authorization: Bearer x`, in one argument or as the word before it.
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+\S+")
# A setting inside an argument, such as `--set=auth.password=x,user=y`.
_INNER_VALUE = re.compile(rf"([\w.-]*{_SECRET_WORD})=[^\s,;&]+", re.IGNORECASE)
# The kernel gives up to 2 MiB; nobody reads more than a screen.
ARGUMENTS_MAX = 256


def masked_arguments(arguments: list[str]) -> list[str]:
    """The arguments with what looks like a secret replaced: the values of `--password=x`, `PASSWORD=x`, `--token x`,
    `--set=auth.password=x`, `Bearer x` and `://user:x@`. A program's private short options (`-px`) cannot be known.
    """
    masked = []
    next_is_secret = False
    for argument in arguments:
        named = _NAMED_VALUE.fullmatch(argument)
        if next_is_secret and not argument.startswith("-"):
            masked.append(MASK)
        elif named is not None and _SECRET_NAME.search(named[1]):
            masked.append(f"{named[1]}={MASK}")
        else:
            masked.append(_masked_inside(argument))
        next_is_secret = argument.startswith("-") and named is None and _SECRET_NAME.search(argument) is not None
    return masked


def _masked_inside(argument: str) -> str:
    argument = _URL_SECRET.sub(rf"\1:{MASK}@", argument)
    argument = _BEARER.sub(rf"\1 {MASK}", argument)
    return _INNER_VALUE.sub(rf"\1={MASK}", argument)


def parse_command_line(data: bytes, *, bytes_max: int, mask: bool) -> str | None:
    """The content of `/proc/PID/cmdline` as one line.

    *Absent:* None for an empty one (kernel threads, zombies). *Range:* at most `bytes_max` bytes of UTF-8, cut at a
    character. *Source:* proc_pid_cmdline(5).
    """
    if not data.strip(b"\0"):
        return None
    # What is behind the last argument that is looked at would be stored unmasked, so it is left out.
    arguments = data.rstrip(b"\0").decode("utf-8", "replace").split("\0", ARGUMENTS_MAX)[:ARGUMENTS_MAX]
    line = " ".join(masked_arguments(arguments) if mask else arguments)
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return printable.encode()[:bytes_max].decode("utf-8", "ignore")
