"""`/proc/net/dev`, and the rows of table `host_network`. PURE."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from agent.model.foreign import readable
from agent.model.table import Row
from agent.model.timebase import S
from workers.host.device import Devices, Increase, busiest, summed
from workers.host.interval import HostInterval, joined
from workers.host.number import whole, wholes

# 8,000 interfaces of 128 bytes.
NET_DEV_BYTES_MAX = 1 << 20
INTERFACES_MAX = 8192
ROWS_MAX = 64
# The kernel's names have 15 bytes.
NAME_CHARACTERS_MAX = 64
_FIELDS = 16
_SENT = 8
# The places of bytes, packets, errors and drops, received and sent.
_COUNTERS = itemgetter(0, 8, 1, 9, 2, 10, 3, 11)
_NEVER_USED = frozenset({b"0"})
# The speed is in Mbit/s, -1 where it is not known. A faster link than this is none.
_MEGABITS_MAX = 1 << 30


class Interface(NamedTuple):
    """The counters of one interface since it appeared. *Absent:* out of range."""

    received_bytes: int | None
    sent_bytes: int | None
    received_packets: int | None
    sent_packets: int | None
    received_errors: int | None
    sent_errors: int | None
    received_drops: int | None
    sent_drops: int | None


NamedInterface = tuple[str, Interface]


class Link(Struct, frozen=True):
    """What `/sys` says of an interface. *Absent:* null, with the reason."""

    speed_bits_per_second: int | None = None
    is_up: bool | None = None
    reason: Absence | None = None


def parse_net_dev(text: bytes, known: dict[bytes, NamedInterface] | None = None) -> Mapping[str, Interface]:
    """Every interface that was ever used, by name. *Range:* the first INTERFACES_MAX. *Raises:* KernelFormatError.

    `known` has the lines of the last time with what they say, and has those of this time afterwards: most of a thousand
    interfaces have moved nothing since.

    *Source:* linux/net/core/net-procfs.c: two lines of headings, then `name: 8 numbers received, 8 numbers sent`.
    """
    before = {} if known is None else dict(known)
    found: dict[bytes, NamedInterface] = {}
    for line in text.split(b"\n", INTERFACES_MAX)[:INTERFACES_MAX]:
        said = before.get(line) or _parse_line(line)
        if said is not None:
            found[line] = said
    if not found and b"|bytes" not in text:
        raise KernelFormatError("/proc/net/dev", f"cannot be read: {text[:80]!r}")
    if known is not None:
        known.clear()
        known.update(found)
    return dict(found.values())


def _parse_line(line: bytes) -> NamedInterface | None:
    """A name may hold a colon (an alias of old kernels), numbers do not."""
    name, colon, rest = line.rpartition(b":")
    words = rest.split()
    # Virtual interfaces exist in hundreds that nobody ever used.
    if not colon or len(words) < _FIELDS or _NEVER_USED.issuperset(words):
        return None
    return readable(name.strip(), NAME_CHARACTERS_MAX), Interface._make(_COUNTERS(wholes(words[:_FIELDS])))


def parse_total_bytes(text: bytes) -> int:
    """What all interfaces have received and sent so far. *Range, Source:* as `parse_net_dev`. *Raises:* KernelFormatError."""
    total, is_found = 0, b"|bytes" in text
    for line in text.split(b"\n", INTERFACES_MAX)[:INTERFACES_MAX]:
        _, colon, rest = line.rpartition(b":")
        # Received bytes are the first number, sent bytes the ninth.
        words = rest.split(None, _SENT + 1)
        if colon and len(words) > _SENT:
            is_found = True
            total += (whole(words[0]) or 0) + (whole(words[_SENT]) or 0)
    if not is_found:
        raise KernelFormatError("/proc/net/dev", f"cannot be read: {text[:80]!r}")
    return total


def parse_speed(text: bytes) -> int | None:
    """Bits a second. *Absent:* the link is down or has no speed. *Source:* linux/Documentation/ABI/testing/sysfs-class-net."""
    number = whole(text.strip())
    return number * 1_000_000 if number is not None and 0 < number <= _MEGABITS_MAX else None


def parse_operstate(text: bytes) -> bool:
    """Whether packets can go through. A state of `unknown` counts as up, since its driver says nothing.

    *Source:* linux/Documentation/networking/operstates.rst.
    """
    return text.strip() in (b"up", b"unknown")


class Interfaces:
    """The interfaces from tick to tick."""

    def __init__(self) -> None:
        self._devices = Devices()
        self._lines: dict[bytes, NamedInterface] = {}

    def parse(self, text: bytes) -> Mapping[str, Interface]:
        """What `parse_net_dev` gives."""
        return parse_net_dev(text, self._lines)

    def increases(self, interfaces: Mapping[str, Interface]) -> dict[str, Increase]:
        """Since the last tick, by name."""
        return self._devices.increases(interfaces)


def named_interfaces(increases: Mapping[str, Increase]) -> tuple[list[str], list[str]]:
    """Those with a row of their own, which have the most bytes, and all others."""
    return busiest(increases, (0, 1), ROWS_MAX)


def network_rows(
    increases: Mapping[str, Increase], names: tuple[Sequence[str], Sequence[str]], links: Mapping[str, Link], interval: HostInterval
) -> list[Row]:
    """Rows of `host_network`. *Shape:* the named interfaces in order, then all others summed."""
    named, others = names
    # The network is that of another namespace than the agent's, whose links are not seen.
    unknown = Link(reason=Absence.OTHER_NETWORK_NAMESPACE)
    rows = [_row(name, 1, increases[name], links.get(name, unknown), interval) for name in named]
    if others:
        together = summed([increases[name] for name in others])
        rows.append(_row(None, len(others), together, Link(reason=Absence.SEVERAL), interval))
    return rows


def _row(name: str | None, interfaces: int, increase: Increase, link: Link, interval: HostInterval) -> Row:
    reasons = [reason for reason in (increase.reason, link.reason) if reason is not None]
    if increase.is_known and None in increase.counters:
        reasons.append(Absence.OUT_OF_RANGE)
    return (
        interval.wall_ns, name, interfaces, *increase.counters, link.speed_bits_per_second,
        _utilisation(increase, link, interval), link.is_up, joined(reasons),
    )  # fmt: skip


def _utilisation(increase: Increase, link: Link, interval: HostInterval) -> float | None:
    received, sent = increase.counters[:2]
    if received is None or sent is None or interval.elapsed_ns is None or link.speed_bits_per_second is None:
        return None
    return max(received, sent) * 8 * S / (interval.elapsed_ns * link.speed_bits_per_second)
