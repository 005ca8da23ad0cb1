"""TCP of a network namespace: `/proc/net/snmp`, `/proc/net/sockstat` and `/proc/net/sockstat6`. PURE."""

from agent.model.errors import KernelFormatError
from workers.host.cpu import Values
from workers.host.number import whole

SNMP_BYTES_MAX = 16 << 10
SOCKSTAT_BYTES_MAX = 4096


def parse_snmp(text: bytes) -> Values:
    """Segments sent again. *Raises:* KernelFormatError. *Source:* linux/net/ipv4/proc.c: a line of names, then one of numbers."""
    names: list[bytes] = []
    for line in text.split(b"\n"):
        if not line.startswith(b"Tcp: "):
            continue
        words = line.split()
        if not names:
            names = words
        elif b"RetransSegs" in names and len(words) == len(names):
            return {"tcp_retransmits": whole(words[names.index(b"RetransSegs")])}
    raise KernelFormatError("/proc/net/snmp", f"has no RetransSegs: {text[:80]!r}")


def parse_sockstat(text: bytes, protocol: bytes) -> int:
    """TCP sockets in use; `protocol` is `TCP` or `TCP6`. *Raises:* KernelFormatError. *Source:* linux/net/ipv4/proc.c."""
    for line in text.split(b"\n"):
        name, colon, rest = line.partition(b":")
        words = rest.split()
        if colon and name == protocol and words[:1] == [b"inuse"] and len(words) > 1 and (number := whole(words[1])) is not None:
            return number
    raise KernelFormatError("/proc/net/sockstat", f"has no {protocol.decode()}: {text[:80]!r}")
