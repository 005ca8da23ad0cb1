"""The settings of a hub. PURE."""

from agent.fleet.joined import check_endpoint
from agent.model.timebase import DAY, MINUTE, MS, S
from agent.setting import Address, AnySetting, Duration, Hosts, Text, Whole


class Listen(Text):
    """Where nodes report: `tcp://ADDRESS:PORT`, or nothing."""

    @property
    def accepted(self) -> str:
        return "tcp://ADDRESS:PORT, such as tcp://0.0.0.0:9465 or tcp://[::]:9465; empty: this agent is no hub"

    def parse(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("no text")
        return check_endpoint(value) if value else ""


HUB_LISTEN = Listen("hub.listen", "", "where nodes report, tcp://ADDRESS:9465; empty: this agent is no hub")
HUB_JOIN_PORT = Whole("hub.join_port", 9466, 1, 65535, "TCP port at which invited nodes join, at the address of hub.listen")
HUB_NAME = Text("hub.name", "", "the hub's name in answers and pages; empty: the host's name")
HUB_ADVERTISE = Text(
    "hub.advertise", "", "host name or address in invitations, by which nodes reach this hub; empty: hub.listen, or the host's name"
)
# As Prometheus, Consul and others: a beat costs 48 bytes, and three of them are noticed by a person.
HUB_BEAT = Duration("hub.beat", 1 * S, 100 * MS, 60 * S, "how often nodes beat")
HUB_STALE = Duration("hub.stale", 90 * S, 1 * S, 1 * DAY, "silence after which a node leaves scheduling, with all that runs on it")
# A CURVE handshake costs about a millisecond of one core.
HUB_ADMISSIONS = Whole(
    "hub.admissions", 200, 1, 10_000, "how many nodes a second are greeted, after the hub or a network came back"
)
HUB_NODES_MAX = Whole("hub.nodes_max", 20_000, 1, 100_000, "how many nodes may have joined")
HUB_ADDRESS = Address("hub.address", "127.0.0.1", "IP address that serves the fleet's page and /v1; empty: none")
HUB_PORT = Whole("hub.port", 9467, 0, 65535, "its TCP port; 0: the system chooses one, `agentctl hub list` shows it")
HUB_ALLOWED_HOSTS = Hosts(
    "hub.allowed_hosts",
    "",
    "host names that requests may use, beside localhost and (on other than loopback addresses) IP addresses; *: every name",
)
HUB_TOKEN_FILE = Text("hub.token_file", "", "file of the token that clients beyond this host bring; empty: none")
HUB_TLS_CERT_FILE = Text("hub.tls_cert_file", "", "PEM file of the certificate of page and /v1; empty: no TLS")
HUB_TLS_KEY_FILE = Text("hub.tls_key_file", "", "PEM file of its key; empty: it is in the certificate's file")
HUB_TRUSTED_PROXY = Text("hub.trusted_proxy", "", "IP address of the reverse proxy that authenticates people; empty: none")
HUB_INVITATION_TTL = Duration("hub.invitation_ttl", 60 * MINUTE, 1 * S, 365 * DAY, "how long an invitation can be used")

HUB_SETTINGS: tuple[AnySetting, ...] = (
    HUB_LISTEN,
    HUB_JOIN_PORT,
    HUB_NAME,
    HUB_ADVERTISE,
    HUB_BEAT,
    HUB_STALE,
    HUB_ADMISSIONS,
    HUB_NODES_MAX,
    HUB_ADDRESS,
    HUB_PORT,
    HUB_ALLOWED_HOSTS,
    HUB_TOKEN_FILE,
    HUB_TLS_CERT_FILE,
    HUB_TLS_KEY_FILE,
    HUB_TRUSTED_PROXY,
    HUB_INVITATION_TTL,
)
