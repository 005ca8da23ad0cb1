"""`/proc/net/dev` of several kernels, the links, and the rows of interfaces."""

from pathlib import Path
from typing import Any

import pytest

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from agent.model.timebase import S
from workers.host.interval import HostInterval
from workers.host.network import (
    INTERFACES_MAX,
    ROWS_MAX,
    Interface,
    Interfaces,
    Link,
    named_interfaces,
    network_rows,
    parse_net_dev,
    parse_operstate,
    parse_speed,
    parse_total_bytes,
)
from workers.host.schema import HOST_NETWORK

FIXTURES = Path(__file__).parents[3] / "fixtures" / "host"
TICK = HostInterval(wall_ns=7, elapsed_ns=S)
UP = Link(speed_bits_per_second=1_000_000_000, is_up=True)


def _rows(interfaces: Interfaces, now: dict[str, Interface], links: dict[str, Link] | None = None) -> list[dict[str, Any]]:
    increases = interfaces.increases(now)
    names = named_interfaces(increases)
    links = dict.fromkeys(now, UP) if links is None else links
    return [dict(zip(HOST_NETWORK.column_names, row, strict=True)) for row in network_rows(increases, names, links, TICK)]


def _interface(number: int) -> Interface:
    return Interface(*[number] * 8)


def test_counters_come_from_their_places() -> None:
    """Received and sent, without a blank behind the name in old kernels."""
    found = parse_net_dev((FIXTURES / "linux-3.10" / "net-dev").read_bytes())
    assert found["eth0"] == Interface(1203344221, 4294967295, 902211, 812331, 3, 0, 17, 0)
    assert "eth0:1" not in found
    assert found["lo"].received_bytes == found["lo"].sent_bytes == 41223112


def test_the_last_kernel_is_read() -> None:
    """Interfaces that were never used are left out: hundreds may be there."""
    assert set(parse_net_dev((FIXTURES / "linux-6.18" / "net-dev").read_bytes())) == {"lo", "eth0"}


def test_lines_that_did_not_change_are_not_read_again() -> None:
    """They say the same; an interface that is gone is forgotten."""
    interfaces = Interfaces()
    line = b"%s: 1 1 0 0 0 0 0 0 %d 1 0 0 0 0 0 0\n"
    first = interfaces.parse(line % (b"a", 1) + line % (b"b", 1))
    assert {each.reason for each in interfaces.increases(first).values()} == {Absence.FIRST_TICK}
    second = interfaces.parse(line % (b"a", 1) + line % (b"b", 3))
    assert second["a"] is first["a"]
    assert [each.counters[:2] for each in interfaces.increases(second).values()] == [(0, 0), (0, 2)]
    assert set(interfaces.parse(line % (b"b", 3))) == {"b"}
    assert interfaces.parse(line % (b"a", 1))["a"] is not first["a"]


def test_the_total_is_that_of_all_interfaces() -> None:
    """As the sum over their rows would be."""
    for name in ("linux-3.10", "linux-6.18"):
        text = (FIXTURES / name / "net-dev").read_bytes()
        rows = parse_net_dev(text).values()
        assert parse_total_bytes(text) == sum((row.received_bytes or 0) + (row.sent_bytes or 0) for row in rows) > 0
    assert parse_total_bytes(b"Inter-|   Receive |  Transmit\n face |bytes    packets|bytes\n") == 0
    with pytest.raises(KernelFormatError):
        parse_total_bytes(b"garbage: 1 2\n")


def test_a_network_without_interfaces_has_none() -> None:
    """The headings say that it is the file."""
    assert parse_net_dev(b"Inter-|   Receive |  Transmit\n face |bytes    packets|bytes\n") == {}
    with pytest.raises(KernelFormatError):
        parse_net_dev(b"garbage\n")


def test_lines_that_are_too_many_or_too_short_are_left_out() -> None:
    """The kernel writes neither; a name of foreign bytes is made readable."""
    text = b"".join(b"v%d: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n" % number for number in range(INTERFACES_MAX + 5))
    assert len(parse_net_dev(text)) == INTERFACES_MAX
    assert parse_net_dev(b"eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")["eth0:1"].sent_bytes == 9
    assert list(parse_net_dev(b"a: 1 1\n\x1b\xff: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n")) == ["\\x1b\\xff"]


@pytest.mark.parametrize(
    ("text", "speed"), [(b"1000\n", 1_000_000_000), (b"-1\n", None), (b"0\n", None), (b"4294967295\n", None), (b"", None)]
)
def test_a_speed_is_positive(text: bytes, speed: int | None) -> None:
    """Drivers say -1, or that number without a sign, where they do not know."""
    assert parse_speed(text) == speed


@pytest.mark.parametrize(
    ("text", "is_up"), [(b"up\n", True), (b"unknown\n", True), (b"down\n", False), (b"lowerlayerdown\n", False)]
)
def test_an_unknown_state_counts_as_up(text: bytes, is_up: bool) -> None:
    """A driver that says nothing, such as that of the loopback, carries packets."""
    assert parse_operstate(text) is is_up


def test_utilisation_is_that_of_the_busier_direction() -> None:
    """Ten million bytes in a second of a link of one gigabit are eight percent."""
    interfaces = Interfaces()
    _rows(interfaces, {"eth0": _interface(1)})
    (row,) = _rows(interfaces, {"eth0": _interface(1)._replace(sent_bytes=10_000_001)})
    assert (row["sent_bytes"], row["received_bytes"], row["utilisation"], row["is_up"]) == (10_000_000, 0, 0.08, True)
    assert row["absent"] is None


def test_what_is_not_known_says_why() -> None:
    """A first tick, a counter that fell, a number out of range, and a link that nobody could read."""
    interfaces = Interfaces()
    (first,) = _rows(interfaces, {"eth0": _interface(5)}, {})
    (fell,) = _rows(interfaces, {"eth0": _interface(5)._replace(sent_drops=4)}, {"eth0": Link(reason=Absence.NOT_ANSWERED)})
    _rows(interfaces, {"eth0": _interface(5)._replace(sent_errors=None)})
    (odd,) = _rows(interfaces, {"eth0": _interface(5)._replace(sent_errors=None)})
    assert (first["sent_bytes"], first["is_up"], first["absent"]) == (None, None, "first_tick,other_network_namespace")
    assert (fell["received_bytes"], fell["absent"]) == (None, "counter_reset,not_answered")
    assert (odd["sent_errors"], odd["sent_bytes"], odd["absent"]) == (None, 0, "out_of_range")


def test_a_storm_of_interfaces_is_summed_but_the_busiest() -> None:
    """A thousand of them have as many rows as the limit, and one for all others."""
    interfaces = Interfaces()
    names = [f"veth{number:04}" for number in range(1000)]
    _rows(interfaces, dict.fromkeys(names, _interface(1)))
    rows = _rows(interfaces, {name: _interface(2 + number) for number, name in enumerate(names)})
    assert len(rows) == ROWS_MAX + 1
    assert (rows[-1]["interface"], rows[-1]["interfaces"], rows[-1]["is_up"], rows[-1]["absent"]) == (None, 936, None, "several")
    assert sum(row["sent_bytes"] for row in rows) == sum(range(1, 1001))
    assert [row["interface"] for row in rows[:-1]] == names[936:]
