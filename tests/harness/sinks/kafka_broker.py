"""A real Kafka broker of one node, and what a reader finds in it.

with KafkaBroker(folder) as broker:
    Producer(broker.client_options)             # or a section of settings with broker.address_text
    broker.messages("proc.raw.v1")              # what is committed, in the order of each partition
    broker.committed("evergauge.install.sink")  # {("proc.raw.v1", 3): (offset, metadata)}
"""

import socket
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from harness.sinks.certificates import Identity
from harness.sinks.program import SinkProgram
from harness.waiting import DEADLINE_SECONDS, SLOWNESS, wait_until
from msgspec import Struct

# Small and quick to start: no second compiler, one thread that collects garbage.
_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
_HEAP = "-Xmx256m"
_ANSWER_SECONDS = 5.0 * SLOWNESS
# A read that gets nothing for so long looks whether it is at the end.
_POLL_SECONDS = 0.2
# A broker that was killed is let in again once its session is over: 9 s without these.
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "200",
    "controlled.shutdown.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
}


class KafkaMessage(Struct, frozen=True):
    """One message as a reader gets it. `time_ms`: when its producer made it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes
    time_ms: int


class KafkaBroker(SinkProgram):
    """Use it as a context. What it had acknowledged is there after a SIGKILL too.

    No topic is made by itself. With `tls` it speaks TLS, and with `authority` it wants certificates of clients; with `users` (names
    and passwords) it wants these, by SASL PLAIN. `settings`: more of a broker's own settings.
    """

    component = "kafka"

    def __init__(
        self,
        folder: Path,
        *,
        tls: Identity | None = None,
        authority: Path | None = None,
        users: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder)
        self._tls, self._authority, self._users = tls, authority, dict(users or {})
        self._more = dict(settings or {})
        self.port = self.take_port()
        # The only one that tests and the harness itself use, whatever clients have to prove.
        self._own_port = self.take_port()
        self._controller_port = self.take_port()
        # Where clients are sent by the broker: a proxy in front of it, where there is one.
        self.advertised_port = self.port

    @property
    def address_text(self) -> str:
        """HOST:PORT for clients."""
        return f"{self.address}:{self.port}"

    @property
    def client_options(self) -> dict[str, Any]:
        """What a client of the test needs; it proves nothing. Nothing is printed while the broker is away."""
        return {"bootstrap.servers": f"{self.address}:{self._own_port}", "log_level": 0}

    def command(self) -> Sequence[str | Path]:
        """The settings are written at each start, and the folder of data is made at the first."""
        path = self.folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in self._settings().items()))
        if not (self.folder / "data" / "meta.properties").exists():
            # Its first letter must not be that of an option.
            identity = urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).rstrip(b"=").decode()
            words = self._java("-Xmx128m", "kafka.tools.StorageTool")
            words += ["format", "-t", identity, "-c", path, "--standalone"]
            subprocess.run(words, capture_output=True, check=True, timeout=DEADLINE_SECONDS)
        return [*self._java(_HEAP, "kafka.Kafka"), path]

    def is_ready(self) -> bool:
        """Whether it leads what it has. A client that is refused prints that, so the port comes first."""
        with socket.create_connection((self.address, self._own_port), _ANSWER_SECONDS):
            pass
        try:
            return len(self.admin().list_topics(timeout=_ANSWER_SECONDS).brokers) == 1
        except KafkaException:
            return False

    def admin(self) -> AdminClient:
        """A client that may do everything."""
        return AdminClient(self.client_options)

    def create_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        """Make a topic, and wait until clients see it."""
        admin = self.admin()
        admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(DEADLINE_SECONDS)
        wait_until(lambda: self.partitions().get(name) == partitions, f"topic {name}")

    def delete_topic(self, name: str) -> None:
        """Take it away with all that it has."""
        admin = self.admin()
        admin.delete_topics([name])[name].result(DEADLINE_SECONDS)
        wait_until(lambda: name not in self.partitions(), f"topic {name} is gone")

    def partitions(self) -> dict[str, int]:
        """The number of partitions of each topic, without those of Kafka itself."""
        found = self.admin().list_topics(timeout=_ANSWER_SECONDS).topics
        return {name: len(topic.partitions) for name, topic in found.items() if not name.startswith("__")}

    def messages(self, *topics: str, is_committed: bool = True) -> list[KafkaMessage]:
        """All that topics hold now, in the order of each partition; none for a topic that is not there.

        `is_committed`: only what belongs to no transaction, or to one that was committed. It waits for those that are open.
        """
        counts = self.partitions()
        places = [TopicPartition(topic, number, 0) for topic in topics for number in range(counts.get(topic, 0))]
        return self._read(places, is_committed=is_committed) if places else []

    def messages_after(self, topic: str, behind: dict[int, int]) -> list[KafkaMessage]:
        """What is committed in a topic behind these offsets, by partition; then these are behind that."""
        places = [TopicPartition(topic, number, behind.get(number, 0)) for number in range(self.partitions().get(topic, 0))]
        found = self._read(places, is_committed=True) if places else []
        behind.update({each.partition: each.offset + 1 for each in found})
        return found

    def committed(self, group: str) -> dict[tuple[str, int], tuple[int, str]]:
        """Offset and metadata that a group has committed for each partition."""
        # Its answers come only as long as it is there.
        admin = self.admin()

        def asked() -> list[list[TopicPartition]]:
            # A broker that has just begun has not read them yet.
            with suppress(KafkaException):
                answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group]
                return [answer.result(DEADLINE_SECONDS).topic_partitions]
            return []

        (found,) = wait_until(asked, f"the offsets of {group}")
        return {(each.topic, each.partition): (each.offset, each.metadata or "") for each in found}

    def data_bytes(self, topic: str) -> int:
        """How many bytes the broker's files of a topic have, as its producers have compressed them."""
        return sum(path.stat().st_size for path in (self.folder / "data").glob(f"{topic}-*/*.log"))

    def _read(self, places: list[TopicPartition], *, is_committed: bool) -> list[KafkaMessage]:
        level = "read_committed" if is_committed else "read_uncommitted"
        own = {"group.id": "test", "enable.auto.commit": False, "enable.partition.eof": True, "isolation.level": level}
        # One that waits for more for half a second would make each read as long.
        consumer = Consumer(self.client_options | own | {"fetch.wait.max.ms": 10, "auto.offset.reset": "earliest"})
        found, left = [], {(each.topic, each.partition) for each in places}
        try:
            consumer.assign(places)

            def is_read() -> bool:
                for message in consumer.consume(1000, _POLL_SECONDS):
                    error = message.error()
                    if error is None:
                        found.append(_message(message))
                    elif error.code() == KafkaError._PARTITION_EOF:
                        left.discard((message.topic(), message.partition()))
                    else:
                        assert error.retriable(), error
                return not left

            wait_until(is_read, f"the end of {sorted(left)}", pause_seconds=0)
        finally:
            consumer.close()
        return sorted(found, key=lambda each: (each.topic, each.partition, each.offset))

    def _settings(self) -> dict[str, str]:
        kind = ("SASL_" if self._users else "") + ("SSL" if self._tls else "PLAINTEXT")
        listeners = {"CLIENT": self.port, "OWN": self._own_port}
        advertised = {"CLIENT": self.advertised_port, "OWN": self._own_port}
        found = _SETTINGS | {
            "controller.quorum.bootstrap.servers": f"{self.address}:{self._controller_port}",
            "listeners": _shown({**listeners, "CONTROLLER": self._controller_port}, self.address),
            "advertised.listeners": _shown({**advertised, "CONTROLLER": self._controller_port}, self.address),
            "listener.security.protocol.map": f"CLIENT:{kind},OWN:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "OWN",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
        }
        return found | self._tls_settings() | self._user_settings() | self._more

    def _tls_settings(self) -> dict[str, str]:
        if self._tls is None:
            return {}
        # One file with key and certificates; the key in the form that Java reads.
        store = self.folder / "identity.pem"
        key = subprocess.run(
            ["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", self._tls.key],
            capture_output=True,
            check=True,
            timeout=DEADLINE_SECONDS,
        )
        store.write_bytes(key.stdout + self._tls.certificate.read_bytes())
        found = {"keystore.type": "PEM", "keystore.location": str(store), "endpoint.identification.algorithm": ""}
        if self._authority is not None:
            found |= {"truststore.type": "PEM", "truststore.location": str(self._authority), "client.auth": "required"}
        return {f"listener.name.client.ssl.{key}": value for key, value in found.items()}

    def _user_settings(self) -> dict[str, str]:
        if not self._users:
            return {}
        users = " ".join(f'user_{name}="{password}"' for name, password in self._users.items())
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        return {
            "listener.name.client.sasl.enabled.mechanisms": "PLAIN",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config": f"{module} required {users};",
        }

    def _java(self, heap: str, program: str) -> list[str | Path]:
        # Its libraries unpack parts of themselves there.
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return ["java", heap, *_JAVA, f"-Djava.io.tmpdir={folder}", "-cp", f"{self.programs}/libs/*", program]


def _shown(ports: Mapping[str, int], address: str) -> str:
    return ",".join(f"{name}://{address}:{port}" for name, port in ports.items())


def _message(message: Any) -> KafkaMessage:
    headers = [(key, value or b"") for key, value in message.headers() or ()]
    value, time_ms = message.value(), message.timestamp()[1]
    return KafkaMessage(message.topic(), message.partition(), message.offset(), message.key(), headers, value or b"", time_ms)
