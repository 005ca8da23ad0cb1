"""Answers to /metrics, made in turns: read what was stored, write it down in the format of each request. PURE.

A turn takes some 10 ms, so that /live, /ready and the heartbeat never wait for a scrape, whatever the node. One answer after
the other; requests of one format that wait for the same status share it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from agent.model.control.result import AgentStatus
from workers.gateway.metrics import Family
from workers.gateway.metrics_format import MetricsFormat

# Bytes of an answer that one turn writes.
WRITTEN_BYTES = 96 << 10

W = TypeVar("W")


class Measured(Protocol):
    """What `workers.gateway.measured.MeasuredSeries` is to a scrape; another one shows nothing."""

    def begin(self, wall_ns: int) -> None: ...

    def turn(self) -> bool: ...

    def own_families(self) -> list[Family]: ...


class ScrapeAnswer(Struct, Generic[W]):
    """The requests that wait for one answer, in one format, and the status that it shows."""

    format: MetricsFormat
    status: AgentStatus | None
    waiting: list[W]


class ScrapeQueue(Generic[W]):
    """`pieces` gives the parts of an answer one by one, `send` brings it to those that wait, `wall_ns` says what time it is."""

    def __init__(
        self,
        measured: Measured | None,
        pieces: Callable[[MetricsFormat, AgentStatus | None], Iterator[bytes]],
        send: Callable[[Sequence[W], MetricsFormat, bytes], None],
        wall_ns: Callable[[], int],
    ) -> None:
        self._measured = measured
        self._pieces = pieces
        self._send = send
        self._wall_ns = wall_ns
        self._queue: deque[list[ScrapeAnswer[W]]] = deque()
        self._is_read = False
        self._is_begun = False
        self._making: Iterator[bytes] | None = None
        self._made: list[bytes] = []

    @property
    def is_busy(self) -> bool:
        """Whether `turn` has something to do, at once."""
        return bool(self._queue)

    def add(self, waiting: Sequence[tuple[W, MetricsFormat]], status: AgentStatus | None) -> None:
        """Requests whose status is known."""
        by_format: dict[MetricsFormat, ScrapeAnswer[W]] = {}
        for request, format_ in waiting:
            by_format.setdefault(format_, ScrapeAnswer(format_, status, [])).waiting.append(request)
        if by_format:
            self._queue.append(list(by_format.values()))

    def turn(self) -> None:
        """Go on with the first answer for some milliseconds."""
        if not self._queue:
            return
        if not self._is_begun:
            self._is_begun = True
            if self._measured is not None:
                self._measured.begin(self._wall_ns())
        elif not self._is_read:
            self._is_read = self._measured is None or self._measured.turn()
        else:
            self._write(self._queue[0][0])

    def _write(self, answer: ScrapeAnswer[W]) -> None:
        if self._making is None:
            self._making, self._made = self._pieces(answer.format, answer.status), []
        written_bytes = 0
        for piece in self._making:
            self._made.append(piece)
            written_bytes += len(piece)
            if written_bytes >= WRITTEN_BYTES:
                return
        body = b"".join(self._made)
        self._making, self._made = None, []
        answers = self._queue[0]
        del answers[0]
        if not answers:
            self._queue.popleft()
            self._is_begun = self._is_read = False
        self._send(answer.waiting, answer.format, body)
