"""`/proc/net/snmp` and `/proc/net/sockstat`."""

from pathlib import Path

import pytest

from agent.model.errors import KernelFormatError
from workers.host.tcp import parse_snmp, parse_sockstat

FIXTURE = Path(__file__).parents[3] / "fixtures" / "host" / "linux-6.18"


def test_a_number_is_found_by_its_name() -> None:
    """The line of names says at which place."""
    assert parse_snmp((FIXTURE / "net-snmp").read_bytes()) == {"tcp_retransmits": 190}
    assert parse_snmp(b"Tcp: RetransSegs InSegs\nTcp: 5 6\n") == {"tcp_retransmits": 5}
    assert parse_snmp(b"Tcp: RetransSegs InSegs\nTcp: x 6\n") == {"tcp_retransmits": None}


@pytest.mark.parametrize("text", [b"", b"Tcp: A\nTcp: 1\n", b"Tcp: RetransSegs B\nTcp: 1\n", b"Tcp: \nTcp: \n", b"Udp: 1\n"])
def test_counters_without_that_name_are_refused(text: bytes) -> None:
    """Nothing is taken from another place."""
    with pytest.raises(KernelFormatError):
        parse_snmp(text)


def test_sockets_are_counted_by_protocol() -> None:
    """`TCP` is IPv4 alone."""
    text = b"sockets: used 17\nTCP: inuse 4 orphan 0\nTCP6: inuse 9\n"
    assert (parse_sockstat(text, b"TCP"), parse_sockstat(text, b"TCP6")) == (4, 9)


@pytest.mark.parametrize("text", [b"", b"TCP: orphan 3\n", b"TCP: inuse\n", b"TCP: inuse x\n", b"UDP: inuse 1\n"])
def test_a_file_without_the_count_is_refused(text: bytes) -> None:
    """Nothing is taken for a zero."""
    with pytest.raises(KernelFormatError):
        parse_sockstat(text, b"TCP")
