"""One producer of transactions: found its place, made its topics, and writes one delivery after another.

It is thrown away after any failure whose outcome is not known. Its successor, with the same transactional id, ends the transaction
that was open, and then reads what is committed: so an answer that was lost is no second delivery.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from agent.failpoint import failpoint
from agent.topic.topic import RAW_TOPIC, partition_of, topic_of, topics_of
from workers.export.kafka.client import Deadline, Heard, KafkaTrouble, library_options, made, until_answered
from workers.export.kafka.message_maker import OutgoingMessage
from workers.export.kafka.option import KafkaSetup, consumer_options, producer_options
from workers.export.kafka.sent_mark import SentMark, decode_mark, encode_mark
from workers.export.kafka.topics import common_count, make_topics, partitions_of, wait_made

if TYPE_CHECKING:
    pass

# A part of a second in which the library takes messages from a queue that is full.
_ROOM_SECONDS = 0.05
# The library comes back at once when it has something to say.
_LOOK_SECONDS = 0.02


class SessionNames(Struct, frozen=True):
    """Who writes what. `identity`: the transactional id, and the group whose offset holds the mark."""

    identity: str
    host: str
    tables: tuple[str, ...]


class KafkaSession:
    """*Raises:* KafkaTrouble from each method; once its `is_over` is set, nothing but `close` may follow."""

    def __init__(self, setup: KafkaSetup, names: SessionNames, password: str) -> None:
        from confluent_kafka import KafkaException, Producer

        self._setup, self._names, self._password = setup, names, password
        self._heard = Heard(setup.place, password)
        try:
            self._producer: Producer = made(Producer, producer_options(setup, names.identity), password, self._heard)
        except KafkaException as failure:
            # Files that cannot be used, options that do not fit: the library says which.
            raise self._heard.trouble(failure) from failure
        self._prefix = setup.topic_prefix
        # The mark stands at the topic of raw rows, also where a sink sends none.
        self._raw_topic = self._prefix + RAW_TOPIC
        self._topics = tuple(sorted({self._raw_topic, *topics_of(names.tables, self._prefix)}))
        self._partitions = 0
        self._offset = 0
        self._group = b""
        self._is_initialized = self._is_begun = False
        # What the brokers keep, as found at the beginning and after each delivery. None: nothing that this sink has written.
        self.mark: SentMark | None = None

    def begin(self, deadline: Deadline) -> bool:
        """Reach the brokers, make what is missing, end what a predecessor has left open, read the mark. False: it was done."""
        if self._is_begun:
            return False
        self._partitions = self._found_topics(deadline)
        if not self._is_initialized:
            until_answered(self._producer.init_transactions, self._serve, self._heard, deadline)
            self._is_initialized = True
        self._read_mark(deadline)
        self._is_begun = True
        self._serve()
        # Until here a broker that was away is still away, whether the library says so again or not.
        self._heard.begin()
        return True

    @property
    def is_stale(self) -> bool:
        """A connection was lost since it began: the library may wait for brokers that have gone, and a new one does not."""
        self._serve()
        return self._is_begun and self._heard.has_lost

    def send(self, messages: Sequence[OutgoingMessage], mark: SentMark, deadline: Deadline) -> None:
        """All of these with the mark, or nothing."""
        from confluent_kafka import KafkaException, TopicPartition

        self._heard.begin()
        place = TopicPartition(
            self._raw_topic, partition_of(self._names.host, self._partitions), self._offset + 1, encode_mark(mark)
        )
        try:
            self._producer.begin_transaction()
            self._produce(messages, deadline)
            self._producer.send_offsets_to_transaction([place], self._group, deadline.left_seconds)
            failpoint("kafka.before_commit")
            self._producer.commit_transaction(deadline.left_seconds)
        except KafkaException as failure:
            # It may even be committed. Whatever it is, the next session ends it and finds out.
            self._serve()
            raise self._heard.trouble(failure) from failure
        failpoint("kafka.committed")
        self._offset += 1
        self.mark = mark

    def close(self) -> None:
        """Nothing is waited for: what was not committed comes again."""
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        del self._producer

    def _found_topics(self, deadline: Deadline) -> int:
        """How many partitions each topic has."""
        found = partitions_of(self._producer, self._topics, self._heard, deadline)
        count = common_count(self._setup, found)
        missing = [topic for topic in self._topics if topic not in found]
        if missing:
            options = library_options(self._setup.library, self._password, self._heard)
            make_topics(self._setup, options, missing, count, self._heard, deadline)
            count = common_count(self._setup, wait_made(self._producer, self._topics, self._heard, deadline))
        return count

    def _read_mark(self, deadline: Deadline) -> None:
        """The newest of all partitions: the number of partitions, and so that of this host, may have changed."""
        from confluent_kafka import Consumer, TopicPartition

        options = consumer_options(self._setup, self._names.identity)
        consumer: Consumer = made(Consumer, options, self._password, self._heard)
        try:
            self._group = consumer.consumer_group_metadata()
            places = [TopicPartition(self._raw_topic, number) for number in range(self._partitions)]
            found: list[TopicPartition] = []

            def ask(seconds: float) -> None:
                found[:] = consumer.committed(places, seconds)

            until_answered(ask, lambda: consumer.poll(0), self._heard, deadline)
        finally:
            consumer.close()
        newest = max(found, key=lambda each: each.offset)
        self._offset = max(0, newest.offset)
        self.mark = None if newest.offset < 0 else decode_mark(newest.metadata or "")

    def _produce(self, messages: Sequence[OutgoingMessage], deadline: Deadline) -> None:
        for message in messages:
            topic = topic_of(message.table, self._prefix)
            partition = partition_of(message.host, self._partitions)
            while True:
                try:
                    self._producer.produce(
                        topic, message.value, message.host.encode(), partition, self._heard.on_delivery, headers=message.headers
                    )
                    break
                except BufferError:
                    # Its queue has its 8 MiB: as soon as some of it is there the rest follows.
                    self._producer.poll(_ROOM_SECONDS)
                    if deadline.is_over:
                        raise KafkaTrouble(self._heard.unreachable()) from None
        # Not `flush`: what is fatal comes out of it as no exception at all (confluent-kafka 2.16).
        while len(self._producer):
            self._producer.poll(_LOOK_SECONDS)
            if deadline.is_over or self._heard.is_all_down:
                raise KafkaTrouble(self._heard.unreachable())
        if self._heard.refused is not None:
            raise KafkaTrouble(self._heard.verdict(self._heard.refused))

    def _serve(self) -> None:
        """Have the library say what it has heard. One that is over says so by an error."""
        from contextlib import suppress

        from confluent_kafka import KafkaException

        with suppress(KafkaException):
            self._producer.poll(0)
