"""Mergers with a real broker and a folder as the lake: whatever is killed, each row is there once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from fakes.lake_rows import lake_state
from fakes.merged_topics import BROKER_SETTINGS, HOSTS, PARTITIONS, FolderLake, MergedTopics
from fakes.topic_rows import START_NS
from harness.sinks.kafka_broker import KafkaBroker
from harness.waiting import DEADLINE_SECONDS, wait_until

from agent.lake.lake_state import LakeState
from agent.model.timebase import S


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One for all tests; each has a topic prefix, a group and a lake of its own."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), settings=BROKER_SETTINGS) as started:
        yield started


@pytest.fixture
def topics(broker: KafkaBroker, tmp_path: Path) -> Iterator[MergedTopics]:
    """Topics and a lake of a test's own."""
    made = MergedTopics(broker, tmp_path)
    try:
        yield made
    finally:
        made.end()


def state_of(topics: MergedTopics) -> LakeState:
    """What the log of their lake says."""
    assert isinstance(topics.store, FolderLake)
    return lake_state(topics.store.folder)


def test_a_merger_that_is_killed_again_and_again_stores_each_row_once(topics: MergedTopics) -> None:
    """Five times, while rows come; the one with its name goes on at once."""
    topics.start("one")
    for turn in range(5):
        topics.write(range(turn * 30, turn * 30 + 30))
        wait_until(topics.store.rows, "some rows")
        topics.mergers[-1].kill()
        topics.mergers[-1].wait(DEADLINE_SECONDS)
        topics.write([1_000 + turn], is_committed=False)
        topics.write(range(500 + turn * 3, 503 + turn * 3))
        topics.start("one")
    topics.wait()
    ended = topics.mergers[-1]
    ended.terminate()
    assert ended.wait(DEADLINE_SECONDS) == 0
    assert "offsets behind" in topics.output.read_text()
    group = topics.broker.committed(topics.prefix)
    assert {f"{topic}/{number}": offset for (topic, number), (offset, _) in group.items()} == state_of(topics).offsets


def test_of_two_mergers_one_is_killed(topics: MergedTopics) -> None:
    """The other one gets its partitions, and stores no row again."""
    first, second = topics.start(), topics.start()
    topics.write(range(30))
    topics.wait()
    first.kill()
    topics.write(range(30, 60))
    topics.wait()
    second.kill()
    topics.write(range(60, 66))
    topics.start()
    topics.wait()


@pytest.mark.runbook("Merger")
def test_a_message_that_cannot_be_read_is_passed(topics: MergedTopics) -> None:
    """It is told, and the rows behind it are stored."""
    topics.start()
    topics.write(range(3))
    topics.write_value(b"not ours")
    topics.write(range(3, 6))
    topics.wait()
    wait_until(lambda: "message_unreadable" in topics.output.read_text(), "it is told")


@pytest.mark.runbook("Merger")
def test_messages_that_the_broker_removed_are_told(topics: MergedTopics) -> None:
    """The rest is stored; where the topic ends before what is stored, nothing is read from it."""
    topics.write(range(9))
    merger = topics.start()
    topics.wait()
    merger.terminate()
    merger.wait(DEADLINE_SECONDS)
    topics.write(range(9, 12))
    end = topics.broker.messages(topics.topic)[-1].offset + 1
    # Its answers come only as long as it is there.
    admin, place = topics.broker.admin(), TopicPartition(topics.topic, 0, end)
    admin.delete_records([place])[place].result(DEADLINE_SECONDS)
    topics.written.remove(9)
    topics.start()
    topics.wait()
    wait_until(lambda: "topic_offsets_lost" in topics.output.read_text(), "it is told")


@pytest.mark.runbook("Merger")
def test_a_broker_that_is_killed_comes_back(topics: MergedTopics) -> None:
    """Mergers wait for it, say so, and go on."""
    topics.start()
    topics.write(range(6))
    topics.wait()
    topics.broker.kill()
    wait_until(lambda: "no broker" in topics.output.read_text(), "it is told")
    topics.broker.start()
    topics.write(range(6, 12))
    topics.wait()
    wait_until(lambda: "a broker answers again" in topics.output.read_text(), "it is over")


def test_marks_are_as_far_as_rows(topics: MergedTopics) -> None:
    """Each host's is that of its last batch in the order of its partition."""
    topics.start()
    topics.write(range(0, 9, PARTITIONS))
    topics.wait()
    marks = state_of(topics).marks["process_tail"]
    assert {host: mark.low_ns for host, mark in marks.items()} == dict.fromkeys(HOSTS, START_NS + 6 * S)
