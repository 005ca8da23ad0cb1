"""Errors of Kafka, and what becomes of rows then."""

import pytest

from workers.export.kafka.verdict import is_pausing, kafka_verdict, said
from workers.export.sink import Later, Paused, Refused, TooLarge

PLACE = "kafka:9092"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_AUTHENTICATION", Paused),
        ("_SSL", Paused),
        ("TOPIC_AUTHORIZATION_FAILED", Paused),
        ("INVALID_TRANSACTION_TIMEOUT", Paused),
        ("MSG_SIZE_TOO_LARGE", TooLarge),
        ("RECORD_LIST_TOO_LARGE", TooLarge),
        ("INVALID_RECORD", Refused),
        ("_FENCED", Later),
        ("PRODUCER_FENCED", Later),
        ("_TIMED_OUT", Later),
        ("UNKNOWN_TOPIC_OR_PART", Later),
        ("SOMETHING_NEW", Later),
    ],
)
def test_an_error_has_its_verdict(name: str, kind: type) -> None:
    """With the brokers and their words in the sentence; what nobody knows may pass."""
    verdict = kafka_verdict(name, "Broker: no", PLACE)
    assert isinstance(verdict, kind)
    assert PLACE in verdict.sentence
    assert is_pausing(name) == (kind is Paused)


def test_a_refusal_is_counted_by_a_word() -> None:
    """A word for counters, without the library's line in front."""
    verdict = kafka_verdict("_INVALID_MSG", "x", PLACE)
    assert isinstance(verdict, Refused)
    assert verdict.reason == "invalid_msg"


def test_a_copied_host_is_told_of() -> None:
    """Two agents with one state folder take the id from each other."""
    assert "copy of this state folder" in kafka_verdict("_FENCED", "", PLACE).sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            "127.0.0.1:9092: Connect to ipv4#127.0.0.1:9092 failed: Connection refused",
        ),
        ("TxnCoordinator/1: a:1: Disconnected (after 5ms in state UP, 1 identical error(s) suppressed)", "a:1: Disconnected"),
        ("[thrd:main]: a:1/3: gone. ", "a:1: gone"),
        ("a\n\x1b[31mb", "a \\x1b[31mb"),
        ("", "no reason given"),
    ],
)
def test_a_sentence_is_the_same_each_time(text: str, words: str) -> None:
    """What changes at each attempt is left out, and a broker's words are made safe."""
    assert said(text) == words


def test_long_words_are_cut() -> None:
    """A broker is foreign."""
    assert len(said("x" * 10_000)) <= 200
