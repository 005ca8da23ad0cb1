"""The host of a URL's authority or of a Host header, in one form that can be compared. PURE.

*Source:* RFC 9110, 4.2 and 7.2; RFC 3986, 3.2.2; RFC 6874 for zones.
"""

import re

PORT_MAX = 65535
# A name of the DNS has 253 characters at most, and a host's own name may hold an underscore.
_NAME = re.compile(r"([A-Za-z0-9_.-]{1,255})(?::([0-9]{0,5}))?")
_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]{2,45})(?:%[A-Za-z0-9_.~%-]{1,64})?\](?::([0-9]{0,5}))?")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")


def parse_host(authority: str) -> str | None:
    """The host without port and zone: a name in small letters without its final dot, or an address in its shortest form.

    *Absent:* None for text that is not a host with an optional port. `user@host` is not one, because HTTP does not allow it.
    """
    found = (_BRACKETS if authority.startswith("[") else _NAME).fullmatch(authority)
    if found is None or int(found[2] or 0) > PORT_MAX:
        return None
    if authority.startswith("["):
        return _shortest(found[1])
    return found[1].lower().removesuffix(".") if found[1].strip(".") else None


def is_literal(host: str) -> bool:
    """Whether a host from `parse_host` is an address and not a name."""
    return ":" in host or _IPV4.fullmatch(host) is not None


def is_loopback(host: str) -> bool:
    """Whether a host from `parse_host` is a loopback address or `localhost`."""
    return host in ("localhost", "::1") or (host.startswith("127.") and is_literal(host))


def parse_host_list(text: str) -> frozenset[str]:
    """The hosts of a comma list, as `parse_host` gives them; `*` stays. *Raises:* ValueError that names a bad word."""
    hosts = set()
    for word in filter(None, (word.strip() for word in text.split(","))):
        bare = f"[{word}]" if ":" in word and not word.startswith("[") else word
        host = word if word == "*" else parse_host(bare)
        # Ports are refused, because only names are compared.
        if host is None or bare.endswith(":") or (not bare.endswith("]") and ":" in bare):
            raise ValueError(f"{word!r} is no host name and no IP address")
        hosts.add(host)
    return frozenset(hosts)


def _shortest(address: str) -> str | None:
    # Imported here: IPv6 addresses are rare, and the import costs 5 ms.
    from ipaddress import IPv6Address

    try:
        found = IPv6Address(address)
    except ValueError:
        return None
    return str(found.ipv4_mapped or found)
