"""The files of a network namespace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import KernelFormatError
from workers.unit.network_reading import Counters, grown, parse_namespace, parse_retransmits, parse_sockets

# Linux 6.12, a pod.
DEV = b"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9000000      99    0    1    0     0          0         0  9000000      99    0    1    0     0       0          0
  eth0:    1500      12    0    2    0     0          0         0     700       7    0    1    0     0       0          0
  net1:     500       3    0    0    0     0          0         0     300       2    0    0    0     0       0          0
"""
SNMP = b"""Ip: Forwarding DefaultTTL
Ip: 2 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs
Tcp: 1 200 120000 -1 4 0 0 0 2 80 70 5
"""
SOCKSTAT = b"sockets: used 12\nTCP: inuse 4 orphan 0 tw 0 alloc 5 mem 1\nUDP: inuse 1 mem 0\n"
SOCKSTAT6 = b"TCP6: inuse 3\nUDP6: inuse 0\n"


def test_interfaces_are_summed_without_the_loopback() -> None:
    """What a unit says to itself is not traffic."""
    assert parse_namespace(DEV) == (2000, 1000, 15, 9, 2, 1)


def test_a_namespace_with_nothing_but_a_loopback_has_zeros() -> None:
    """It is known that nothing was moved."""
    assert parse_namespace(b"\n".join(DEV.split(b"\n")[:3])) == (0, 0, 0, 0, 0, 0)


def test_a_number_out_of_range_makes_its_sum_unknown() -> None:
    """Never a smaller one."""
    assert parse_namespace(DEV.replace(b" 1500 ", b" 99999999999999999999 ")) == (None, 1000, 15, 9, 2, 1)


def test_retransmits_and_sockets() -> None:
    """Of both protocols, where there are both."""
    assert parse_retransmits(SNMP) == 5
    assert parse_sockets(SOCKSTAT, SOCKSTAT6) == 7
    assert parse_sockets(SOCKSTAT, None) == 4


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [((1, 2), (3, 2), (2, 0)), ((1, 2), (0, 5), (None, 3)), ((None, 2), (1, None), (None, None))],
)
def test_a_counter_that_fell_is_that_of_another_interface(before: Counters, now: Counters, found: Counters) -> None:
    """Its difference is unknown."""
    assert grown(before, now) == found


def test_what_is_no_such_file_is_refused() -> None:
    """And is not an empty network."""
    with pytest.raises(KernelFormatError):
        parse_namespace(b"")


def test_every_prefix_and_every_altered_byte_is_read_or_refused() -> None:
    """Nothing else is raised."""
    for text in (DEV, SNMP, SOCKSTAT, SOCKSTAT6):
        for at in range(len(text)):
            for changed in (text[:at], text[:at] + b"\xff" + text[at + 1 :], text[:at] + b"9" + text[at + 1 :]):
                any_reading(changed)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    """Nothing else is raised."""
    any_reading(text)
    any_reading(b"|bytes\n" + text)


def any_reading(text: bytes) -> None:
    """By every parser."""
    for parse in (parse_namespace, parse_retransmits, lambda text: parse_sockets(text, text)):
        try:
            parse(text)
        except KernelFormatError:
            continue
