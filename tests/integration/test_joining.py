"""A node that joins by itself, with a scripted hub at the other end: each answer, and silence."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from harness.waiting import wait_until
from zmq.utils import z85

from agent.fleet.invitation import Invitation, decode_join, encode_joined, encode_not_joined
from agent.fleet.joined import parse_joined_hub
from agent.model.errors import FormatError, StorageError
from agent.model.timebase import S
from workers.beat.joining import ANSWER_NS, Joining

INSTALL, TOKEN = "0011223344556677", bytes(range(16))


class ScriptedHub:
    """The endpoint for joining; it answers what the test says."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        public, secret = zmq.curve_keypair()
        self.key = z85.decode(public)
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.CURVE_SERVER, 1)
        self.socket.setsockopt(zmq.CURVE_SECRETKEY, z85.decode(secret))
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    def invitation(self, folder: Path) -> str:
        """The file of an invitation of this hub."""
        path = folder / "invitation"
        path.write_text(Invitation("127.0.0.1", self.port, self.key, TOKEN).text + "\n")
        return str(path)

    def answer(self, frame: bytes) -> bytes:
        """Take one request, answer it; the request."""
        assert self.socket.poll(10_000), "the node asks"
        who, request = self.socket.recv_multipart()
        self.socket.send_multipart((who, frame))
        return request

    def close(self) -> None:
        """End it."""
        self.socket.close()
        self.context.term()


@pytest.fixture
def hub() -> Iterator[ScriptedHub]:
    """A hub that a test scripts."""
    made = ScriptedHub()
    yield made
    made.close()


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    """That of the node."""
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.term()


def joining(context: "zmq.Context[zmq.Socket[bytes]]", invitation: str, folder: Path) -> Joining:
    """One attempt."""
    return Joining(context, invitation, str(folder / "hubs" / "hub.json"), (INSTALL, "node-1"), 0)


def test_a_hub_that_takes_the_node_gives_a_file_with_its_keys(
    hub: ScriptedHub, context: "zmq.Context[zmq.Socket[bytes]]", tmp_path: Path
) -> None:
    """The request says who it is; the file has the endpoint for data and a key pair of the node's own, for its owner alone."""
    attempt = joining(context, hub.invitation(tmp_path), tmp_path)
    assert attempt.turn(1 * S) is False
    assert decode_join(hub.answer(encode_joined("central", 9465))) == (TOKEN, INSTALL, "node-1")
    assert wait_until(lambda: attempt.turn(2 * S), "the answer has come") is True
    attempt.close()
    path = tmp_path / "hubs" / "hub.json"
    joined = parse_joined_hub(path.read_bytes(), "file")
    assert (joined.hub, joined.endpoint, joined.hub_key) == ("central", "tcp://127.0.0.1:9465", hub.key)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (encode_not_joined("expired_token", "this invitation has expired"), "the hub refuses: this invitation has expired"),
        (b"\xff\xfe nonsense", "it cannot be read"),
    ],
)
def test_a_refusal_is_the_hubs_sentence(
    hub: ScriptedHub, context: "zmq.Context[zmq.Socket[bytes]]", tmp_path: Path, frame: bytes, said: str
) -> None:
    """And no keys are written, nor kept: a refusal is an answer, nonsense is none."""
    attempt = joining(context, hub.invitation(tmp_path), tmp_path)
    hub.answer(frame)
    assert said in str(wait_until(lambda: attempt.turn(2 * S), "the answer has come"))
    attempt.close()
    assert not (tmp_path / "hubs/hub.json").exists()
    assert (tmp_path / "hubs/hub.json.joining").exists() is (said == "it cannot be read")


def test_who_was_not_answered_asks_again_with_the_same_keys(
    hub: ScriptedHub, context: "zmq.Context[zmq.Socket[bytes]]", tmp_path: Path
) -> None:
    """The hub may have taken it already. Another hub, or one that has answered, is asked with new ones."""
    keys = []
    for _ in range(2):
        attempt = joining(context, hub.invitation(tmp_path), tmp_path)
        keys.append(attempt._keys)
        attempt.close()
    assert keys[0] == keys[1]
    hub.key = bytes(32)
    attempt = joining(context, hub.invitation(tmp_path), tmp_path)
    assert attempt._keys not in keys
    attempt.close()


def test_silence_ends(hub: ScriptedHub, context: "zmq.Context[zmq.Socket[bytes]]", tmp_path: Path) -> None:
    """After some seconds, so that it is tried again."""
    attempt = joining(context, hub.invitation(tmp_path), tmp_path)
    assert attempt.turn(ANSWER_NS - 1) is False
    assert attempt.turn(ANSWER_NS) == "the hub does not answer the request to join"
    attempt.close()


def test_a_file_that_is_no_invitation_is_named(context: "zmq.Context[zmq.Socket[bytes]]", tmp_path: Path) -> None:
    """Missing, or something else."""
    with pytest.raises(StorageError, match="it cannot be read"):
        joining(context, str(tmp_path / "nowhere"), tmp_path)
    (tmp_path / "text").write_bytes(b"\xffhello")
    with pytest.raises(FormatError, match="does not begin with evergauge-1:"):
        joining(context, str(tmp_path / "text"), tmp_path)
