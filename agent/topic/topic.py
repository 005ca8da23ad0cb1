"""Which topic the rows of a table go to, and which partition the rows of a host. PURE.

All rows of a host are in partitions of one number: topics have equal counts of partitions, and the number follows from the name of
the host alone, as the partitioner of Kafka's own clients has it (`murmur2_random` of librdkafka).
"""

from collections.abc import Iterable

RAW_TOPIC = "proc.raw.v1"
SKETCH_TOPIC = "proc.sketch.v1"
RAW_TABLES = frozenset({"process", "process_tail", "process_scan", "process_raw"})
SKETCH_TABLE = "process_sketch"
# What Kafka allows in a name. *Source:* org.apache.kafka.common.internals.Topic.
TOPIC_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
TOPIC_LENGTH_MAX = 249
PARTITIONS_DEFAULT = 12
PARTITIONS_MAX = 10_000
_MULTIPLIER, _ROTATION, _SEED = 0x5BD1E995, 24, 0x9747B28C
_MASK = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF


def topic_of(table: str, prefix: str = "") -> str:
    """The topic of a table; `prefix` stands before its name."""
    if table in RAW_TABLES:
        return prefix + RAW_TOPIC
    return prefix + (SKETCH_TOPIC if table == SKETCH_TABLE else f"evergauge.{table}.v1")


def topics_of(tables: Iterable[str], prefix: str = "") -> tuple[str, ...]:
    """The topics of these tables, each once, in alphabetical order."""
    return tuple(sorted({topic_of(table, prefix) for table in tables}))


def partition_of(host: str, partitions: int) -> int:
    """The number of the partition that has the rows of a host. *Range:* `partitions` is 1 or more."""
    assert partitions >= 1, partitions
    return (murmur2(host.encode()) & _POSITIVE) % partitions


def murmur2(data: bytes) -> int:
    """The hash by which Kafka's clients choose a partition, without a sign.

    *Source:* org.apache.kafka.common.utils.Utils.murmur2.
    """
    found = _SEED ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> _ROTATION) * _MULTIPLIER & _MASK
        found = (found * _MULTIPLIER & _MASK) ^ word
    if whole < len(data):
        found = (found ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    found = (found ^ found >> 13) * _MULTIPLIER & _MASK
    return found ^ found >> 15
