"""Rows in a real broker: each of them once, raw rows and sketches together, whatever dies when; and what pauses or delays them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import Producer
from fakes.export_host import SpoolFolder
from fakes.failpoints import arm
from fakes.kafka_export import KafkaExportHost, Values, kafka_export, read_messages, rows_by_batch
from fakes.sink_context import sink_context
from fakes.stored_batch import HOST, stored
from harness.export_trial import ExportTrial, KafkaSide
from harness.sinks.certificates import Authority
from harness.sinks.kafka_broker import KafkaBroker
from harness.sinks.loopback_port import LoopbackPort
from harness.waiting import SLOWNESS, wait_until
from msgspec.structs import replace

from agent.model.column_type import DType
from agent.model.table import Table, Value
from agent.model.timebase import MS, S
from agent.store.batch import StoredBatch
from agent.topic.head import MessageHead
from agent.topic.topic import partition_of
from workers.export.kafka.client import HangGuard
from workers.export.sink import Delivered, Later, Paused, SinkPosition, TooLarge, Verdict
from workers.exporters.kafka import SINK
from workers.process.schema import PROCESS_SCAN, PROCESS_SKETCH

USER, PASSWORD = "agent", "a pass word"
GROUP = "evergauge.install-1.test"
NOW_NS = 1_700_000_000 * S


class Place:
    """A broker with TLS and users, and sections of sinks that write to topics of their own there."""

    def __init__(self, broker: KafkaBroker, authority: Authority, folder: Path) -> None:
        self.broker, self._authority, self._folder = broker, authority, folder
        self._sections = 0

    def section(self, **more: str | int) -> Values:
        """Another one."""
        self._sections += 1
        password = self._folder / "password"
        password.write_text(f"{PASSWORD}\n")
        return {
            "brokers": self.broker.address_text,
            "topic_prefix": f"t{self._sections}.",
            "partitions": 2,
            "retry_most": 200 * MS,
            "security": "sasl_ssl",
            "user": USER,
            "password_file": str(password),
            "ca_file": str(self._authority.certificate),
            **more,
        }

    def plain_section(self, **more: str | int) -> Values:
        """Another one, at the listener that wants nothing."""
        address = str(self.broker.client_options["bootstrap.servers"])
        names = ("security", "user", "password_file", "ca_file")
        return {key: value for key, value in self.section(**more).items() if key not in names} | {"brokers": address}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One broker for all tests of this file."""
    folder = tmp_path_factory.mktemp("kafka")
    authority = Authority(folder / "authority")
    users = {USER: PASSWORD}
    with KafkaBroker(folder / "broker", tls=authority.server("127.0.0.1"), users=users) as broker:
        yield Place(broker, authority, folder)


class OneSink:
    """A sink of a section, by itself, whose cursor is what a test says."""

    def __init__(self, values: Values) -> None:
        self.position = SinkPosition()
        context = sink_context("kafka", values, tables=(PROCESS_SCAN.name, PROCESS_SKETCH.name))
        self.sink = SINK.open(replace(context, position=lambda: self.position))

    def send(self, *batches: StoredBatch) -> Verdict:
        """The answer to one delivery."""
        parcel = self.sink.take(batches)
        assert parcel is not None
        return self.sink.deliver(parcel)

    def __enter__(self) -> "OneSink":
        return self

    def __exit__(self, *_failure: object) -> None:
        self.sink.close()


def least_row(table: Table) -> dict[str, Value]:
    """Something in each column that has to have a value."""
    some: dict[DType, Value] = {DType.INT64: 1, DType.FLOAT64: 0.5, DType.UTF8: "x", DType.LIST_INT64: [1]}
    return {column.name: some[column.dtype] for column in table.columns if not column.nullable}


def scan(seq: int) -> StoredBatch:
    """A batch of raw rows."""
    return stored(PROCESS_SCAN, [least_row(PROCESS_SCAN) | {"timestamp": NOW_NS + seq}], seq=seq)


def sketch(seq: int) -> StoredBatch:
    """A batch of sketches."""
    return stored(PROCESS_SKETCH, [least_row(PROCESS_SKETCH)], seq=seq)


def heads(place: Place, values: Values, topic: str = "proc.raw.v1") -> list[MessageHead]:
    """Those of all messages of a topic, in their order."""
    return [message.head for message in read_messages(place.broker.messages(f"{values['topic_prefix']}{topic}"))]


def numbers(place: Place, values: Values) -> list[int]:
    """The batches that are there, in their order."""
    return [head.first_seq for head in heads(place, values)]


