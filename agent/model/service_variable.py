"""Recognizes environment variables that Kubernetes and Docker made from a service's name and that are not settings. PURE.

A pod gets some variables for each service of its namespace, unless it says `enableServiceLinks: false`. A service named
`evergauge-gateway` so sets EVERGAUGE_GATEWAY_PORT, which is a setting's name too: there only the value tells them apart.
*Source:* kubernetes/pkg/kubelet/envvars/envvars.go; moby/daemon/links/links.go (`docker run --link`).
"""

import re

PREFIX = "EVERGAUGE_"

# A service's name is a DNS label of at most 63 characters, a port's has at most 15; a container's name may be longer. The bound
# keeps the match linear.
_WORDS = "[A-Za-z0-9_.]{1,255}"
_PORT = "PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)(?:_(?:PROTO|ADDR|PORT|START|END|PORT_START|PORT_END))?"
_NAME = re.compile(f"EVERGAUGE(?:_{_WORDS})?_(?:SERVICE_HOST|SERVICE_PORT(?:_{_WORDS})?|{_PORT}|ENV_{_WORDS})")
# `tcp://10.0.0.1:9464`, `tcp://[fd00::1]:9464`
_ENDPOINT = re.compile("(?:tcp|udp|sctp)://[^/ ]{1,255}")
# `/web/evergauge`: the container that is linked, and the name it has there.
_LINK = re.compile("/[^/ ]{1,255}/[^/ ]{1,255}")


def is_service_variable(name: str, value: str) -> bool:
    """Whether a service or a linked container named evergauge, or evergauge-something, makes this variable."""
    if name.endswith("_PORT") and name.startswith(PREFIX) and _ENDPOINT.fullmatch(value):
        return True
    if name.endswith("_NAME") and name.startswith(PREFIX) and _LINK.fullmatch(value):
        return True
    return _NAME.fullmatch(name) is not None
