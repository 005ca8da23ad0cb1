"""Looks at the heads of HTTP/2 frames before the library takes their bytes in. PURE.

`h2` 4.4 keeps the bytes of a frame of up to 16 MiB and only then compares its length with the one that was agreed on. *Source:*
RFC 9113, sections 3.4 and 4.1.
"""

from agent.model.errors import ProtocolError

# What both ends keep to as long as nobody asks for more, and nobody does.
FRAME_BYTES_MAX = 16_384
_HEAD_BYTES = 9
_SETTINGS = 4
_WHERE = "CRI socket"


class FrameGuard:
    """Follows one connection from its first byte."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left_bytes = 0
        self._is_first = True

    def check(self, data: bytes) -> None:
        """Follow the next bytes. *Raises:* ProtocolError: a frame is too long, or the first one is none of a runtime's."""
        place = 0
        while place < len(data):
            skipped = min(self._left_bytes, len(data) - place)
            place += skipped
            self._left_bytes -= skipped
            taken = data[place : place + _HEAD_BYTES - len(self._head)] if not self._left_bytes else b""
            place += len(taken)
            self._head += taken
            if len(self._head) == _HEAD_BYTES:
                self._left_bytes = self._length_of(self._head)
                self._head.clear()

    def _length_of(self, head: bytearray) -> int:
        length = int.from_bytes(head[:3], "big")
        if self._is_first and head[3] != _SETTINGS:
            raise ProtocolError(_WHERE, "what listens does not speak HTTP/2")
        self._is_first = False
        if length > FRAME_BYTES_MAX:
            raise ProtocolError(_WHERE, f"what listens announces a frame of {length} bytes, at most {FRAME_BYTES_MAX} are allowed")
        return length
