"""Invitations and the frames of joining: round trips, and bad input that gets one sentence without a secret in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.invitation import (
    JOIN_BYTES_MAX,
    KEY_BYTES,
    SCHEME,
    TEXT_CHARACTERS_MAX,
    TOKEN_BYTES,
    Invitation,
    bracketed,
    decode_join,
    decode_joined,
    encode_join,
    encode_joined,
    encode_not_joined,
    from_text,
    parse_invitation,
    to_text,
)
from agent.model.errors import FormatError
from agent.model.foreign import readable

KEY, TOKEN = bytes(range(KEY_BYTES)), bytes(range(200, 200 + TOKEN_BYTES))
INSTALL = "00112233445566aa"
INVITATION = Invitation("hub.example.org", 9466, KEY, TOKEN)
HOSTS = st.sampled_from(["hub", "hub.example.org", "192.0.2.1", "2001:db8::1", "::1"])
KEYS, TOKENS = (st.binary(min_size=size, max_size=size) for size in (KEY_BYTES, TOKEN_BYTES))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(host=HOSTS, port=st.integers(1, 65535), key=KEYS, token=TOKENS)
def test_an_invitation_comes_back_as_it_was(host: str, port: int, key: bytes, token: bytes) -> None:
    """From its line, also with spaces around it."""
    made = Invitation(host, port, key, token)
    found = parse_invitation(f"  {made.text}\n")
    assert (found.host, found.port, found.key, found.token) == (host, port, key, token)
    assert (found, hash(found)) == (made, hash(made))


def test_invitations_are_compared_by_all_of_their_line() -> None:
    """One of another port is another one, and nothing else is one."""
    assert Invitation("hub", 1, KEY, TOKEN) != Invitation("hub", 2, KEY, TOKEN)
    assert Invitation("hub", 1, KEY, TOKEN) != "hub"
    assert (bracketed("::1"), bracketed("hub")) == ("[::1]", "hub")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not begin with evergauge-1:"),
        ("x" * (TEXT_CHARACTERS_MAX + 1), "more than 512 characters"),
        (f"{SCHEME}:hub:9466", "it is not evergauge-1:HOST:PORT:KEY:TOKEN"),
        (f"{SCHEME}:a b:9466:{to_text(KEY)}:{to_text(TOKEN)}", "'a b' is no host"),
        (f"{SCHEME}:2001:db8::1:9466:{to_text(KEY)}:{to_text(TOKEN)}", "an IPv6 address stands in brackets"),
        (f"{SCHEME}:hub:0:{to_text(KEY)}:{to_text(TOKEN)}", "'0' is no port"),
        (f"{SCHEME}:hub:65536:{to_text(KEY)}:{to_text(TOKEN)}", "'65536' is no port"),
        (f"{SCHEME}:hub:\u0664:{to_text(KEY)}:{to_text(TOKEN)}", "is no port"),
        (f"{SCHEME}:hub:x:{to_text(KEY)}:{to_text(TOKEN)}", "'x' is no port"),
        (f"{SCHEME}:hub:9466:{to_text(KEY)[:-1]}:{to_text(TOKEN)}", "its key or token is cut or changed"),
        (f"{SCHEME}:hub:9466:{to_text(KEY)}:{to_text(TOKEN)[:-2]}", "its key or token is cut or changed"),
        (f"{SCHEME}:hub:9466:{to_text(KEY)}:{'+' * 22}", "its key or token is cut or changed"),
        (f"{SCHEME}:hub:9466:{to_text(KEY)}:{'é' * 22}", "its key or token is cut or changed"),
    ],
)
def test_each_wrong_part_is_named_and_the_token_is_not_told(text: str, said: str) -> None:
    """A line that was copied badly."""
    with pytest.raises(FormatError) as failure:
        parse_invitation(text)
    assert said in failure.value.sentence
    assert to_text(TOKEN) not in failure.value.sentence


def test_every_prefix_of_an_invitation_is_refused() -> None:
    """Until it is whole."""
    for end in range(len(INVITATION.text)):
        with pytest.raises(FormatError):
            parse_invitation(INVITATION.text[:end])


@given(text=st.text() | st.text().map(lambda rest: f"{SCHEME}:{rest}"))
def test_nonsense_is_never_an_invitation(text: str) -> None:
    """And never another error."""
    with pytest.raises(FormatError):
        parse_invitation(text)


@given(data=st.binary(max_size=40))
def test_texts_of_bytes_come_back(data: bytes) -> None:
    """Unpadded, with letters that a shell leaves alone."""
    text = to_text(data)
    assert not set(text) & set("+/=\n")
    assert from_text(text, len(data)) == data


@given(host=st.text(min_size=1, max_size=300).map(lambda text: readable(text, 255)))
def test_a_request_to_join_fits_whatever_the_host_is_called(host: str) -> None:
    """A long name is cut, so that the frame has at most 512 bytes."""
    frame = encode_join(TOKEN, INSTALL, host)
    assert len(frame) <= JOIN_BYTES_MAX
    token, install, found = decode_join(frame)
    assert (token, install) == (TOKEN, INSTALL)
    assert host.startswith(found)


def test_a_long_name_of_large_letters_is_cut() -> None:
    """Four bytes each: no half of a letter is sent."""
    host = "\U0001f40d" * 255
    _, _, found = decode_join(encode_join(TOKEN, INSTALL, host))
    assert 0 < len(found) < len(host)
    assert host.startswith(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"token": 5},
        {"token": "short"},
        {"install": "XX112233445566aa"},
        {"install": "00"},
        {"host": ""},
        {"host": "a\nb"},
        {"host": "\ud800"},
        {"host": "x" * 300},
        {"host": None},
    ],
)
def test_a_request_to_join_with_one_wrong_field_is_refused(changes: dict[str, object]) -> None:
    """Each of them."""
    right = {"v": 1, "token": to_text(TOKEN), "install": INSTALL, "host": "node-1"}
    assert decode_join(json.dumps(right).encode()) == (TOKEN, INSTALL, "node-1")
    with pytest.raises(FormatError, match="no request to join"):
        decode_join(json.dumps({**right, **changes}).encode())


def test_every_prefix_and_every_altered_byte_of_a_request_to_join_is_told_apart() -> None:
    """Refused, or another request; never another error."""
    frame = encode_join(TOKEN, INSTALL, "node-1")
    for end in range(len(frame)):
        with pytest.raises(FormatError):
            decode_join(frame[:end])
    for place in range(len(frame)):
        for flipped in (0x01, 0x20, 0x80):
            altered = bytearray(frame)
            altered[place] ^= flipped
            try:
                decode_join(bytes(altered))
            except FormatError:
                continue


@given(data=st.binary(max_size=JOIN_BYTES_MAX) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nonsense_never_joins_and_is_no_answer(data: bytes) -> None:
    """Bytes of a stranger."""
    with pytest.raises(FormatError):
        decode_join(data)
    with pytest.raises(FormatError):
        decode_joined(data)


def test_nesting_without_an_end_is_refused() -> None:
    """A decoder that gives up says so in its own error."""
    for decode in (decode_join, decode_joined):
        with pytest.raises(FormatError):
            decode(b"[" * 100_000)


def test_the_hubs_answer_comes_back() -> None:
    """Taken, and not taken; what it says is made safe for a terminal."""
    found = decode_joined(encode_joined("hub", 9465))
    assert (found.hub, found.port, found.code, found.sentence) == ("hub", 9465, "", "")
    found = decode_joined(encode_not_joined("full", "no\x1b room"))
    assert (found.hub, found.port, found.code, found.sentence) == ("", 0, "full", "no\\x1b room")


@pytest.mark.parametrize(
    "document",
    [
        {"ok": True, "hub": "hub", "port": 0},
        {"ok": True, "hub": "hub", "port": True},
        {"ok": True, "hub": 7, "port": 9465},
        {"ok": False, "code": 3, "sentence": ""},
        {"ok": False, "code": "full", "sentence": None},
        {"ok": False},
        {},
    ],
)
def test_an_answer_with_a_wrong_field_is_none(document: dict[str, object]) -> None:
    """A hub that is no hub."""
    with pytest.raises(FormatError, match="cannot be read"):
        decode_joined(json.dumps(document).encode())