def test_rows_arrive_once_with_their_heads(place: Place) -> None:
    """Raw rows and sketches of a delivery are in partitions of one number, keyed by the host, with the mark behind them."""
    values = place.section()
    with OneSink(values) as one:
        assert one.send(scan(1), scan(2), sketch(3)) == Delivered()
        one.position = SinkPosition(scan(4).place, ((scan(6).place, scan(6).behind),), delivered_rows=3)
        assert one.send(scan(7)) == Delivered()
        prefix = values["topic_prefix"]
        raw, sketches = (place.broker.messages(f"{prefix}{name}") for name in ("proc.raw.v1", "proc.sketch.v1"))
        number = partition_of(HOST, 2)
        assert {(each.partition, each.key) for each in (*raw, *sketches)} == {(number, HOST.encode())}
        found = [*heads(place, values), *heads(place, values, "proc.sketch.v1")]
        assert [(head.table, head.first_seq, head.last_seq, head.is_complete) for head in found] == [
            ("process_scan", 1, 2, True),
            ("process_scan", 7, 7, False),
            ("process_sketch", 3, 3, True),
        ]
        offset, metadata = offset_of(place, values)
        assert offset == 2
        assert '"rows":4' in metadata
        assert place.broker.partitions()[f"{prefix}proc.sketch.v1"] == 2


def offset_of(place: Place, values: Values) -> tuple[int, str]:
    """What is committed for a section."""
    found = place.broker.committed(GROUP)
    return max(state for (topic, _), state in found.items() if topic == f"{values['topic_prefix']}proc.raw.v1")


def test_what_a_lost_answer_left_open_is_not_sent_again(place: Place) -> None:
    """Another process takes deliveries of other sizes: batches that are there already count as delivered."""
    values = place.section()
    with OneSink(values) as first:
        assert first.send(scan(1), scan(2)) == Delivered()
    with OneSink(values) as second:
        assert second.send(scan(1)) == Delivered()
        second.position = SinkPosition(scan(1).behind, delivered_rows=1)
        assert second.send(scan(2), scan(3)) == Delivered()
    assert numbers(place, values) == [1, 3]
    assert [head.last_seq for head in heads(place, values)] == [2, 3]


@pytest.mark.parametrize("point", ["kafka.before_commit", "kafka.committed", "cursor.before_write"])
def test_a_process_that_dies_at_a_commit_costs_nothing(point: str, place: Place, tmp_path: Path) -> None:
    """Nothing of a transaction that was open is there; what was committed and not noted is not sent again."""
    values = place.plain_section()
    (points := tmp_path / "points").mkdir()
    (state := tmp_path / "state").mkdir()
    spool = SpoolFolder(state)
    topic = f"{values['topic_prefix']}evergauge.sample.v1"
    for number in range(2):
        spool.append(3)
        arm(points, point, "kill")
        died = kafka_export(state, values, points)
        assert died.returncode == -9, died.stderr
        if point == "kafka.before_commit" and not number:
            assert place.broker.messages(topic, is_committed=False) != []
    spool.append(1)
    done = kafka_export(state, values, points)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows_by_batch(place.broker, topic) == Counter(dict.fromkeys(range(1, spool.seq + 1), 10))


