"""The kind of sink `kafka`: topics of Kafka, each delivery in one transaction with a mark of what is there."""

from agent.model.errors import ConfigError
from agent.model.timebase import S
from workers.export.kafka.option import BROKERS, OPTIONS, TOPIC_PREFIX, check_kafka
from workers.export.sink import Sink, SinkContext, SinkKind, SinkValues

_MISSING = "the library for Kafka is not installed; run: pip install 'evergauge[kafka]'"


def _check(values: SinkValues) -> str:
    from importlib.util import find_spec

    try:
        check_kafka(values)
    except ConfigError as failure:
        return failure.sentence
    return _MISSING if find_spec("confluent_kafka") is None else ""


def _open(context: SinkContext) -> Sink:
    from workers.export.kafka.sink import KafkaSink

    return KafkaSink(context)


SINK = SinkKind(
    name="kafka",
    about="Topics of Kafka: rows as columns, exactly once, each delivery in one transaction with a mark of what is there.",
    options=OPTIONS,
    identity=(BROKERS, TOPIC_PREFIX),
    open=_open,
    check=_check,
    preload=("workers.export.kafka.sink",),
    # Each message stands for itself, so names of pods and commands are in each of them: of two seconds they take two thirds of what
    # they take of one.
    interval_ns=2 * S,
)
