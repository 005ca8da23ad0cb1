"""Frames of the connections that NRI carries over one socket. PURE.

A frame is a header of 8 bytes (connection, length of the payload; both 32 bits, big-endian) and its payload. Each connection is a
stream of bytes: a message may span frames, and a frame may hold several messages. There is no opening and no closing.
*Source:* github.com/containerd/nri, pkg/net/multiplex/mux.go.
"""

from collections.abc import Collection
from struct import Struct

from agent.model.errors import ProtocolError

# The runtime calls us on the first, we call it on the second.
PLUGIN_CONNECTION, RUNTIME_CONNECTION = 1, 2
HEADER = Struct(">II")
# The largest message of ttrpc with its own header; the Go side neither writes nor takes larger frames.
PAYLOAD_BYTES_MAX = (4 << 20) + 10
# The Go side hands a frame to a reader with a buffer of this size, and fails with ENOMEM where the frame is larger.
SENT_PAYLOAD_BYTES_MAX = 4096


class FrameReader:
    """Takes the frames of one socket apart. It keeps no payload: bytes are handed on as they arrive."""

    def __init__(self, connections: Collection[int]) -> None:
        self._connections = frozenset(connections)
        self._header = b""
        self._connection = 0
        self._missing = 0
        self.frames_dropped = 0
        """Frames of other connections, as the Go side drops them, too."""

    def read(self, data: bytes | bytearray | memoryview) -> list[tuple[int, memoryview]]:
        """The pieces of the known connections' streams in these bytes, cut anywhere, in their order; views into `data`.

        *Raises:* ProtocolError: a frame larger than any that a runtime writes. Nothing after it can be found.
        """
        view, place, pieces = memoryview(data), 0, []
        while place < len(view):
            if not self._missing:
                place = self._read_header(view, place)
                continue
            piece = view[place : place + self._missing]
            place += len(piece)
            self._missing -= len(piece)
            if self._connection in self._connections:
                pieces.append((self._connection, piece))
        return pieces

    @property
    def is_unfinished(self) -> bool:
        """Whether a frame has begun of which a part is to come."""
        return bool(self._header or self._missing)

    def _read_header(self, view: memoryview, place: int) -> int:
        """Take up to one header; the place after it."""
        end = min(len(view), place + HEADER.size - len(self._header))
        self._header += view[place:end]
        if len(self._header) == HEADER.size:
            self._connection, self._missing = HEADER.unpack(self._header)
            self._header = b""
            if self._missing > PAYLOAD_BYTES_MAX:
                raise ProtocolError("nri", f"a frame of {self._missing} bytes, more than {PAYLOAD_BYTES_MAX}")
            self.frames_dropped += self._connection not in self._connections
        return end


def pack_frames(connection: int, data: bytes) -> bytes:
    """The bytes as frames of a connection. *Range:* no payload is longer than SENT_PAYLOAD_BYTES_MAX; no data make no frame."""
    frames = []
    for place in range(0, len(data), SENT_PAYLOAD_BYTES_MAX):
        payload = data[place : place + SENT_PAYLOAD_BYTES_MAX]
        frames.append(HEADER.pack(connection, len(payload)) + payload)
    return b"".join(frames)
