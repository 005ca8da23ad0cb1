"""How the kernel parses writes to its files, and the status that it leaves. PURE. *Source:* lib/kstrtox.c, lib/bitmap-str.c."""

import re
from errno import EINVAL, EOVERFLOW, ERANGE, errorcode

# kernfs accepts at most one page per write.
WRITE_BYTES_MAX = 4096
# The kernel's buffer for the status has 512 bytes including the final NUL; the rest is cut.
STATUS_CHARS_MAX = 511

INT_MAX = (1 << 31) - 1
UINT_MAX = (1 << 32) - 1
ULONG_MAX = (1 << 64) - 1

_NUMBER = re.compile(r"([+-]?)(0[xX](?=[0-9a-fA-F]))?([0-9a-fA-F]+)\n?", re.ASCII)
_TRUE_WORDS = frozenset(("y", "t", "1", "on"))
_FALSE_WORDS = frozenset(("n", "f", "0", "of"))


def refusal(number: int) -> OSError:
    """The error for an errno."""
    return OSError(number, errorcode[number])


class CommandStatus:
    """`info/last_cmd_status`: why the last command failed, `ok` after one that did not."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = ""

    def clear(self) -> None:
        """No command has failed: the file shows `ok`."""
        self._text = ""

    def say(self, text: str) -> None:
        """Appends to the sentence. *Range:* STATUS_CHARS_MAX characters; what goes beyond is cut, as in the kernel."""
        self._text = (self._text + text)[:STATUS_CHARS_MAX]

    def refuse(self, number: int, text: str) -> OSError:
        """Appends the sentence and returns the error to raise."""
        self.say(text)
        return refusal(number)

    @property
    def text(self) -> str:
        """The content of the file, with its newline."""
        return self._text or "ok\n"


def text_of(content: bytes) -> str:
    """What was written, as a C string: it ends at the first NUL."""
    return content.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def command_line(content: bytes) -> str:
    """A command without the newline that it must end with. *Raises:* OSError(EINVAL)."""
    if not content.endswith(b"\n"):
        raise refusal(EINVAL)
    return text_of(content[:-1])


def parse_number(text: str, base: int, *, minimum: int = 0, maximum: int = ULONG_MAX) -> int:
    """A whole number as kstrto*() reads it: no blanks, one final newline allowed; base 0 is 16 after `0x`, 8 after `0`, else 10.

    *Raises:* ValueError for anything else; OverflowError outside of the range.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(text)
    sign, hexadecimal, digits = match.groups()
    if base == 0:
        base = 16 if hexadecimal else 8 if digits.startswith("0") else 10
    if (hexadecimal and base != 16) or (sign == "-" and minimum >= 0):
        raise ValueError(text)
    value = int(digits, base)
    if sign == "-":
        value = -value
    if not minimum <= value <= maximum:
        raise OverflowError(text)
    return value


def read_number(text: str, base: int, *, maximum: int) -> int:
    """As `parse_number`, for files that return the parser's error. *Raises:* OSError(EINVAL, ERANGE)."""
    try:
        return parse_number(text, base, maximum=maximum)
    except ValueError as cause:
        raise refusal(EINVAL) from cause
    except OverflowError as cause:
        raise refusal(ERANGE) from cause


def parse_truth(text: str) -> bool:
    """A yes or no as kstrtobool() reads it: it looks at the first letter, or at two for on and off. *Raises:* OSError(EINVAL)."""
    for letters in (text[:1].lower(), text[:2].lower()):
        if letters in _TRUE_WORDS:
            return True
        if letters in _FALSE_WORDS:
            return False
    raise refusal(EINVAL)


def show_cpu_mask(mask: int, width: int) -> str:
    """Hexadecimal in groups of 32 CPUs, the first group as wide as the machine needs."""
    groups = []
    for shift in range((width - 1) // 32 * 32, -1, -32):
        bits = min(32, width - shift)
        groups.append(f"{mask >> shift & UINT_MAX:0{(bits + 3) // 4}x}")
    return ",".join(groups)


def show_cpu_list(mask: int) -> str:
    """Ranges, such as `0-3,8`; nothing for no CPU."""
    ranges = []
    cpu = 0
    while mask >> cpu:
        if not mask >> cpu & 1:
            cpu += 1
            continue
        first = cpu
        while mask >> cpu & 1:
            cpu += 1
        ranges.append(f"{first}-{cpu - 1}" if cpu - 1 > first else f"{first}")
    return ",".join(ranges)


def parse_cpu_mask(text: str, width: int) -> int:
    """A mask as bitmap_parse() reads it. *Raises:* OSError(EINVAL, EOVERFLOW)."""
    text = text.split("\n", 1)[0].strip()
    mask = 0
    for group in text.split(","):
        # Empty words between commas or at the end are ignored: pqos ends its masks with a comma.
        if not group.strip():
            continue
        if not re.fullmatch(r"[0-9a-fA-F]{1,8}", group.strip()):
            raise refusal(EINVAL)
        mask = mask << 32 | int(group, 16)
    if mask >> width:
        raise refusal(EOVERFLOW)
    return mask


def parse_cpu_list(text: str, width: int) -> int:
    """A list as bitmap_parselist() reads it, without strides. *Raises:* OSError(EINVAL, ERANGE)."""
    mask = 0
    for part in text.split("\n", 1)[0].strip().split(","):
        if not part.strip():
            continue
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip())
        if match is None:
            raise refusal(EINVAL)
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise refusal(EINVAL)
        if last >= width:
            raise refusal(ERANGE)
        mask |= ((1 << (last - first + 1)) - 1) << first
    return mask
