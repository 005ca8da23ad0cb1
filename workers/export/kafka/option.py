"""The settings of a sink of kind `kafka`, and what cannot be used together. PURE."""

from collections.abc import Mapping

from msgspec import Struct

from agent.endpoint import parse_endpoint
from agent.model.errors import ConfigError
from agent.model.timebase import MS, S
from agent.setting import KIB, MIB, AnySetting, Choice, Duration, Size, Text, Whole
from agent.topic.topic import PARTITIONS_DEFAULT, PARTITIONS_MAX, TOPIC_LENGTH_MAX, TOPIC_LETTERS
from workers.export.http_option import CA_FILE, CERT_FILE, KEY_FILE, TLS_VERIFY
from workers.export.sink import SinkValues

BROKERS = Text("brokers", "", "some of the brokers to ask first: HOST:PORT, separated by commas")
TOPIC_PREFIX = Text("topic_prefix", "", "what stands before the name of each topic, such as `eu-1.`")
PARTITIONS = Whole(
    "partitions",
    PARTITIONS_DEFAULT,
    1,
    PARTITIONS_MAX,
    "partitions of a topic that the sink makes; topics that are there keep theirs",
)
REPLICATION = Whole("replication", -1, -1, 100, "copies of a topic that the sink makes; -1: as the brokers are set")
# Below what brokers take by default (1,048,588 bytes), with headers.
MESSAGE_BYTES = Size("message_bytes", 900_000, 4 * KIB, 8 * MIB, "longest message before compression; longer batches are divided")
SECURITY = Choice(
    "security", "plaintext", ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"), "TLS (ssl), a user with a password (sasl), or both"
)
SASL_MECHANISM = Choice(
    "sasl_mechanism", "PLAIN", ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), "how the password is shown to the brokers"
)
USER = Text("user", "", "user of sasl_plaintext and sasl_ssl, with password_file or password_variable")
PASSWORD_FILE = Text("password_file", "", "file of the password, read again after each failure; empty: none")
PASSWORD_VARIABLE = Text("password_variable", "", "name of the environment variable that holds the password; empty: none")
ANSWER_TIMEOUT = Duration(
    "answer_timeout", 10 * S, 1 * S, 600 * S, "how long one delivery may take, from the first message to the end of its transaction"
)

OPTIONS: tuple[AnySetting, ...] = (
    BROKERS,
    TOPIC_PREFIX,
    PARTITIONS,
    REPLICATION,
    MESSAGE_BYTES,
    SECURITY,
    SASL_MECHANISM,
    CA_FILE,
    CERT_FILE,
    KEY_FILE,
    TLS_VERIFY,
    USER,
    PASSWORD_FILE,
    PASSWORD_VARIABLE,
    ANSWER_TIMEOUT,
)
BROKERS_MAX = 64
# The longest name of a table has to fit behind it.
PREFIX_LENGTH_MAX = TOPIC_LENGTH_MAX - 100
_EXAMPLE = "write HOST:PORT,HOST:PORT"


class KafkaSetup(Struct, frozen=True):
    """What a section asks for. `password` is what was found in its file or variable, and stands in no sentence."""

    brokers: str
    topic_prefix: str
    partitions: int
    replication: int
    message_bytes: int
    answer_timeout_ns: int
    library: Mapping[str, str | int | bool]

    @property
    def place(self) -> str:
        """The brokers, for sentences."""
        first, comma, _ = self.brokers.partition(",")
        return f"{first} and others" if comma else first


def check_kafka(values: SinkValues) -> KafkaSetup:
    """What a section asks for, without its password. *Raises:* ConfigError. No file is looked at."""
    security = values.of(SECURITY)
    has_user, has_tls = security.startswith("sasl"), security.endswith("ssl")
    prefix = values.of(TOPIC_PREFIX)
    if not TOPIC_LETTERS.issuperset(prefix) or len(prefix) > PREFIX_LENGTH_MAX:
        raise ConfigError(TOPIC_PREFIX.key, "Kafka takes no such name", "use letters, digits, `.`, `_` and `-`")
    if values.of(REPLICATION) == 0:
        raise ConfigError(REPLICATION.key, "a topic without copies is none", "write -1, or a number of copies")
    _check_user(values, has_user=has_user)
    _check_tls(values, has_tls=has_tls)
    return KafkaSetup(
        brokers=_brokers(values.of(BROKERS)),
        topic_prefix=prefix,
        partitions=values.of(PARTITIONS),
        replication=values.of(REPLICATION),
        message_bytes=values.of(MESSAGE_BYTES),
        answer_timeout_ns=values.of(ANSWER_TIMEOUT),
        library=_library(values, security, has_user=has_user, has_tls=has_tls),
    )


