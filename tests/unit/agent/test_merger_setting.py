"""The settings of a merger, and what they refuse."""

import pytest

from agent.merger_setting import (
    MARKS_REDIS,
    MARKS_SETTINGS,
    MERGER_BROKERS,
    MERGER_GROUP,
    MERGER_SETTINGS,
    MERGER_TOPIC_PREFIX,
    check_redis,
)


def test_every_default_is_accepted() -> None:
    """And says what else is."""
    for setting in (*MERGER_SETTINGS, *MARKS_SETTINGS):
        assert setting.parse(setting.show(setting.default)) == setting.default  # type: ignore[arg-type]  # each with its own
        assert setting.accepted


@pytest.mark.parametrize(
    ("text", "brokers"),
    [("", ""), ("k:9092", "k:9092"), (" a , b:1,", "a,b:1"), ("[::1]:9092,10.0.0.1:65535", "[::1]:9092,10.0.0.1:65535")],
)
def test_brokers_are_a_list(text: str, brokers: str) -> None:
    """Without spaces."""
    assert MERGER_BROKERS.parse(text) == brokers


@pytest.mark.parametrize("text", ["k:65536", "kafka://k:1", "a b", "k:", "user@k:1", 7])
def test_what_is_no_broker_is_refused(text: object) -> None:
    """With the word."""
    with pytest.raises(ValueError):
        MERGER_BROKERS.parse(text)


def test_groups_need_a_name_and_prefixes_do_not() -> None:
    """Both have signs that Kafka takes."""
    assert MERGER_GROUP.parse("team.a_b-1") == "team.a_b-1"
    assert MERGER_TOPIC_PREFIX.parse("") == ""
    for setting, text in ((MERGER_GROUP, ""), (MERGER_GROUP, "a/b"), (MERGER_TOPIC_PREFIX, "a b")):
        with pytest.raises(ValueError):
            setting.parse(text)


@pytest.mark.parametrize("text", ["", "redis://h", "redis://user@h:6379/3", "rediss://[::1]:1/0", "unix:///run/redis.sock"])
def test_addresses_of_redis(text: str) -> None:
    """A server or a socket."""
    assert MARKS_REDIS.parse(text) == text
    assert check_redis(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("http://h", "redis://", "redis://h/x", "redis://h/12345", "redis://h?db=1", "redis://u:geheim@h", "redis://h:99999"),
        *("unix://h/path", "unix:relative", "unix:///" + "x" * 101, "redis://h/²", "unix:///a#b"),
    ],
)
def test_what_is_no_address_of_redis_is_refused(text: str) -> None:
    """And so is a password in it."""
    with pytest.raises(ValueError):
        MARKS_REDIS.parse(text)
