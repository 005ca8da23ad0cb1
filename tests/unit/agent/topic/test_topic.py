"""Where rows go: names of topics, and the partition of a host as Kafka's own clients choose it."""

import pytest

from agent.topic.topic import TOPIC_LENGTH_MAX, TOPIC_LETTERS, murmur2, partition_of, topic_of, topics_of

# org.apache.kafka.common.utils.UtilsTest, as signed numbers of 32 bits.
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}
# librdkafka, rdmurmur2.c: each number of bytes behind the last whole word.
LIBRDKAFKA = {"": 0x106E08D9, "kafka": 0xD067CF64, "1234": 0x9FC97B14, "234": 0xE7C009CA, "34": 0x873930DA, "4": 0x5A4B5CA1}


@pytest.mark.parametrize("text", JAVA)
def test_the_hash_is_that_of_java(text: str) -> None:
    """A host has the same partition from whatever client."""
    assert murmur2(text.encode()) == JAVA[text] % 2**32


@pytest.mark.parametrize("text", LIBRDKAFKA)
def test_the_hash_is_that_of_librdkafka(text: str) -> None:
    """Also of a text of no letters."""
    assert murmur2(text.encode()) == LIBRDKAFKA[text]


def test_the_partition_is_that_of_the_name_without_the_sign() -> None:
    """Java takes the remainder of the hash without its highest bit."""
    assert partition_of("21", 12) == (-973932308 & 0x7FFFFFFF) % 12
    assert partition_of("knöten-1", 1) == 0
    assert {partition_of(f"node-{number}", 3) for number in range(50)} == {0, 1, 2}


def test_tables_of_processes_share_a_topic() -> None:
    """Raw rows are together, sketches beside them, and every other table has a topic of its own."""
    raw = ("process", "process_tail", "process_scan", "process_raw")
    assert {topic_of(table) for table in raw} == {"proc.raw.v1"}
    assert topic_of("process_sketch", "eu.") == "eu.proc.sketch.v1"
    assert topic_of("unit_event") == "evergauge.unit_event.v1"
    assert topics_of(("unit", "process_tail", "process"), "a-") == ("a-evergauge.unit.v1", "a-proc.raw.v1")


def test_each_table_has_a_name_that_kafka_takes() -> None:
    """Tables are named by letters, digits and lines."""
    name = topic_of("process_exit")
    assert TOPIC_LETTERS.issuperset(name)
    assert len(name) <= TOPIC_LENGTH_MAX