def producer_options(setup: KafkaSetup, identity: str) -> dict[str, str | int | bool]:
    """How the library is to write: all or nothing, and no more than 8 MiB of it in memory.

    *Source:* librdkafka, CONFIGURATION.md.
    """
    answer_ms = setup.answer_timeout_ns // MS
    return {
        **setup.library,
        "transactional.id": identity,
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "zstd",
        "message.max.bytes": setup.message_bytes + HEAD_ROOM_BYTES,
        "queue.buffering.max.kbytes": QUEUE_BYTES_MAX // KIB,
        "queue.buffering.max.messages": QUEUE_MESSAGES_MAX,
        # All messages of a delivery are there by then, and are compressed together.
        "linger.ms": 2,
        # A dead node's open transaction stops readers of its partitions for so long, and what is older has failed anyway.
        "transaction.timeout.ms": answer_ms,
        "message.timeout.ms": answer_ms,
        # One transaction soon after another meets the end of the first: a tenth of a second would be most of its time.
        "retry.backoff.ms": 20,
        "retry.backoff.max.ms": 500,
    }


def consumer_options(setup: KafkaSetup, group: str) -> dict[str, str | int | bool]:
    """How the library is to read what a group has committed; it never joins the group."""
    return {**setup.library, "group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed"}


HEAD_ROOM_BYTES = 16 << 10
QUEUE_BYTES_MAX = 8 << 20
QUEUE_MESSAGES_MAX = 10_000


def _library(values: SinkValues, security: str, *, has_user: bool, has_tls: bool) -> dict[str, str | int | bool]:
    found: dict[str, str | int | bool] = {
        "bootstrap.servers": _brokers(values.of(BROKERS)),
        "security.protocol": security,
        "client.id": "evergauge",
        # The sink makes topics itself, with the right number of partitions.
        "allow.auto.create.topics": False,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1000,
        "socket.connection.setup.timeout.ms": 5000,
        "socket.keepalive.enable": True,
        "log.connection.close": False,
    }
    if has_user:
        found |= {"sasl.mechanism": values.of(SASL_MECHANISM), "sasl.username": values.of(USER)}
    if has_tls:
        found["enable.ssl.certificate.verification"] = values.of(TLS_VERIFY)
        files = {"ssl.ca.location": CA_FILE, "ssl.certificate.location": CERT_FILE, "ssl.key.location": KEY_FILE}
        found |= {key: path for key, option in files.items() if (path := values.of(option))}
        if values.of(CERT_FILE) and not values.of(KEY_FILE):
            found["ssl.key.location"] = values.of(CERT_FILE)
    return found


def _brokers(text: str) -> str:
    """*Raises:* ConfigError."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or len(words) > BROKERS_MAX:
        raise ConfigError(BROKERS.key, "no broker is named" if not words else f"more than {BROKERS_MAX} are named", _EXAMPLE)
    for word in words:
        if "/" in word or "@" in word:
            raise ConfigError(BROKERS.key, "a broker is no URL", _EXAMPLE)
        # Its rules for a name, an address and a port are those of a URL.
        place = parse_endpoint(f"http://{word}", key=BROKERS.key)
        if not word.endswith(f":{place.port}"):
            raise ConfigError(BROKERS.key, "a broker has no port", _EXAMPLE)
    return ",".join(words)


def _check_user(values: SinkValues, *, has_user: bool) -> None:
    named = [option.key for option in (USER, PASSWORD_FILE, PASSWORD_VARIABLE) if values.of(option)]
    if not has_user and named:
        raise ConfigError(named[0], f"security is {values.of(SECURITY)}, which has no users", "write sasl_ssl, or sasl_plaintext")
    if has_user and not values.of(USER):
        raise ConfigError(USER.key, f"security is {values.of(SECURITY)}", "name a user")
    if has_user and bool(values.of(PASSWORD_FILE)) == bool(values.of(PASSWORD_VARIABLE)):
        raise ConfigError(PASSWORD_FILE.key, "the password is in one file or one variable", "set one of the two")


def _check_tls(values: SinkValues, *, has_tls: bool) -> None:
    named = [option.key for option in (CA_FILE, CERT_FILE, KEY_FILE) if values.of(option)]
    if not has_tls and named:
        raise ConfigError(named[0], f"security is {values.of(SECURITY)}, which has no certificates", "write ssl or sasl_ssl")
    if values.of(KEY_FILE) and not values.of(CERT_FILE):
        raise ConfigError(KEY_FILE.key, "a key without a certificate", "set cert_file too")