@pytest.mark.timeout(120)
def test_killed_exporters_and_brokers_cost_nothing(place: Place, tmp_path: Path) -> None:
    """A real agent: five exporters die, then the broker, which comes back on its port."""
    chance = Random(5)
    values = place.plain_section()
    with ExportTrial(tmp_path / "agent", KafkaSide(place.broker, str(values["topic_prefix"]), str(values["brokers"]))) as trial:
        for _ in range(5):
            time.sleep(chance.uniform(0.2, 0.8))
            trial.kill_exporter()
        trial.wait_arrived(time.time_ns() // MS)
        place.broker.kill()
        place.broker.start()
        verdict = trial.judge()
        assert (verdict.lost, verdict.doubled) == (0, 0)
        assert verdict.stored > 20
        assert trial.report["ledger"]["rejected"] == 0


@pytest.mark.runbook("Sink of kind kafka")
def test_a_producer_that_was_taken_over_is_made_again(place: Place) -> None:
    """A second agent with a copy of the state folder: it is told, and no row is lost by it."""
    values = place.section()
    with OneSink(values) as one, OneSink(values) as other:
        assert one.send(scan(1)) == Delivered()
        other.position = SinkPosition(scan(1).behind, delivered_rows=1)
        assert other.send(scan(2)) == Delivered()
        one.position = SinkPosition(scan(2).behind, delivered_rows=2)
        verdict = one.send(scan(3))
        assert isinstance(verdict, Later)
        assert "copy of this state folder" in verdict.sentence
        assert one.send(scan(3)) == Delivered()
    assert numbers(place, values) == [1, 2, 3]


@pytest.mark.runbook("Sink of kind kafka")
def test_a_wrong_password_pauses_until_it_is_right(place: Place, tmp_path: Path) -> None:
    """The broker's words are told, the password is not, and it is read again."""
    path = tmp_path / "password"
    path.write_text("a wrong one")
    with OneSink(place.section(password_file=str(path))) as one:
        verdict = one.send(scan(1))
        assert isinstance(verdict, Paused), verdict
        assert "sasl_mechanism" in verdict.sentence
        assert "a wrong one" not in verdict.sentence
        path.write_text(PASSWORD)
        assert one.send(scan(1)) == Delivered()
        path.unlink()
    with OneSink(place.section(password_file=str(path))) as one:
        verdict = one.send(scan(1))
        assert isinstance(verdict, Paused)
        assert "password_file" in verdict.sentence


def test_a_certificate_that_nobody_here_knows_pauses(place: Place, tmp_path: Path) -> None:
    """Also a file that holds none."""
    for path in (Authority(tmp_path / "other").certificate, tmp_path / "none.pem"):
        with OneSink(place.section(ca_file=str(path))) as one:
            verdict = one.send(scan(1))
            assert isinstance(verdict, Paused), verdict
            assert "ca_file" in verdict.sentence


@pytest.mark.runbook("Sink of kind kafka")
def test_topics_with_other_numbers_of_partitions_pause(place: Place) -> None:
    """Both are named; topics that are missing get as many as those that are there."""
    values = place.plain_section()
    prefix = values["topic_prefix"]
    place.broker.create_topic(f"{prefix}proc.raw.v1", 3)
    place.broker.create_topic(f"{prefix}proc.sketch.v1", 4)
    with OneSink(values) as one:
        verdict = one.send(scan(1))
        assert isinstance(verdict, Paused)
        assert f"topic {prefix}proc.raw.v1 has 3 partitions and {prefix}proc.sketch.v1 has 4" in verdict.sentence
        place.broker.delete_topic(f"{prefix}proc.sketch.v1")
        assert one.send(scan(1)) == Delivered()
    assert place.broker.partitions()[f"{prefix}proc.sketch.v1"] == 3


def test_topics_that_cannot_be_made_pause(place: Place) -> None:
    """The sentence has the name and the number of partitions that a person may make it with."""
    with OneSink(place.plain_section(replication=3)) as one:
        verdict = one.send(scan(1))
    assert isinstance(verdict, Paused)
    assert "proc.raw.v1 is missing and cannot be made" in verdict.sentence
    assert "make it with 2 partitions" in verdict.sentence


def test_a_broker_that_has_lost_rows_is_told_of(place: Place) -> None:
    """What was delivered is not sent again: the local cursor is what goes on."""
    values = place.plain_section()
    with OneSink(values) as one:
        assert one.send(scan(1)) == Delivered()
    place.broker.delete_topic(f"{values['topic_prefix']}proc.raw.v1")
    with OneSink(values) as one:
        one.position = SinkPosition(scan(1).behind, delivered_rows=1)
        verdict = one.send(scan(2))
        assert isinstance(verdict, Delivered)
        assert "has acknowledged 1 rows of this sink and knows of 0 now" in verdict.sentence
        one.position = SinkPosition(scan(2).behind, delivered_rows=2)
        assert one.send(scan(3)) == Delivered()
    assert numbers(place, values) == [2, 3]


def test_a_topic_that_is_taken_away_is_made_again(place: Place) -> None:
    """While the sink runs."""
    values = place.plain_section(answer_timeout=2 * S)
    with OneSink(values) as one:
        assert one.send(scan(1), sketch(2)) == Delivered()
        place.broker.delete_topic(f"{values['topic_prefix']}proc.sketch.v1")
        one.position = SinkPosition(sketch(2).behind, delivered_rows=2)
        until = time.monotonic() + 30
        while not isinstance(one.send(scan(3), sketch(4)), Delivered):
            assert time.monotonic() < until
    assert numbers(place, values) == [1, 3]
    assert len(place.broker.messages(f"{values['topic_prefix']}proc.sketch.v1")) == 1


def test_a_message_that_a_topic_does_not_take_is_too_large(place: Place) -> None:
    """The exporter divides it then; what fits goes on the same connection."""
    values = place.plain_section()
    place.broker.create_topic(f"{values['topic_prefix']}proc.raw.v1", 2, **{"max.message.bytes": "2000"})
    chance = Random(1)
    large = stored(PROCESS_SCAN, [least_row(PROCESS_SCAN) | {"cpu_ns": chance.getrandbits(60)} for _ in range(500)], seq=1)
    with OneSink(values) as one:
        verdict = one.send(large)
        assert isinstance(verdict, TooLarge)
        assert "max.message.bytes" in verdict.sentence
        assert one.send(scan(2)) == Delivered()
    assert numbers(place, values) == [2]


def test_a_broker_that_is_away_delays_and_prints_nothing(place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The sink is down and tries again; once the broker is there everything goes."""
    (state := tmp_path / "state").mkdir()
    spool = SpoolFolder(state)
    spool.append(3)
    port = LoopbackPort.take()
    values = place.plain_section(brokers=f"127.0.0.1:{port.number}")
    nobody = f"127.0.0.1:{port.number}"
    host = KafkaExportHost(state, values | {"brokers": nobody})
    host.run_until(lambda: host.stats.get("state") == "down" and host.stats["failures"] > 1, "the refusal")
    assert f"{nobody} cannot be reached or is not ready" in str(host.stats["problem"])
    host.kill()
    port.release()
    assert capfd.readouterr() == ("", "")


def test_a_broker_that_hangs_delays_no_end(place: Place) -> None:
    """A delivery takes as long as it may, and the end of the sink no time at all; nothing of it is there then."""
    values = place.plain_section(answer_timeout=1 * S)
    with OneSink(values) as one:
        # One that has just begun may need longer for the first.
        wait_until(lambda: one.send(scan(1)) == Delivered(), "the first delivery")
        place.broker.pause()
        try:
            begun = time.monotonic()
            verdict = one.send(scan(2))
            took = time.monotonic() - begun
            begun = time.monotonic()
            one.sink.close()
            assert time.monotonic() - begun < 0.5 * SLOWNESS
        finally:
            place.broker.resume()
        assert isinstance(verdict, Later), verdict
        assert took < 3 * SLOWNESS
        assert one.send(scan(2)) == Delivered()
    assert numbers(place, values) == [1, 2]


def test_a_call_that_never_comes_back_ends_the_process() -> None:
    """A little after the time that the delivery has; one that comes back ends nothing."""
    hung, well = threading.Event(), threading.Event()
    with HangGuard(10**7, well.set):
        pass
    with HangGuard(-15 * 10**8, hung.set):
        assert hung.wait(10)
    assert not well.is_set()


def test_a_host_has_the_partition_that_other_clients_choose(place: Place) -> None:
    """librdkafka's and Java's, from the key alone."""
    topic = "compare.v1"
    place.broker.create_topic(topic, 7)
    hosts = [f"node-{number}.example.org" for number in range(40)] + ["ü", "x" * 251]
    producer = Producer(place.broker.client_options | {"partitioner": "murmur2_random"})
    for host in hosts:
        producer.produce(topic, b"", host.encode())
    assert producer.flush(20) == 0
    found = {(each.key or b"").decode(): each.partition for each in place.broker.messages(topic)}
    assert found == {host: partition_of(host, 7) for host in hosts}


def test_a_probe_says_whether_the_brokers_can_be_reached(place: Place, tmp_path: Path) -> None:
    """Without making topics, and without taking the place of a sink that runs."""
    values = place.section()

    def answer(values: Values) -> Verdict:
        with OneSink(values) as one:
            return one.sink.probe()

    assert answer(values) == Delivered(sentence="2 of 2 topics are not there yet; the sink makes them")
    with OneSink(values) as one:
        assert one.send(scan(1)) == Delivered()
        assert answer(values) == Delivered()
        one.position = SinkPosition(scan(1).behind, delivered_rows=1)
        assert one.send(scan(2)) == Delivered()
    (wrong := tmp_path / "wrong").write_text("wrong")
    assert isinstance(answer(values | {"password_file": str(wrong)}), Paused)
    assert isinstance(answer(values | {"password_file": str(tmp_path / "none")}), Paused)
    assert isinstance(answer(values | {"ca_file": str(tmp_path / "none")}), Paused)
    port = LoopbackPort.take()
    assert isinstance(answer(values | {"brokers": f"127.0.0.1:{port.number}"}), Later)
    port.release()


def test_rows_that_no_message_can_have_are_counted(place: Place) -> None:
    """Nothing is sent for them alone."""
    values = place.plain_section()
    with OneSink(values) as one:
        verdict = one.send(replace(scan(1), rows=b"\xc1"))
        assert isinstance(verdict, Delivered)
        assert (verdict.refused_rows, verdict.reason) == (1, "unreadable")
        assert f"{values['topic_prefix']}proc.raw.v1" not in place.broker.partitions()
        verdict = one.send(replace(scan(2), rows=b"\xc1"), scan(3))
        assert isinstance(verdict, Delivered)
        assert verdict.refused_rows == 1
    assert numbers(place, values) == [3]
