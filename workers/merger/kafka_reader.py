"""A consumer of Kafka as the merger uses it: a member of a group that takes what is committed, from where it is told.

The client is made here, in the process that uses it: librdkafka has threads, which a fork does not take along. Its own offsets,
and its own idea of where to read on, are switched off.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from agent.model.errors import ConfigError, UnavailableError
from agent.model.timebase import MS, S
from agent.secret_text import text_of
from workers.merger.effect import TakenMessage, TopicPartition

if TYPE_CHECKING:
    from confluent_kafka import Consumer

MISSING = "the package confluent-kafka is missing; pip install 'evergauge[kafka]'"
_ANSWER_SECONDS = 5.0
# Of what was fetched and not taken yet, and of one answer of a broker, which is as much once it is unpacked.
_QUEUED_KIB = 8 << 10
_FETCH_BYTES = 8 << 20
_STATISTICS_NS = 5 * S
_SENTENCE_LENGTH_MAX = 300


class ReaderSetup(Struct, frozen=True):
    """How the brokers are reached, and as whom. `member`: a name under which it may come back after a crash; empty: a new one."""

    brokers: str
    group: str
    topic_prefix: str = ""
    member: str = ""
    session_ns: int = 10 * S
    security: str = "plaintext"
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    is_verified: bool = True
    sasl_mechanism: str = "PLAIN"
    user: str = ""
    password_file: str = ""
    password_variable: str = ""
    variables: Mapping[str, str] = {}


class OutOfRange(Struct, frozen=True):
    """A partition has no message of the offset that was asked for: it has those from `low` up to the one before `high`."""

    partition: TopicPartition
    low: int
    high: int


class KafkaReader:
    """For one thread. `problem`: why nothing comes; empty: a broker answers, or was not asked yet.

    `on_assigned` and `on_revoked` are called within `poll` and `close`. *Raises:* ConfigError at its making: the package is
    missing, or a file or word of the setup cannot be used.
    """

    def __init__(
        self, setup: ReaderSetup, on_assigned: Callable[[Iterable[TopicPartition]], None], on_revoked: Callable[[], None]
    ) -> None:
        try:
            from confluent_kafka import Consumer, KafkaException
        except ImportError as cause:
            raise ConfigError("merger.brokers", MISSING) from cause
        self._setup = setup
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self.problem = ""
        self._is_answered = False
        # By partition the end of what is committed there, as the client last saw it.
        self._ends: dict[TopicPartition, int] = {}
        options = {**consumer_options(setup), "error_cb": self._on_error, "stats_cb": self._on_statistics}
        try:
            self._consumer: Consumer = Consumer(options)
        except (KafkaException, ValueError, TypeError) as cause:
            raise ConfigError(
                "merger.brokers", f"no consumer can be made: {cause}", "look at the settings of the merger"
            ) from cause
        topics = [topic_pattern(setup.topic_prefix)]
        self._consumer.subscribe(topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def poll(self, seconds: float) -> TakenMessage | OutOfRange | None:
        """The next message, if one comes within this time. *Raises:* UnavailableError: the client is of no more use."""
        from confluent_kafka import KafkaError

        message = self._consumer.poll(seconds)
        if message is None:
            return None
        error = message.error()
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if error is None:
            assert topic is not None
            assert number is not None
            assert offset is not None
            self.problem, self._is_answered = "", True
            found = cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
            headers = tuple((name, _bytes_of(content)) for name, content in found)
            key, value = _bytes_of(message.key()), _bytes_of(message.value())
            return TakenMessage(TopicPartition(topic, number), offset, headers, key or b"", value or b"")
        if error.fatal():
            raise UnavailableError(self._setup.brokers, f"the consumer cannot go on: {error.str()}", "it begins again by itself")
        if (
            error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
            and topic is not None
            and number is not None
        ):
            return self._range_of(TopicPartition(topic, number))
        self._note(error.str())
        return None

    def consume_from(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Take messages of these partitions alone, from these offsets on; what was fetched is forgotten."""
        self._consumer.assign([_client_partition(partition, offset) for partition, offset in offsets.items()])

    def pause(self) -> None:
        """Give no messages; what was fetched is forgotten."""
        self._consumer.pause(self._consumer.assignment())

    def resume(self) -> None:
        """Give them again."""
        self._consumer.resume(self._consumer.assignment())

    def tell_group(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Say how far the store is. It is for those who look at lag; nobody waits for it."""
        from confluent_kafka import KafkaException

        # The group may have given the partitions away meanwhile.
        with suppress(KafkaException):
            self._consumer.commit(offsets=[_client_partition(*each) for each in offsets.items()], asynchronous=True)

    def lag(self, positions: Mapping[TopicPartition, int]) -> int:
        """How many offsets lie between these and the ends of their partitions, as far as they are known."""
        return sum(max(0, self._ends.get(partition, 0) - offset) for partition, offset in positions.items())

    def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each of these topics has. *Absent:* topics of which the broker does not say it now."""
        from confluent_kafka import KafkaException

        found: dict[str, int] = {}
        for topic in sorted(set(topics)):
            try:
                known = self._consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics.get(topic)
            except KafkaException as failure:
                self._note(str(failure))
                return found
            if known is not None and known.partitions:
                found[topic] = len(known.partitions)
        return found

    def close(self) -> None:
        """Leave the group; one with a name of its own is waited for by the group."""
        self._consumer.close()

    # ---- calls of the client ----

    def _assigned(self, consumer: "Consumer", partitions: Iterable[Any]) -> None:
        # Nothing is taken before the store has said where each goes on.
        consumer.assign([])
        self._is_answered, self.problem = True, ""
        self._on_assigned([TopicPartition(each.topic, each.partition) for each in partitions])

    def _revoked(self, consumer: "Consumer", _partitions: Iterable[Any]) -> None:
        consumer.unassign()
        self._ends.clear()
        self._on_revoked()

    def _on_error(self, error: Any) -> None:
        """What the client says of its connections; it tries again by itself."""
        from confluent_kafka import KafkaError

        known = {
            KafkaError._ALL_BROKERS_DOWN: "no broker answers",
            KafkaError._AUTHENTICATION: "the brokers do not take user and password",
            KafkaError._SSL: "TLS fails",
            KafkaError._RESOLVE: "a name is not known",
        }
        if error.code() in known:
            self._note(f"{known[error.code()]}: {error.str()}")

    def _on_statistics(self, text: str) -> None:
        """The client's own document: who is connected, and where partitions end."""
        document = json.loads(text)
        brokers = document.get("brokers", {}).values()
        if any(each.get("state") == "UP" for each in brokers):
            self.problem, self._is_answered = "", True
        elif self._is_answered:
            self._note("no broker is connected")
        for topic, each in document.get("topics", {}).items():
            for number, partition in each.get("partitions", {}).items():
                end = partition.get("ls_offset", -1)
                if int(number) >= 0 and end >= 0:
                    self._ends[TopicPartition(topic, int(number))] = end

    def _note(self, problem: str) -> None:
        self.problem = f"{self._setup.brokers}: {problem[:_SENTENCE_LENGTH_MAX]}"

    def _range_of(self, partition: TopicPartition) -> OutOfRange | None:
        from confluent_kafka import KafkaException

        try:
            low, high = self._consumer.get_watermark_offsets(_client_partition(partition), timeout=_ANSWER_SECONDS)
        except (KafkaException, TypeError) as failure:
            # The same message comes again.
            self._note(str(failure))
            return None
        return OutOfRange(partition, low, high)


def consumer_options(setup: ReaderSetup) -> dict[str, Any]:
    """The client's own words for a setup. *Raises:* ConfigError for a file that cannot be read."""
    options: dict[str, Any] = {
        "bootstrap.servers": setup.brokers,
        "group.id": setup.group,
        "client.id": "evergauge-merger",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Where an offset is not there, it is said.
        "auto.offset.reset": "error",
        # Partitions of one number of all topics go to one member: the rows of a host.
        "partition.assignment.strategy": "range",
        "session.timeout.ms": setup.session_ns // MS,
        "heartbeat.interval.ms": max(1, setup.session_ns // MS // 4),
        "max.poll.interval.ms": max(300_000, setup.session_ns // MS),
        "queued.max.messages.kbytes": _QUEUED_KIB,
        "queued.min.messages": 1_000,
        "fetch.max.bytes": _FETCH_BYTES,
        "receive.message.max.bytes": 2 * _FETCH_BYTES,
        "topic.metadata.refresh.interval.ms": 5_000,
        "allow.auto.create.topics": False,
        "reconnect.backoff.max.ms": 2_000,
        "statistics.interval.ms": _STATISTICS_NS // MS,
        "check.crcs": True,
        # It would print each connection that is refused; what lasts is a condition.
        "log_level": 0,
    }
    if setup.member:
        options["group.instance.id"] = setup.member
    return options | _security(setup)


def topic_pattern(prefix: str) -> str:
    """The topics that sinks of kind `kafka` write, as the client subscribes to those that there are and that come."""
    return rf"^{re.escape(prefix)}(proc\.(raw|sketch)\.v1|evergauge\.[a-z][a-z0-9_]*\.v1)$"


def _security(setup: ReaderSetup) -> dict[str, Any]:
    options: dict[str, Any] = {"security.protocol": setup.security}
    if setup.security.startswith("sasl"):
        options |= {
            "sasl.mechanism": setup.sasl_mechanism,
            "sasl.username": setup.user,
            "sasl.password": _password(setup),
        }
    if setup.security.endswith("ssl"):
        options["enable.ssl.certificate.verification"] = setup.is_verified
        options |= {
            name: path
            for name, path in (
                ("ssl.ca.location", setup.ca_file),
                ("ssl.certificate.location", setup.cert_file),
                ("ssl.key.location", setup.key_file or setup.cert_file),
            )
            if path
        }
    return options


def _password(setup: ReaderSetup) -> str:
    if setup.password_file:
        return text_of(setup.password_file, "merger.password_file").rstrip("\r\n")
    password = setup.variables.get(setup.password_variable, "")
    if not password:
        raise ConfigError("merger.password_variable", f"variable {setup.password_variable} is not set", "set it for the agent")
    return password


def _bytes_of(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content


def _client_partition(partition: TopicPartition, offset: int | None = None) -> Any:
    from confluent_kafka import TopicPartition as ClientPartition

    if offset is None:
        return ClientPartition(partition.topic, partition.number)
    return ClientPartition(partition.topic, partition.number, offset)
