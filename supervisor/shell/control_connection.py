"""One client's connection to the control socket: its bytes in and out, never waiting. May import socket and select."""

import select
import socket

from agent.model.control import REQUEST_BYTES_MAX
from supervisor.core.access_rule import Peer


class TooLong(Exception):
    """The client sent more than a request may have without ending its line."""


class ControlConnection:
    """Owns one accepted, non-blocking stream.

    `is_waiting`: a request is under way, its answer does not exist yet. `has_ended`: the client will send nothing more.
    `has_turn`: a reader's request is under way or its answer is not read yet (`supervisor.core.client_quota`).
    """

    def __init__(self, stream: socket.socket, peer: Peer, *, is_reader: bool) -> None:
        self.peer = peer
        self.is_reader = is_reader
        self.has_turn = False
        self.is_waiting = False
        self.has_ended = False
        self.unread_since_ns: int | None = None
        self.descriptor = stream.fileno()
        self._stream = stream
        self._incoming = bytearray()
        self._outgoing = bytearray()

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way and the last answer has been taken."""
        return not self.is_waiting and not self._outgoing

    @property
    def has_line(self) -> bool:
        """Whether a whole line has arrived that was not taken yet."""
        return b"\n" in self._incoming

    @property
    def wanted(self) -> int:
        """What the loop is to hear of, as a mask of epoll.

        While an answer is under way nothing more is read: a client's own pipe holds what it sends ahead.
        """
        mask = select.EPOLLIN if self.is_idle and not self.has_ended else 0
        return (mask | select.EPOLLOUT if self._outgoing else mask) or select.EPOLLERR

    def receive(self) -> bool:
        """Take what has come, once; False where the connection has broken."""
        try:
            data = self._stream.recv(REQUEST_BYTES_MAX)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.has_ended = self.has_ended or not data
        self._incoming += data
        return True

    def peek_line(self) -> bool:
        """Whether the next request is here whole. *Raises:* TooLong for one that can never be."""
        end = self._incoming.find(b"\n")
        if 0 <= end <= REQUEST_BYTES_MAX:
            return True
        if len(self._incoming) > REQUEST_BYTES_MAX:
            self._incoming.clear()
            self.has_ended = True
            raise TooLong
        return False

    def take_line(self) -> bytes:
        """The next request, which `peek_line` has found."""
        assert self.has_line
        end = self._incoming.index(b"\n")
        line = bytes(self._incoming[:end])
        del self._incoming[: end + 1]
        return line

    def put(self, line: bytes) -> None:
        """Queue an answer; `flush` sends it."""
        assert line.endswith(b"\n"), "an answer is one whole line"
        self._outgoing += line

    def flush(self, now_ns: int) -> bool:
        """Send what fits; False where the connection has broken."""
        while self._outgoing:
            try:
                sent = self._stream.send(self._outgoing)
            except BlockingIOError:
                break
            except OSError:
                return False
            del self._outgoing[:sent]
            self.unread_since_ns = None
        if self._outgoing and self.unread_since_ns is None:
            self.unread_since_ns = now_ns
        return True

    def close(self) -> None:
        """Give the stream back."""
        self._stream.close()
