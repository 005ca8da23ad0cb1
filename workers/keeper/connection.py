"""One client of the keeper: lines in, lines out, never waited for. A client that does not read is let go."""

import socket
from collections.abc import Callable, Iterator

import msgspec

from agent.model.foreign import readable
from workers.keeper.poller import READABLE, WRITABLE, DescriptorPoller
from workers.keeper.protocol import LINE_BYTES_MAX, FromKeeper, KeeperRefused, RefusalWord, ToKeeper

READ_BYTES = 256 << 10
# All records of hundreds of workloads; a client that lets more lie is not there.
WAITING_BYTES_MAX = 64 << 20


class _Numbered(msgspec.Struct):
    """What every order has, also one of a later version."""

    request: int = 0


class ClientConnection:
    """The keeper's end of one connection."""

    def __init__(
        self, peer: socket.socket, poller: DescriptorPoller, on_order: "OnOrder", on_closed: "Callable[[ClientConnection], None]"
    ) -> None:
        peer.setblocking(False)
        self._peer = peer
        self._poller = poller
        self._on_order = on_order
        self._on_closed = on_closed
        self._came = bytearray()
        # Up to here there is no line feed.
        self._searched = 0
        self._waiting = bytearray()
        self._decoder = msgspec.json.Decoder(ToKeeper)
        self._encoder = msgspec.json.Encoder()
        self._descriptor = peer.fileno()
        poller.watch(self._descriptor, self._on_event)

    def send(self, message: FromKeeper) -> None:
        """Send it when the client reads."""
        if self._descriptor < 0:
            return
        self._waiting += self._encoder.encode(message)
        self._waiting += b"\n"
        if len(self._waiting) > WAITING_BYTES_MAX:
            self.close()
        else:
            self._flush()

    def close(self) -> None:
        """Let the client go."""
        if self._descriptor < 0:
            return
        self._poller.forget(self._descriptor)
        self._descriptor = -1
        self._peer.close()
        self._on_closed(self)

    def _on_event(self, events: int) -> None:
        if events & WRITABLE:
            self._flush()
        if events & ~WRITABLE and self._descriptor >= 0:
            self._read()

    def _read(self) -> None:
        try:
            data = self._peer.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._came += data
        for line in self._lines():
            self._take(line)
            if self._descriptor < 0:
                return
        if len(self._came) > LINE_BYTES_MAX:
            self._refuse(0, f"a line has more than {LINE_BYTES_MAX} bytes")
            self.close()

    def _lines(self) -> Iterator[bytes]:
        begin = 0
        while (end := self._came.find(b"\n", max(begin, self._searched))) >= 0:
            yield bytes(self._came[begin:end])
            begin = end + 1
        del self._came[:begin]
        self._searched = len(self._came)

    def _take(self, line: bytes) -> None:
        if len(line) > LINE_BYTES_MAX:
            self._refuse(0, f"a line has more than {LINE_BYTES_MAX} bytes")
            return
        try:
            order = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            self._refuse(_number_of(line), f"the order is not understood: {readable(str(cause), 300)}")
            return
        self._on_order(self, order)

    def _refuse(self, request: int, problem: str) -> None:
        self.send(KeeperRefused(request, RefusalWord.NOT_UNDERSTOOD, f"keeper: {problem}"))

    def _flush(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: self._peer.send(memoryview(self._waiting)[:READ_BYTES].tobytes())]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._poller.watch(self._descriptor, self._on_event, READABLE | (WRITABLE if self._waiting else 0))


OnOrder = Callable[[ClientConnection, ToKeeper], None]


def _number_of(line: bytes) -> int:
    """The request's number, where the line has one in spite of everything: its sender waits for it."""
    try:
        return msgspec.json.decode(line, type=_Numbered).request
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
