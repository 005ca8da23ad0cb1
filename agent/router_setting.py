"""The settings of a router. PURE."""

from agent.model.timebase import MINUTE, S
from agent.setting import MIB, Address, AnySetting, Duration, Hosts, Size, Text, Whole

ROUTER_ADDRESS = Address("router.address", "127.0.0.1", "IP address that serves questions over HTTP")
ROUTER_PORT = Whole("router.port", 0, 0, 65535, "its TCP port, such as 9468; 0: this agent is no router")
ROUTER_ALLOWED_HOSTS = Hosts(
    "router.allowed_hosts",
    "",
    "host names that requests may use, beside localhost and (on other than loopback addresses) IP addresses; *: every name",
)
ROUTER_TOKEN_FILE = Text("router.token_file", "", "file of the token that clients beyond this host bring; empty: none")
ROUTER_TLS_CERT_FILE = Text("router.tls_cert_file", "", "PEM file of the certificate; empty: no TLS")
ROUTER_TLS_KEY_FILE = Text("router.tls_key_file", "", "PEM file of its key; empty: it is in the certificate's file")
ROUTER_TRUSTED_PROXY = Text("router.trusted_proxy", "", "IP address of the reverse proxy that authenticates people; empty: none")
# Each is a process of its own on a core of its own.
ROUTER_QUESTIONS = Whole("router.questions", 2, 1, 64, "how many questions are answered at a time")
ROUTER_TIMEOUT = Duration("router.timeout", 60 * S, 1 * S, 10 * MINUTE, "how long one question may take")
ROUTER_MEMORY = Size("router.memory", 1024 * MIB, 256 * MIB, 65536 * MIB, "how much memory one question may take")
ROUTER_LOOK = Duration("router.look", 60 * S, 1 * S, 60 * MINUTE, "how often to look whether new windows have their sketches")

ROUTER_SETTINGS: tuple[AnySetting, ...] = (
    ROUTER_ADDRESS,
    ROUTER_PORT,
    ROUTER_ALLOWED_HOSTS,
    ROUTER_TOKEN_FILE,
    ROUTER_TLS_CERT_FILE,
    ROUTER_TLS_KEY_FILE,
    ROUTER_TRUSTED_PROXY,
    ROUTER_QUESTIONS,
    ROUTER_TIMEOUT,
    ROUTER_MEMORY,
    ROUTER_LOOK,
)
