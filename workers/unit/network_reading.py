"""What the network of a unit has moved, from the files of one network namespace. PURE.

*Source:* linux/net/core/net-procfs.c (`dev`), linux/net/ipv4/proc.c (`snmp`, `sockstat`), linux/net/ipv6/proc.c (`sockstat6`).
"""

from collections.abc import Sequence

from agent.model.errors import KernelFormatError
from workers.host.network import INTERFACES_MAX
from workers.host.number import increase, wholes
from workers.host.tcp import parse_snmp, parse_sockstat

# Received and sent bytes, packets and drops, in the order of table `unit`: the places of a line of sixteen numbers.
_PLACES = (0, 8, 1, 9, 3, 11)
_FIELDS = 16
_LOOPBACK = b"lo"

Counters = tuple[int | None, ...]
UNKNOWN: Counters = (None,) * len(_PLACES)


def parse_namespace(text: bytes) -> Counters:
    """The sums over all interfaces but the loopback; zeros where there is none besides. *Raises:* KernelFormatError.

    *Absent:* a sum with a number out of range.
    """
    if b"|bytes" not in text:
        raise KernelFormatError("/proc/PID/net/dev", f"cannot be read: {text[:80]!r}")
    sums: list[int | None] = [0] * len(_PLACES)
    for line in text.split(b"\n", INTERFACES_MAX)[:INTERFACES_MAX]:
        name, colon, rest = line.rpartition(b":")
        words = rest.split()
        if not colon or len(words) < _FIELDS or name.strip() == _LOOPBACK:
            continue
        _add(sums, wholes(words[:_FIELDS]))
    return tuple(sums)


def _add(sums: list[int | None], numbers: Sequence[int | None]) -> None:
    for at, place in enumerate(_PLACES):
        number, sum_ = numbers[place], sums[at]
        sums[at] = None if number is None or sum_ is None else sum_ + number


def parse_retransmits(text: bytes) -> int | None:
    """TCP segments sent again, so far. *Raises:* KernelFormatError."""
    number = parse_snmp(text)["tcp_retransmits"]
    assert not isinstance(number, float)
    return number


def parse_sockets(text: bytes, text6: bytes | None) -> int:
    """TCP sockets in use; without IPv6 there is no second file. *Raises:* KernelFormatError."""
    return parse_sockstat(text, b"TCP") + (0 if text6 is None else parse_sockstat(text6, b"TCP6"))


def grown(before: Counters, now: Counters) -> Counters:
    """What each counter grew by. *Absent:* where one is unknown, or fell: it is that of another interface."""
    return tuple(map(increase, before, now))
