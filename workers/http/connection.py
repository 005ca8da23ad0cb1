"""One client's connection: its phases, its bytes, never waiting. May import socket and errno."""

import socket
from enum import Enum
from errno import EAGAIN, EPIPE
from typing import Protocol

from agent.model.timebase import S
from agent.ports import Interest

RECEIVE_BYTES = 16 << 10
# What a client may still send after its answer before it is cut.
DRAIN_BYTES_MAX = 256 << 10
# How long bytes that it still sends are read after the answer.
DRAIN_TIMEOUT_NS = 1 * S


class ByteStream(Protocol):
    """A non-blocking socket, or what `workers.http.tls` makes of one. Where it would have to wait it raises BlockingIOError."""

    def fileno(self) -> int: ...

    def recv(self, bytes_max: int, /) -> bytes: ...

    def send(self, data: bytes | memoryview, /) -> int: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


class Handshake(Protocol):
    """What comes before the first byte of a request. `wants_room`: it waits for room to send and not for bytes."""

    wants_room: bool

    def step(self) -> bool:
        """Go on; True when it is done. *Raises:* OSError where it has failed."""
        ...


class Phase(Enum):
    """Agreeing on keys; reading the request; asking for the answer; writing it; draining: answered, waiting for the end."""

    SHAKING_HANDS = 0
    READING = 1
    ASKING = 2
    WRITING = 3
    DRAINING = 4


class Connection:
    """Owns one accepted, non-blocking socket. `is_long`: its answer may come much later, so it has another kind of place."""

    def __init__(
        self, stream: ByteStream, ticket: int, deadline_ns: int, peer: str = "", handshake: Handshake | None = None
    ) -> None:
        self.ticket = ticket
        self.deadline_ns = deadline_ns
        self.peer = peer
        self.is_long = False
        self.phase = Phase.READING if handshake is None else Phase.SHAKING_HANDS
        self.received = bytearray()
        self.descriptor = stream.fileno()
        self._stream = stream
        self._handshake = handshake
        self._unsent = memoryview(b"")
        self._drained_bytes = 0

    @property
    def is_listening(self) -> bool:
        """Whether bytes of the client are wanted."""
        return self.phase in (Phase.READING, Phase.DRAINING, Phase.SHAKING_HANDS)

    @property
    def interest(self) -> Interest:
        """What to wait for: its bytes, room for the answer, or (while the answer is made) nothing."""
        if self._handshake is not None:
            return Interest(self.descriptor, not self._handshake.wants_room, self._handshake.wants_room)
        return Interest(self.descriptor, self.is_listening, self.phase is Phase.WRITING)

    def shake_hands(self) -> bool:
        """Go on with the handshake; False when it has failed."""
        assert self._handshake is not None
        try:
            if self._handshake.step():
                self.phase, self._handshake = Phase.READING, None
        except OSError:
            return False
        return True

    def receive(self) -> bool:
        """Take what has come, once; False when the connection is over."""
        try:
            data = self._stream.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            # ECONNRESET, ETIMEDOUT: the client has gone.
            return False
        if self.phase is Phase.READING:
            self.received += data
        else:
            self._drained_bytes += len(data)
        return bool(data) and self._drained_bytes <= DRAIN_BYTES_MAX

    def begin_asking(self) -> None:
        """The request has been read; its bytes are no longer needed."""
        assert self.phase is Phase.READING, self.phase
        self.phase = Phase.ASKING
        self.received = bytearray()

    def begin_writing(self, response: bytes) -> None:
        """The answer exists; `write` sends it."""
        assert self.phase in (Phase.READING, Phase.ASKING), self.phase
        self.phase = Phase.WRITING
        self.received = bytearray()
        self._unsent = memoryview(response)

    def handed_over(self) -> ByteStream:
        """The socket, whose owner is the caller from now on."""
        assert self.phase is Phase.ASKING, self.phase
        return self._stream

    def write(self, now_ns: int) -> int:
        """Send what fits; 0 when all is sent, else an errno: EAGAIN to go on when there is room."""
        try:
            sent = self._stream.send(self._unsent)
            self._unsent = self._unsent[sent:]
            if self._unsent:
                return EAGAIN
            # Our end is closed first and the client's end awaited: closing over unread bytes would make the kernel
            # reset the connection, and the client could lose the answer (RFC 9112, 9.6).
            self._stream.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return EAGAIN
        except OSError as gone:
            return gone.errno or EPIPE
        self.phase = Phase.DRAINING
        self.deadline_ns = min(self.deadline_ns, now_ns + DRAIN_TIMEOUT_NS)
        return 0

    def close(self) -> None:
        """Give the socket back."""
        self._stream.close()
