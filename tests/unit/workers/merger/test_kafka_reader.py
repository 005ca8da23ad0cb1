"""The words in which a client is told its setup; tests with a real broker use it."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.model.errors import ConfigError
from agent.model.timebase import S
from workers.merger.kafka_reader import KafkaReader, ReaderSetup, consumer_options, topic_pattern

SETUP = ReaderSetup("k:9092", "group")


def test_the_store_alone_decides_where_to_read_on() -> None:
    """Nothing is committed or reset by the client itself, and only what is committed is read."""
    options = consumer_options(SETUP)
    assert options["enable.auto.commit"] is False
    assert options["auto.offset.reset"] == "error"
    assert options["isolation.level"] == "read_committed"
    assert options["security.protocol"] == "plaintext"
    assert "group.instance.id" not in options
    assert consumer_options(ReaderSetup("k", "g", member="m", session_ns=4 * S))["group.instance.id"] == "m"
    assert consumer_options(ReaderSetup("k", "g", session_ns=4 * S))["session.timeout.ms"] == 4_000


def test_passwords_come_from_files(tmp_path: Path) -> None:
    """And a key from the certificate's, where it has none of its own."""
    (tmp_path / "password").write_text("geheim\n")
    options = consumer_options(
        ReaderSetup(
            "k",
            "g",
            security="sasl_ssl",
            cert_file="c.pem",
            user="u",
            password_file=str(tmp_path / "password"),
            sasl_mechanism="SCRAM-SHA-256",
        )
    )
    assert options["security.protocol"] == "sasl_ssl"
    assert options["enable.ssl.certificate.verification"] is True
    assert (options["sasl.username"], options["sasl.password"], options["sasl.mechanism"]) == ("u", "geheim", "SCRAM-SHA-256")
    assert options["ssl.key.location"] == options["ssl.certificate.location"] == "c.pem"
    assert "ssl.ca.location" not in options
    with pytest.raises(ConfigError, match=r"merger\.password_file"):
        consumer_options(ReaderSetup("k", "g", security="sasl_ssl", user="u", password_file=str(tmp_path / "nothing")))


def test_passwords_come_from_variables() -> None:
    """One that is not set is said."""
    setup = ReaderSetup("k", "g", security="sasl_plaintext", user="u", password_variable="V", variables={"V": "geheim"})
    assert consumer_options(setup)["sasl.password"] == "geheim"
    with pytest.raises(ConfigError, match="variable V is not set"):
        consumer_options(replace(setup, variables={}))


@pytest.mark.parametrize(
    ("topic", "is_ours"),
    [
        ("a.b-proc.raw.v1", True),
        ("a.b-proc.sketch.v1", True),
        ("a.b-evergauge.unit_event.v1", True),
        ("a.b-evergauge.Unit.v1", False),
        ("axb-proc.raw.v1", False),
        ("proc.raw.v1", False),
        ("a.b-proc.raw.v12", False),
        ("x.a.b-proc.raw.v1", False),
    ],
)
def test_topics_are_those_that_sinks_write(topic: str, *, is_ours: bool) -> None:
    """With their prefix, and no others."""
    assert (re.match(topic_pattern("a.b-"), topic) is not None) is is_ours


def test_what_the_client_does_not_take_is_said() -> None:
    """With the remedy."""
    with pytest.raises(ConfigError, match="no consumer can be made"):
        KafkaReader(ReaderSetup("k", "g", security="ssl", ca_file="/nowhere/ca.pem"), lambda _: None, lambda: None)
