"""The section of a sink of kind `kafka`: what is accepted, what the library is told, and what does not go together."""

import pytest

from agent.model.errors import ConfigError
from agent.model.timebase import S
from workers.export.kafka.option import (
    BROKERS_MAX,
    OPTIONS,
    QUEUE_BYTES_MAX,
    KafkaSetup,
    check_kafka,
    consumer_options,
    producer_options,
)
from workers.export.sink import SinkValues

SASL = {"security": "sasl_ssl", "user": "agent", "password_file": "/secret"}


def setup_of(**given: str | int | bool) -> KafkaSetup:
    """What a section asks for."""
    return check_kafka(SinkValues("k", "kafka", {"brokers": "a:9092", **given}))


def test_a_section_of_brokers_alone_is_enough() -> None:
    """Without TLS and users."""
    setup = setup_of()
    assert (setup.brokers, setup.place, setup.partitions, setup.replication) == ("a:9092", "a:9092", 12, -1)
    assert setup.library["security.protocol"] == "plaintext"
    assert not any(key.startswith(("ssl.", "sasl.")) for key in setup.library)
    assert len({option.key for option in OPTIONS}) == len(OPTIONS)


def test_several_brokers_are_named_by_the_first() -> None:
    """In sentences; addresses in brackets, and spaces between them."""
    setup = setup_of(brokers=" a:9092, [::1]:9093 ,10.0.0.1:80,")
    assert setup.library["bootstrap.servers"] == "a:9092,[::1]:9093,10.0.0.1:80"
    assert setup.place == "a:9092 and others"


def test_users_and_certificates_reach_the_library() -> None:
    """The password does not: it is read when a client is made."""
    library = setup_of(**SASL, sasl_mechanism="SCRAM-SHA-512", ca_file="/ca", cert_file="/both").library
    assert library["security.protocol"] == "sasl_ssl"
    assert (library["sasl.mechanism"], library["sasl.username"]) == ("SCRAM-SHA-512", "agent")
    assert (library["ssl.ca.location"], library["ssl.certificate.location"], library["ssl.key.location"]) == (
        "/ca",
        "/both",
        "/both",
    )
    assert library["enable.ssl.certificate.verification"] is True
    assert "/secret" not in library.values()
    assert setup_of(security="ssl", cert_file="/c", key_file="/k", tls_verify=False).library["ssl.key.location"] == "/k"


def test_a_producer_writes_all_or_nothing_within_its_memory() -> None:
    """Idempotent, acknowledged by all copies, as one transactional id; nothing older than an answer may take."""
    options = producer_options(setup_of(answer_timeout=7 * S, message_bytes=5000), "evergauge.i.k")
    assert options["transactional.id"] == "evergauge.i.k"
    assert (options["acks"], options["enable.idempotence"], options["compression.type"]) == ("all", True, "zstd")
    assert options["queue.buffering.max.kbytes"] == QUEUE_BYTES_MAX >> 10 == 8192
    assert options["transaction.timeout.ms"] == options["message.timeout.ms"] == 7000
    assert isinstance(options["message.max.bytes"], int)
    assert options["message.max.bytes"] > 5000
    assert options["allow.auto.create.topics"] is False


def test_a_consumer_reads_what_is_committed_and_joins_nothing() -> None:
    """It has the group's name, for its offsets alone."""
    options = consumer_options(setup_of(), "g")
    assert (options["group.id"], options["isolation.level"], options["enable.auto.commit"]) == ("g", "read_committed", False)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"brokers": ""}, "brokers"),
        ({"brokers": " , "}, "brokers"),
        ({"brokers": ",".join(["a:1"] * (BROKERS_MAX + 1))}, "brokers"),
        ({"brokers": "a"}, "brokers"),
        ({"brokers": "a:"}, "brokers"),
        ({"brokers": "a:0"}, "brokers"),
        ({"brokers": "a:70000"}, "brokers"),
        ({"brokers": "kafka://a:9092"}, "brokers"),
        ({"brokers": "user@a:9092"}, "brokers"),
        ({"brokers": "a b:9092"}, "brokers"),
        ({"topic_prefix": "eu/"}, "topic_prefix"),
        ({"topic_prefix": "x" * 200}, "topic_prefix"),
        ({"replication": 0}, "replication"),
        ({"user": "agent"}, "user"),
        ({"password_file": "/p"}, "password_file"),
        ({"security": "ssl", "password_variable": "P"}, "password_variable"),
        ({"security": "sasl_plaintext", "password_file": "/p"}, "user"),
        ({"security": "sasl_plaintext", "user": "agent"}, "password_file"),
        ({**SASL, "password_variable": "P"}, "password_file"),
        ({"ca_file": "/ca"}, "ca_file"),
        ({"security": "sasl_plaintext", "user": "a", "password_file": "/p", "cert_file": "/c"}, "cert_file"),
        ({"security": "ssl", "key_file": "/k"}, "key_file"),
    ],
)
def test_what_does_not_go_together_is_refused(section: dict[str, str | int], key: str) -> None:
    """With the key, and what to write instead."""
    with pytest.raises(ConfigError) as refusal:
        setup_of(**section)
    assert refusal.value.where == key
    assert refusal.value.remedy
