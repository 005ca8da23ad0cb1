"""The file of a joined hub: round trips, and content that is none, told without a key in the sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.invitation import KEY_BYTES, to_text
from agent.fleet.joined import JoinedHub, check_endpoint, encode_joined_hub, parse_joined_hub
from agent.model.errors import FormatError

PUBLIC, SECRET, HUB_KEY = b"p" * KEY_BYTES, b"s" * KEY_BYTES, b"h" * KEY_BYTES
JOINED = JoinedHub("hub", "tcp://hub.example.org:9465", HUB_KEY, PUBLIC, SECRET)
KEYS = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
ENDPOINTS = st.sampled_from(["tcp://hub:9465", "tcp://[::1]:1", "tcp://192.0.2.1:65535"])


@given(endpoint=ENDPOINTS, hub_key=KEYS, public=KEYS, secret=KEYS)
def test_a_joined_hub_comes_back_as_it_was(endpoint: str, hub_key: bytes, public: bytes, secret: bytes) -> None:
    """All of its fields."""
    found = parse_joined_hub(encode_joined_hub(JoinedHub("hub", endpoint, hub_key, public, secret)), "hub.json")
    assert (found.hub, found.endpoint) == ("hub", endpoint)
    assert (found.hub_key, found.public_key, found.secret_key) == (hub_key, public, secret)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": [1] * 100},
        {"endpoint": "udp://hub:9465"},
        {"endpoint": 5},
        {"hub": None},
        {"hub_key": to_text(PUBLIC)[:-1]},
        {"public_key": None},
        {"secret_key": "=" * 43},
    ],
)
def test_a_wrong_field_is_refused_and_no_key_is_told(changes: dict[str, object]) -> None:
    """Where to go from here is."""
    document = {**json.loads(encode_joined_hub(JOINED)), **changes}
    with pytest.raises(FormatError) as failure:
        parse_joined_hub(json.dumps(document).encode(), "hub.json")
    assert "join the hub again" in str(failure.value)
    assert to_text(SECRET) not in str(failure.value)


def test_every_prefix_and_every_altered_byte_is_refused_or_another_file() -> None:
    """Never another error."""
    data = encode_joined_hub(JOINED).rstrip()
    for end in range(len(data)):
        with pytest.raises(FormatError):
            parse_joined_hub(data[:end], "hub.json")
    for place in range(len(data)):
        for flipped in (0x01, 0x20, 0x80):
            altered = bytearray(data)
            altered[place] ^= flipped
            try:
                parse_joined_hub(bytes(altered), "hub.json")
            except FormatError:
                continue


@given(data=st.binary(max_size=200))
def test_nonsense_is_no_joined_hub(data: bytes) -> None:
    """And nesting without an end is none."""
    for each in (data, b"[" * 100_000, b"null", b'"v"', b"{}"):
        with pytest.raises(FormatError):
            parse_joined_hub(each, "hub.json")


@pytest.mark.parametrize(
    "text",
    ["hub:9465", "tcp://hub", "tcp://hub:0", "tcp://hub:99999", "tcp://a b:1", "tcp://::1:9465", "tcp://:1", "tcp://hub:\u0664"],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    """As ZeroMQ takes it."""
    with pytest.raises(ValueError, match="tcp://"):
        check_endpoint(text)
