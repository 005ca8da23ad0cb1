"""Brings rows to Kafka: each delivery is one transaction, with a mark of what is there. The exporter's thread does the waiting."""

from collections.abc import Mapping, Sequence

from agent.model.errors import ConfigError
from agent.store.batch import StoredBatch
from agent.topic.topic import topics_of
from workers.export.kafka.client import Deadline, HangGuard, Heard, KafkaTrouble, end_hung_process, made, read_secrets
from workers.export.kafka.message_maker import MadeMessages, MessageMaker
from workers.export.kafka.option import KafkaSetup, check_kafka
from workers.export.kafka.sent_mark import SentMark, is_complete, is_sent, mark_after
from workers.export.kafka.session import KafkaSession, SessionNames
from workers.export.kafka.topics import common_count, partitions_of
from workers.export.sink import Delivered, Parcel, Paused, SinkContext, SinkPosition, Verdict


class KafkaParcel:
    """One delivery: its messages, and the batches of which they can be made again without some of them."""

    def __init__(self, batches: Sequence[StoredBatch], made: MadeMessages, before: SinkPosition) -> None:
        self.batches = batches
        self.made = made
        self.before = before
        self.size_bytes = made.size_bytes

    @property
    def points(self) -> int:
        """Its rows."""
        return self.made.rows


class KafkaSink:
    """A `workers.export.sink.Sink`."""

    def __init__(self, context: SinkContext) -> None:
        self._context = context
        self._setup: KafkaSetup = check_kafka(context.settings)
        self._maker = MessageMaker(context.tables, self._setup.message_bytes)
        self._names = SessionNames(f"evergauge.{context.install}.{context.settings.name}", context.host, context.tables)
        self._session: KafkaSession | None = None

    def take(self, batches: Sequence[StoredBatch]) -> Parcel | None:
        """One message for each table and worker, or several where one would be too long."""
        before = self._context.position()
        return KafkaParcel(batches, self._maker.make(batches, is_complete=is_complete(before, batches)), before)

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """Each batch stands for itself."""

    def snapshot(self) -> bytes:
        """Nothing."""
        return b""

    def restore(self, snapshot: bytes) -> None:
        """Nothing."""

    def left_out(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def deliver(self, parcel: Parcel) -> Verdict:
        """In one transaction; what the brokers have already, since an answer was lost, is not sent again."""
        assert isinstance(parcel, KafkaParcel)
        deadline = Deadline(self._setup.answer_timeout_ns)
        try:
            with HangGuard(self._setup.answer_timeout_ns, end_hung_process):
                warning = self._send(parcel, deadline)
        except KafkaTrouble as trouble:
            if trouble.is_over:
                self.close()
            return trouble.verdict
        except ConfigError as failure:
            return Paused(failure.sentence)
        return _delivered(parcel.made, warning)

    def probe(self) -> Verdict:
        """Whether the brokers answer, and their topics fit. A producer without a transactional id: another one would end the
        transactions of an agent that runs."""
        from confluent_kafka import KafkaException, Producer

        setup, deadline = self._setup, Deadline(self._setup.answer_timeout_ns)
        topics = topics_of(self._context.tables, setup.topic_prefix)
        try:
            password = read_secrets(self._context.settings, self._context.variables)
            heard = Heard(setup.place, password)
            producer: Producer = made(Producer, setup.library, password, heard)
            found = partitions_of(producer, topics, heard, deadline)
            common_count(setup, found)
        except KafkaTrouble as trouble:
            return trouble.verdict
        except ConfigError as failure:
            return Paused(failure.sentence)
        except KafkaException as failure:
            return heard.verdict(failure.args[0])
        missing = len(topics) - len(found)
        return Delivered(sentence=f"{missing} of {len(topics)} topics are not there yet; the sink makes them" if missing else "")

    def close(self) -> None:
        """See Sink."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _send(self, parcel: KafkaParcel, deadline: Deadline) -> str:
        """*Absent:* "" without anything remarkable. *Raises:* KafkaTrouble, ConfigError."""
        if not parcel.made.messages:
            return ""
        if self._session is not None and self._session.is_stale:
            self.close()
        if self._session is None:
            password = read_secrets(self._context.settings, self._context.variables)
            self._session = KafkaSession(self._setup, self._names, password)
        session, warning = self._session, ""
        if session.begin(deadline):
            warning = self._judged(session.mark, parcel.before)
        left = [batch for batch in parcel.batches if not is_sent(session.mark, batch)]
        messages = parcel.made.messages
        if len(left) < len(parcel.batches):
            messages = self._maker.make(left, is_complete=is_complete(parcel.before, parcel.batches)).messages
        # Also without any message: the mark has to know of each row that the cursor will count as delivered.
        mark = mark_after(session.mark, parcel.before, parcel.batches, parcel.before.delivered_rows + parcel.made.rows)
        session.send(messages, mark, deadline)
        return warning

    def _judged(self, found: SentMark | None, own: SinkPosition) -> str:
        """What is remarkable about what the brokers have: they have lost some of it."""
        had = 0 if found is None else found.rows
        if had >= own.delivered_rows:
            return ""
        return (
            f"{self._setup.place} has acknowledged {own.delivered_rows} rows of this sink and knows of {had} now: topics, or the "
            f"group {self._names.identity}, were removed or set back; what was delivered is not sent again"
        )


def _delivered(made: MadeMessages, warning: str) -> Delivered:
    refused = sum(made.refused.values())
    if not refused:
        return Delivered(sentence=warning)
    reason = max(made.refused, key=lambda each: made.refused[each])
    return Delivered(refused, reason, "; ".join(filter(None, (made.sentence, warning))))
