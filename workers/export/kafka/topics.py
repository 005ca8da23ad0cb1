"""The topics that a sink writes: found, or made, and judged together."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workers.export.kafka.client import Deadline, Heard, KafkaTrouble, until_answered
from workers.export.kafka.option import KafkaSetup
from workers.export.sink import Later, Paused

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

_ABSENT = "UNKNOWN_TOPIC_OR_PART"
_LOOK_SECONDS = 0.05


def partitions_of(producer: "Producer", topics: Sequence[str], heard: Heard, deadline: Deadline) -> dict[str, int]:
    """The number of partitions of each topic that is there. *Raises:* KafkaTrouble."""
    found: dict[str, int] = {}
    for topic in topics:

        def ask(seconds: float, topic: str = topic) -> None:
            known = producer.list_topics(topic, seconds).topics[topic]
            if known.error is None:
                found[topic] = len(known.partitions)
            elif known.error.name() != _ABSENT:
                raise KafkaTrouble(heard.verdict(known.error), is_over=False)

        until_answered(ask, lambda: producer.poll(0), heard, deadline)
    return found


def common_count(setup: KafkaSetup, found: dict[str, int]) -> int:
    """How many partitions each topic has, and each that is to be made will have. *Raises:* KafkaTrouble where they differ."""
    counts = sorted(set(found.values()))
    if len(counts) <= 1:
        return counts[0] if counts else setup.partitions
    few, many = (next(topic for topic in sorted(found) if found[topic] == count) for count in (counts[0], counts[-1]))
    raise KafkaTrouble(
        Paused(
            f"{setup.place}: topic {few} has {counts[0]} partitions and {many} has {counts[-1]}, but the rows of a host are in "
            "partitions of one number; give all topics of this sink the same number"
        ),
        is_over=False,
    )


def make_topics(
    setup: KafkaSetup, options: dict[str, Any], missing: Sequence[str], partitions: int, heard: Heard, deadline: Deadline
) -> None:
    """Have the brokers make topics. Another sink may make them at the same time. *Raises:* KafkaTrouble."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient(options)
    wanted = [NewTopic(topic, num_partitions=partitions, replication_factor=setup.replication) for topic in missing]
    for topic, made in admin.create_topics(wanted, request_timeout=deadline.left_seconds).items():
        try:
            made.result(deadline.left_seconds)
        except TimeoutError:
            raise KafkaTrouble(heard.unreachable(), is_over=False) from None
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            if error.name() != "TOPIC_ALREADY_EXISTS":
                raise _not_made(setup, topic, partitions, heard, error) from failure


def wait_made(producer: "Producer", topics: Sequence[str], heard: Heard, deadline: Deadline) -> dict[str, int]:
    """The number of partitions of each topic, once all are there. *Raises:* KafkaTrouble."""
    while True:
        found = partitions_of(producer, topics, heard, deadline)
        missing = [topic for topic in topics if topic not in found]
        if not missing:
            return found
        if deadline.is_over:
            raise KafkaTrouble(Later(f"{heard.place}: topic {missing[0]} is made, and cannot be seen yet"), is_over=False)
        time.sleep(_LOOK_SECONDS)


def _not_made(setup: KafkaSetup, topic: str, partitions: int, heard: Heard, error: "KafkaError") -> KafkaTrouble:
    verdict = heard.verdict(error)
    if isinstance(verdict, Paused):
        why = f"topic {topic} is missing and cannot be made: {verdict.sentence}"
        return KafkaTrouble(Paused(f"{why}; or make it with {partitions} partitions"), is_over=False)
    return KafkaTrouble(Later(f"{setup.place}: topic {topic} is missing and was not made ({error.name()})"), is_over=False)
