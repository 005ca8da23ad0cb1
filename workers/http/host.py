"""The host names under which a server answers. PURE.

A web page cannot read what another host answers, but it can give its own name the address 127.0.0.1 once it is loaded (DNS
rebinding); the browser then takes this server for the page's own server. Its request still carries the page's name as Host, and
no page has one of the names here.
"""

from msgspec import Struct

from agent.model.host import is_literal, is_loopback, parse_host, parse_host_list
from workers.http.request import HttpRequest, Refusal


class HostPolicy(Struct, frozen=True):
    """The names beside those of the loopback device; `has_literals`: every IP address too, which no name server can give out.

    `remedy`: the setting that adds names.
    """

    names: frozenset[str]
    has_literals: bool
    remedy: str

    def refusal(self, request: HttpRequest) -> Refusal | None:
        """Why a request is not answered, whatever its path and method; None: it is."""
        if request.host is None or self._allows(request.host):
            return None
        return Refusal(421, f"This server does not answer to the host name of the request; {self.remedy} adds names.")

    def _allows(self, host: str) -> bool:
        return is_loopback(host) or not self.names.isdisjoint((host, "*")) or (self.has_literals and is_literal(host))


def is_beyond_loopback(address: str) -> bool:
    """Whether a server at this address can be reached from other hosts. One that is no address cannot be served at all."""
    bound = parse_host(f"[{address}]" if ":" in address else address)
    return bound is not None and is_literal(bound) and not is_loopback(bound)


def host_policy(address: str, allowed_hosts: str, remedy: str = "gateway.allowed_hosts (--gateway-allowed-hosts)") -> HostPolicy:
    """The policy of a server at this address. Beyond the loopback device clients name it by one of the host's addresses."""
    return HostPolicy(parse_host_list(allowed_hosts), has_literals=is_beyond_loopback(address), remedy=remedy)
