"""The settings of a merger: from which topics it takes rows, how often it commits, and where it publishes marks. PURE."""

import re

from agent.model.host import PORT_MAX
from agent.model.timebase import MINUTE, MS, S
from agent.setting import MIB, AnySetting, Choice, Duration, Size, Switch, Text

_BROKER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,100}")
_REDIS = re.compile(
    r"rediss?://(?:[A-Za-z0-9._-]{1,100}@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?(?:/[0-9]{0,4})?"
)
_REDIS_PATH = re.compile(r"/[^?#\s]*")
_REDIS_PATH_BYTES_MAX = 100


class Brokers(Text):
    """Where a cluster is reached: `HOST:PORT` of one or more brokers."""

    @property
    def accepted(self) -> str:
        return "HOST:PORT of one or more brokers, separated by commas; empty: this agent merges nothing"

    def parse(self, value: object) -> str:
        text = super().parse(value)
        words = [word.strip() for word in text.split(",") if word.strip()]
        for word in words:
            found = _BROKER.fullmatch(word)
            if found is None or int(found["port"] or 0) > PORT_MAX:
                raise ValueError(f"{word!r} is no HOST:PORT")
        return ",".join(words)


class KafkaName(Text):
    """A name as Kafka has it for groups and topics."""

    @property
    def accepted(self) -> str:
        return "letters, digits and . _ -"

    def parse(self, value: object) -> str:
        text = super().parse(value)
        if (_NAME if self.default else _PREFIX).fullmatch(text) is None:
            raise ValueError(f"{text!r} has other signs, or too many")
        return text


class RedisAddress(Text):
    """Where a Redis server is: `redis://HOST:PORT/DB`, the same over TLS, or `unix:///PATH`."""

    @property
    def accepted(self) -> str:
        return "redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH, without a password; empty: none"

    def parse(self, value: object) -> str:
        return check_redis(super().parse(value))


def check_redis(text: str) -> str:
    """An address of Redis as it is written in settings, or nothing. *Raises:* ValueError."""
    if not text:
        return text
    if (path := text.removeprefix("unix://")) != text:
        if _REDIS_PATH.fullmatch(path) is None or len(path.encode()) > _REDIS_PATH_BYTES_MAX:
            raise ValueError(f"a socket is written unix:///PATH, with at most {_REDIS_PATH_BYTES_MAX} bytes")
        return text
    found = _REDIS.fullmatch(text)
    if found is None or int(found["port"] or 0) > PORT_MAX:
        raise ValueError("a server is written redis://HOST:PORT/DB or rediss://HOST:PORT/DB; its password stands in a file")
    return text


MERGER_BROKERS = Brokers(
    "merger.brokers", "", "brokers from whose topics this agent fills the store at lake.url, HOST:PORT; empty: it does not"
)
MERGER_GROUP = KafkaName("merger.group", "evergauge-merger", "consumer group of the mergers that share the work")
MERGER_TOPIC_PREFIX = KafkaName(
    "merger.topic_prefix", "", "what stands before the names of all topics, as in the sinks that fill them"
)
# Each commit makes a file of each table; a mark is at most so much older than what the broker has.
MERGER_INTERVAL = Duration("merger.interval", 2 * S, 100 * MS, 10 * MINUTE, "how long rows are gathered for one commit")
MERGER_COMMIT_BYTES = Size("merger.commit_bytes", 8 * MIB, MIB, 256 * MIB, "a commit comes earlier with so many bytes of messages")
# A merger that was killed keeps its partitions for so long from the others.
MERGER_SESSION = Duration(
    "merger.session", 10 * S, 1 * S, 5 * MINUTE, "silence after which a merger's partitions are given to others of its group"
)
MERGER_SECURITY = Choice(
    "merger.security", "plaintext", ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"), "as sinks of kind kafka have it"
)
MERGER_CA_FILE = Text("merger.ca_file", "", "PEM file of the authorities that sign the brokers' certificates; empty: the system's")
MERGER_CERT_FILE = Text("merger.cert_file", "", "PEM file of the certificate that the merger shows; empty: none")
MERGER_KEY_FILE = Text("merger.key_file", "", "PEM file of its key; empty: it is in merger.cert_file")
MERGER_TLS_VERIFY = Switch(
    "merger.tls_verify", True, "whether the brokers' certificates are checked; false only for tests, anybody can then read along"
)
MERGER_SASL_MECHANISM = Choice(
    "merger.sasl_mechanism", "PLAIN", ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), "how the password is shown to the brokers"
)
MERGER_USER = Text("merger.user", "", "user of sasl_plaintext and sasl_ssl, with a password")
MERGER_PASSWORD_FILE = Text("merger.password_file", "", "file of the password; empty: none")
MERGER_PASSWORD_VARIABLE = Text(
    "merger.password_variable", "", "name of the environment variable that holds the password; empty: none"
)
MARKS_REDIS = RedisAddress("marks.redis", "", "Redis in which mergers publish how far the store is, for routers; empty: none")
MARKS_PASSWORD_FILE = Text("marks.password_file", "", "file of the password of Redis; empty: none")

MERGER_SETTINGS: tuple[AnySetting, ...] = (
    MERGER_BROKERS,
    MERGER_GROUP,
    MERGER_TOPIC_PREFIX,
    MERGER_INTERVAL,
    MERGER_COMMIT_BYTES,
    MERGER_SESSION,
    MERGER_SECURITY,
    MERGER_CA_FILE,
    MERGER_CERT_FILE,
    MERGER_KEY_FILE,
    MERGER_TLS_VERIFY,
    MERGER_SASL_MECHANISM,
    MERGER_USER,
    MERGER_PASSWORD_FILE,
    MERGER_PASSWORD_VARIABLE,
)
MARKS_SETTINGS: tuple[AnySetting, ...] = (MARKS_REDIS, MARKS_PASSWORD_FILE)
