"""Hands every event to the worker that stores, once: what is not acknowledged waits here, and is sent again to the next one. PURE.

One frame is on its way at a time. It has the next number behind what the writer has stored, and is given up only when the writer
names that number. A new generation of the writer is first asked what it has: a frame that its predecessor appended is not sent
again. Nothing waits for an answer; while there is no event nothing is sent.
"""

from collections import deque

from msgspec import Struct

from agent.model.message import Batch, EventsStored, Lost, StoreEvents, encode
from agent.model.tables import DIAG
from agent.model.timebase import S
from supervisor.core.child import Child, ChildState
from supervisor.core.effect import Effect, Send
from supervisor.core.event_history import DiagnosticEvent
from supervisor.core.event_row import event_row
from supervisor.core.supervisor_state import SupervisorState

# Some 200 bytes each as a rule; a minute of the worst storm that tests make is a tenth of this.
WAITING_MAX = 2_048
# A frame of this many is some KiB, so that no loop is kept busy by it.
FRAME_EVENTS_MAX = 64
# A writer that cannot store says nothing; it is asked again after this.
RETRY_NS = 5 * S
# The word of table `gap` for a full buffer.
DROPPED = "buffer_full"


class _Frame(Struct, frozen=True):
    """What is on its way. `dropped`: how many events its head says are lost."""

    seq: int
    events: tuple[DiagnosticEvent, ...]
    dropped: int
    message: StoreEvents


class EventDelivery:
    """The events that are not stored yet."""

    def __init__(self, state: SupervisorState) -> None:
        self._state = state
        # No two supervisors of one run have the same.
        self._sender = state.about.started_at_ns
        self._waiting: deque[DiagnosticEvent] = deque()
        self._dropped = 0
        self._frame: _Frame | None = None
        # The generation of the writer that was asked, and what it has stored; None: it has not answered.
        self._epoch = 0
        self._have_seq: int | None = None
        self._retry_at_ns: int | None = None
        for event in state.history.events:
            self.add(event)

    def add(self, event: DiagnosticEvent) -> None:
        """To be stored. *Range:* beyond `WAITING_MAX` the newest is dropped, counted, and becomes part of a row of table `gap`."""
        if len(self._waiting) >= WAITING_MAX:
            self._dropped += 1
        else:
            self._waiting.append(event)

    @property
    def unstored(self) -> int:
        """How many events are not acknowledged, dropped ones not included."""
        return len(self._waiting) + (0 if self._frame is None else len(self._frame.events))

    @property
    def is_under_way(self) -> bool:
        """Whether the writer takes events and has not stored all of them yet."""
        return self.takes_events and self.unstored > 0

    @property
    def takes_events(self) -> bool:
        """Whether the writer is up and has answered."""
        writer = self._writer()
        return writer is not None and writer.epoch == self._epoch and self._have_seq is not None

    def _writer(self) -> Child | None:
        children = self._state.children.values()
        return next((each for each in children if each.kind.stores_events and each.state is ChildState.UP), None)

    def turn(self, now_ns: int) -> list[Effect]:
        """Send what can be sent now; called after every event."""
        if self._frame is None and not self._waiting and not self._dropped:
            self._retry_at_ns = None
            return []
        if (writer := self._writer()) is None:
            self._retry_at_ns = None
            return []
        if writer.epoch != self._epoch:
            self._epoch, self._have_seq, self._retry_at_ns = writer.epoch, None, None
        elif self._retry_at_ns is not None and now_ns < self._retry_at_ns:
            return []
        self._retry_at_ns = now_ns + RETRY_NS
        return [Send(writer.name, writer.epoch, self._next_message(now_ns))]

    def on_delivered(self, child: Child, message: EventsStored) -> list[Effect]:
        """The writer says what it has stored; `turn` follows. An answer to another supervisor, or of another worker, is ignored."""
        if message.sender == self._sender and child.kind.stores_events and child.epoch == self._epoch:
            is_first, self._have_seq = self._have_seq is None, message.have_seq
            self._settle(message.have_seq, is_first=is_first)
        return []

    def _settle(self, have_seq: int, *, is_first: bool) -> None:
        frame = self._frame
        if frame is not None and have_seq < frame.seq:
            if not is_first:
                # An earlier answer: the frame is still on its way, and must not be made again with the same number.
                return
            # It was for the generation before, and died with it: the events go out again, under whatever number comes next.
            self._waiting.extendleft(reversed(frame.events))
            self._dropped += frame.dropped
        self._frame = self._retry_at_ns = None

    def next_deadline_ns(self) -> int | None:
        """When `turn` has something to do. *Absent:* nothing is waited for."""
        return self._retry_at_ns

    def _next_message(self, now_ns: int) -> StoreEvents:
        if self._have_seq is None:
            return StoreEvents(self._sender)
        if self._frame is None:
            self._frame = self._make_frame(self._have_seq, now_ns)
        return self._frame.message

    def _make_frame(self, have_seq: int, now_ns: int) -> _Frame:
        about, seq = self._state.about, have_seq + 1
        lost: tuple[Lost, ...] = ()
        if self._dropped:
            lost, seq = (Lost(seq, seq, self._dropped, DROPPED),), seq + 1
        events = tuple(self._waiting.popleft() for _ in range(min(FRAME_EVENTS_MAX, len(self._waiting))))
        # The number of a row follows from its frame's alone: a frame is stored once, by whichever supervisor, and one that died
        # with its writer is made again.
        first = seq * FRAME_EVENTS_MAX
        rows = [
            event_row(event, run=about.run, seq=first + index, wall_offset_ns=about.wall_offset_ns)
            for index, event in enumerate(events)
        ]
        batch = Batch(seq, DIAG.name, DIAG.version, now_ns + about.wall_offset_ns, len(rows), lost=lost)
        frame = _Frame(seq, events, self._dropped, StoreEvents(self._sender, encode(batch), encode(rows)))
        self._dropped = 0
        return frame
