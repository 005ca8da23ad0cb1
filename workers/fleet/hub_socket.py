"""The connection of a node to a hub: ZeroMQ over TCP with CURVE. It never waits, and what cannot be sent now is not kept.

Called by one thread. The descriptor becomes readable when something has happened; then, and after each `send`, `receive` is called
until it gives None, because the descriptor reports each change once (ZMQ_FD).
"""

from typing import TYPE_CHECKING

import zmq

from agent.fleet.joined import JoinedHub
from agent.fleet.message import ANSWER_BYTES_MAX

if TYPE_CHECKING:
    ZmqContext = zmq.Context[zmq.Socket[bytes]]

# A hub that comes back meets its nodes spread over this time: each waits a random part beyond it, twice it at most.
RECONNECT_MS = 2500
# A path that swallows packets is noticed after so long.
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 5_000, 15_000
# Longer than a hub gives it: it waits where all nodes come back at once.
HANDSHAKE_MS = 20_000


class HubSocket:
    """One DEALER. *Raises:* OSError where it cannot be made: no descriptor, no memory, a name that is no address."""

    def __init__(self, context: "ZmqContext", hub: JoinedHub, *, waiting_max: int = 4) -> None:
        self._context = context
        self._hub = hub
        self._waiting_max = waiting_max
        self._socket = self._connect()

    @property
    def descriptor(self) -> int:
        """Readable when something has happened; see above."""
        return int(self._socket.getsockopt(zmq.FD))

    def send(self, *frames: bytes) -> bool:
        """False: not now. There is no connection, or it takes no more."""
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=len(frames) == 1)
        except zmq.Again:
            return False
        return True

    def receive(self) -> bytes | None:
        """The next answer; None: there is none now. One of several frames is none of a hub and passed over."""
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            if len(frames) == 1:
                return frames[0]

    def wait(self, seconds: float) -> bool:
        """Wait until there may be an answer, for a thread that has nothing else to do. False: the time is over."""
        return bool(self._socket.poll(int(seconds * 1000)))

    def close(self) -> None:
        """End the connection. What was not sent is not."""
        self._socket.close(linger=0)

    def _connect(self) -> "zmq.Socket[bytes]":
        try:
            made = self._context.socket(zmq.DEALER)
        except zmq.ZMQError as cause:
            raise _as_os_error(cause) from cause
        try:
            for option, value in (
                (zmq.LINGER, 0),
                # Nothing is queued for a hub that is away: what was true then is not now.
                (zmq.IMMEDIATE, 1),
                (zmq.SNDHWM, self._waiting_max),
                (zmq.RCVHWM, 64),
                (zmq.MAXMSGSIZE, ANSWER_BYTES_MAX),
                (zmq.RECONNECT_IVL, RECONNECT_MS),
                (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
                (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
                (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
                (zmq.IPV6, 1),
            ):
                made.setsockopt(option, value)
            made.setsockopt(zmq.CURVE_SERVERKEY, self._hub.hub_key)
            made.setsockopt(zmq.CURVE_PUBLICKEY, self._hub.public_key)
            made.setsockopt(zmq.CURVE_SECRETKEY, self._hub.secret_key)
            made.connect(self._hub.endpoint)
        except zmq.ZMQError as cause:
            made.close(linger=0)
            raise _as_os_error(cause) from cause
        return made


def _as_os_error(cause: zmq.ZMQError) -> OSError:
    """An error of ZeroMQ is none of the system's by its type, and callers wait for those."""
    return OSError(cause.errno or 0, cause.strerror or "ZeroMQ refuses it")
