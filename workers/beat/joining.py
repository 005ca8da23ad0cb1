"""Joins a hub by itself, where the settings name a file with an invitation and there are no keys yet. It waits for nothing.

It says who it is at the hub's endpoint for joining, and what comes back decides: keys are written into the state folder, or a
sentence says why not. A hub that does not answer is asked again.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import zmq

from agent.fleet.invitation import JOIN_BYTES_MAX, Invitation, bracketed, decode_joined, encode_join, parse_invitation
from agent.fleet.joined import JoinedHub, encode_joined_hub
from agent.kernel_file import read_whole
from agent.model.errors import FormatError, StorageError, UnavailableError
from agent.model.foreign import readable
from agent.model.timebase import S
from agent.store.state_file import replace_state_file
from workers.fleet.joining_keys import forget_joining_keys, joining_keys

if TYPE_CHECKING:
    ZmqContext = zmq.Context[zmq.Socket[bytes]]

INVITATION_BYTES_MAX = 4096
ANSWER_NS = 15 * S
_HANDSHAKE_MS = 10_000
_ANSWER_BYTES_MAX = 4096


class Joining:
    """One attempt. `descriptor` is readable when something has happened; `turn` says what has become of it.

    *Raises:* StorageError, FormatError for the invitation and the keys; UnavailableError where there is no way to the hub.
    """

    def __init__(self, context: "ZmqContext", invitation_file: str, key_file: str, who: tuple[str, str], now_ns: int) -> None:
        """`who`: installation and host name of this node."""
        self._key_file = key_file
        self._invitation = _read_invitation(invitation_file)
        self._until_ns = now_ns + ANSWER_NS
        try:
            self._keys = joining_keys(key_file, self._invitation)
        except OSError as cause:
            raise _no_write(key_file, cause) from cause
        self._socket = context.socket(zmq.DEALER)
        endpoint = f"tcp://{bracketed(self._invitation.host)}:{self._invitation.port}"
        try:
            for option, value in (
                (zmq.LINGER, 0),
                (zmq.IPV6, 1),
                (zmq.MAXMSGSIZE, _ANSWER_BYTES_MAX),
                (zmq.HANDSHAKE_IVL, _HANDSHAKE_MS),
            ):
                self._socket.setsockopt(option, value)
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, self._invitation.key)
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys[0])
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys[1])
            self._socket.connect(endpoint)
            request = encode_join(self._invitation.token, *who)
            assert len(request) <= JOIN_BYTES_MAX
            self._socket.send(request, zmq.NOBLOCK)
        except zmq.ZMQError as cause:
            self.close()
            raise UnavailableError(endpoint, f"there is no way to the hub: {cause.strerror}", "look at the invitation") from cause

    @property
    def descriptor(self) -> int:
        """To wait at."""
        return int(self._socket.getsockopt(zmq.FD))

    def turn(self, now_ns: int) -> bool | str:
        """True: joined, and the keys are written. False: there is no answer yet. A sentence: it has failed.

        *Raises:* StorageError where the keys cannot be written.
        """
        try:
            answer = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return "the hub does not answer the request to join" if now_ns >= self._until_ns else False
        try:
            joined = decode_joined(answer)
        except FormatError as failure:
            return failure.sentence
        if not joined.hub:
            forget_joining_keys(self._key_file)
            return f"the hub refuses: {joined.sentence}"
        endpoint = f"tcp://{bracketed(self._invitation.host)}:{joined.port}"
        hub = JoinedHub(joined.hub, endpoint, self._invitation.key, *self._keys)
        try:
            replace_state_file(self._key_file, encode_joined_hub(hub))
        except OSError as cause:
            raise _no_write(self._key_file, cause) from cause
        forget_joining_keys(self._key_file)
        return True

    def close(self) -> None:
        """End the connection."""
        with suppress(zmq.ZMQError):
            self._socket.close(linger=0)


# Begins an attempt for a hub by its name. *Absent:* None where the settings name no invitation.
BeginJoining = Callable[[str, int], Joining | None]


def _no_write(path: str, cause: OSError) -> StorageError:
    return StorageError(readable(path), f"it cannot be written ({cause.strerror})", "make room on the disk")


def _read_invitation(path: str) -> Invitation:
    try:
        data = read_whole(path, INVITATION_BYTES_MAX)
    except OSError as cause:
        raise StorageError(readable(path), f"it cannot be read ({cause.strerror})", "name the file of an invitation") from cause
    return parse_invitation(data.decode("ascii", "replace"))
