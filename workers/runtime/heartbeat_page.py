"""The worker's side of its heartbeat page."""

import mmap

from agent.model.heartbeat_page import (
    BODY_OFFSET,
    MEMORY,
    MEMORY_OFFSET,
    PAGE_BYTES,
    QUEUE,
    QUEUE_OFFSET,
    VERSION,
    Beat,
    pack_body,
)


class HeartbeatPage:
    """Written at every turn of the worker's main loop and by nobody else: no thread that still breathes keeps a hung loop alive."""

    def __init__(self, descriptor: int) -> None:
        self._page = mmap.mmap(descriptor, PAGE_BYTES)
        self._version = VERSION.unpack_from(self._page)[0]
        self._turns = 0

    def beat(self, now_ns: int, revision: int, digest: bytes) -> None:
        """One more turn, and what rules are held."""
        self._turns += 1
        body = pack_body(Beat(self._turns, now_ns, revision, digest))
        VERSION.pack_into(self._page, 0, self._version + 1)
        self._page[BODY_OFFSET : BODY_OFFSET + len(body)] = body
        self._version += 2
        VERSION.pack_into(self._page, 0, self._version)

    def tell_memory(self, pss_bytes: int) -> None:
        """The proportional memory of this process; 0: not known."""
        MEMORY.pack_into(self._page, MEMORY_OFFSET, pss_bytes)

    def tell_queue(self, queue_bytes: int) -> None:
        """Rows that the writer has not acknowledged."""
        QUEUE.pack_into(self._page, QUEUE_OFFSET, queue_bytes)
