"""The answer of an engine to one HTTP request, as it arrives: a status and a body, with a bound on every part. PURE.

Asked by HTTP/1.0, so that a server closes the connection behind its answer. Some write a body in chunks nevertheless, as uvicorn
does, on which vLLM and SGLang run. *Source:* RFC 9112.
"""

import re

from agent.model.errors import ProtocolError

HEAD_BYTES_MAX = 16 << 10
# Behind the last chunk there may be fields; nobody needs them.
_CHUNK_LINE_BYTES_MAX = 256
# Uvicorn writes what it was given at once as one. A million of one byte each would cost seconds.
_CHUNKS_MAX = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")


class HttpReply:
    """Takes what was received, part by part. `body` is whole when `take` says so.

    *Raises:* ProtocolError from `take`: it is no HTTP, longer than `body_bytes_max`, or ends before it is whole.
    """

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._rest = bytearray()
        self._has_head = False
        self._is_chunked = False
        self._chunks = 0
        # Of the body or of the present chunk. None: the body lasts until the connection ends, or no chunk has begun.
        self._left: int | None = None
        self.status = 0
        self.body = bytearray()

    def take(self, part: bytes) -> bool:
        """Whether the answer is whole. An empty part is the end of the connection."""
        self._rest += part
        if not self._has_head and not self._take_head():
            self._refuse_end(part)
            return False
        is_whole = self._take_chunks() if self._is_chunked else self._take_content()
        if not is_whole and (self._is_chunked or self._left is not None):
            self._refuse_end(part)
        return is_whole or not part

    def _refuse_end(self, part: bytes) -> None:
        if not part:
            raise ProtocolError("answer", "it ends too early")

    def _take_head(self) -> bool:
        end = self._rest.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
        if end < 0:
            if len(self._rest) >= HEAD_BYTES_MAX:
                raise ProtocolError("answer", "its head is too long")
            return False
        first, *lines = bytes(self._rest[:end]).split(b"\r\n")
        del self._rest[: end + 4]
        found = _STATUS.fullmatch(first)
        if found is None:
            raise ProtocolError("answer", "it is not HTTP/1")
        self.status = int(found[1])
        self._has_head = True
        for line in lines:
            name, _, value = line.partition(b":")
            self._take_field(name.strip().lower(), value.strip().lower())
        return True

    def _take_field(self, name: bytes, value: bytes) -> None:
        if name == b"transfer-encoding":
            self._is_chunked = value.endswith(b"chunked")
            self._left = None
        elif name == b"content-length" and not self._is_chunked:
            if not value.isdigit() or len(value) > 15:
                raise ProtocolError("answer", "its length is no number")
            self._left = int(value)

    def _take_content(self) -> bool:
        """What belongs to the body; whether that is all of it."""
        most = len(self._rest) if self._left is None else min(self._left, len(self._rest))
        # The end of line behind a chunk is not of the body.
        if len(self.body) + most > self._body_bytes_max + 2 * self._is_chunked:
            raise ProtocolError("answer", "it is too long")
        self.body += self._rest[:most]
        del self._rest[:most]
        if self._left is None:
            return False
        self._left -= most
        return self._left == 0

    def _take_chunks(self) -> bool:
        while True:
            if self._left is None and not self._begin_chunk():
                return False
            if self._left == 0:
                return True
            # With the end of line behind it.
            if not self._take_content():
                return False
            if self.body[-2:] != b"\r\n":
                raise ProtocolError("answer", "a chunk is longer than it says")
            del self.body[-2:]
            self._left = None

    def _begin_chunk(self) -> bool:
        end = self._rest.find(b"\r\n", 0, _CHUNK_LINE_BYTES_MAX)
        if end < 0:
            if len(self._rest) >= _CHUNK_LINE_BYTES_MAX:
                raise ProtocolError("answer", "a chunk has no length")
            return False
        found = _CHUNK.fullmatch(bytes(self._rest[:end]))
        if found is None:
            raise ProtocolError("answer", "a chunk has no length")
        del self._rest[: end + 2]
        length = int(found[1], 16)
        self._chunks += 1
        if self._chunks > _CHUNKS_MAX:
            raise ProtocolError("answer", "it is in too many chunks")
        self._left = length + 2 if length else 0
        return True
