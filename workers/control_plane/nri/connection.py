"""One connection to a container runtime: a socket whose calls never wait, and the session that reads and writes its bytes.

However it ends, `end` is one sentence about it; nothing is raised.
"""

import socket
from collections.abc import Callable

from agent.model.errors import ProtocolError
from agent.model.timebase import S
from workers.control_plane.nri.sentence import (
    ended_sentence,
    protocol_sentence,
    silent_sentence,
    unfinished_sentence,
    unread_sentence,
)
from workers.control_plane.nri.session import PluginSession, SessionEvent, StartCall
from workers.control_plane.nri.stage import LIMITS_NS, Stage

_READ_BYTES = 64 << 10
# A synchronization of 4 MiB takes five turns; starts and stops in between are taken.
_READS_MAX = 16
# A runtime writes a message in one go; one that has begun and does not go on has lost its place or hangs.
UNFINISHED_NS = 30 * S
# Answers are empty: ten thousand of them. A runtime asks one thing at a time and stops when it is not answered.
OUTPUT_BYTES_MAX = 256 << 10


class RuntimeConnection:
    """A connected socket, from registration to its end; the caller polls `descriptor`."""

    def __init__(self, stream: socket.socket, session: PluginSession, path: str, now_ns: Callable[[], int]) -> None:
        """`path` is for sentences. The registration is queued."""
        self._stream = stream
        self._session = session
        self._path = path
        self._now_ns = now_ns
        self._output = b""
        self._stage_ends_at_ns: int | None = None
        self._message_ends_at_ns: int | None = None
        self.end = ""
        """Why it is over; empty while it is not."""
        stream.setblocking(False)
        self.advance(Stage.REGISTERING)
        session.begin()

    @property
    def descriptor(self) -> int:
        """The socket's."""
        return self._stream.fileno()

    @property
    def session(self) -> PluginSession:
        """Its counters are of interest."""
        return self._session

    @property
    def wants_write(self) -> bool:
        """Whether something waits for the runtime to read."""
        return bool(self._output)

    def advance(self, stage: Stage) -> None:
        """The connection is in this stage from now on."""
        self.stage = stage
        limit_ns = LIMITS_NS[stage]
        self._stage_ends_at_ns = None if limit_ns is None else self._now_ns() + limit_ns

    @property
    def deadline_ns(self) -> int | None:
        """When `check` is due. *Absent:* None: nothing is awaited."""
        return min((each for each in (self._stage_ends_at_ns, self._message_ends_at_ns) if each is not None), default=None)

    def receive(self) -> list[SessionEvent]:
        """What has come, as far as it can be had without waiting."""
        events: list[SessionEvent] = []
        has_come = False
        for _read in range(_READS_MAX):
            data = self._read()
            if not data:
                break
            has_come = True
            try:
                events += self._session.receive(data)
            except ProtocolError as problem:
                self.end = self.end or protocol_sentence(self._path, problem.problem)
                break
            if len(data) < _READ_BYTES:
                break
        if has_come:
            self._message_ends_at_ns = self._now_ns() + UNFINISHED_NS if self._session.is_unfinished else None
        return events

    def answer(self, call: StartCall) -> None:
        """Answer a start; `flush` sends it."""
        self._session.answer(call)

    def flush(self) -> None:
        """Send what waits, as far as the runtime takes it now."""
        self._output += self._session.take_output()
        while self._output and not self.end:
            try:
                sent = self._stream.send(self._output)
            except BlockingIOError:
                break
            except OSError:
                # The reason is the same that reading finds: the runtime has closed it.
                self.end = ended_sentence(self._path, self.stage)
                break
            self._output = self._output[sent:]
        if len(self._output) > OUTPUT_BYTES_MAX:
            self.end = self.end or unread_sentence(self._path)

    def check(self) -> None:
        """End it when its stage has taken too long, or a message that has begun does not go on."""
        now_ns = self._now_ns()
        if self._stage_ends_at_ns is not None and now_ns >= self._stage_ends_at_ns:
            self.end = self.end or silent_sentence(self._path, self.stage, LIMITS_NS[self.stage] or 0)
        if self._message_ends_at_ns is not None and now_ns >= self._message_ends_at_ns:
            self.end = self.end or unfinished_sentence(self._path, UNFINISHED_NS)

    def close(self) -> None:
        """Give the socket back."""
        self._stream.close()

    def _read(self) -> bytes:
        try:
            data = self._stream.recv(_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.end = self.end or ended_sentence(self._path, self.stage)
        return data
