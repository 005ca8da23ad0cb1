"""The worker's end of the bus, behind `agent.ports.Bus`."""

from collections.abc import Iterator, Sequence
from typing import Any

import zmq
from msgspec.structs import replace

from agent.model.errors import ProtocolError
from agent.model.foreign import readable
from agent.model.message import (
    Condition,
    EventsStored,
    FromWorker,
    Hello,
    Identity,
    Note,
    Publish,
    Ready,
    Reply,
    Request,
    ToWorker,
    decode_to_worker,
    encode,
)
from agent.model.rule_state import Change

MESSAGES_PER_TURN_MAX = 64
# What the supervisor has not taken yet. A living supervisor takes everything at once; beyond this the worker is lost anyway.
QUEUE_MAX = 10_000
# A publication is cut here, so that one message stays far below the frame limit.
CHANGES_PER_MESSAGE_MAX = 1_000


class BusClient:
    """Speaks to the supervisor. Sends never block: ZeroMQ's own queue takes what the supervisor has not yet read."""

    def __init__(self, socket: "zmq.Socket[bytes]", path: str, identity: Identity) -> None:
        """`socket` is a DEALER that nobody has used yet."""
        self.malformed = 0
        self._last_request = 0
        self._conditions: dict[tuple[str, str], Condition] = {}
        self.socket = socket
        self.socket.setsockopt(zmq.LINGER, 200)
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        self.socket.setsockopt(zmq.SNDHWM, QUEUE_MAX)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 50)
        self.socket.connect(f"ipc://{path}")

    def hello(self, pid: int) -> None:
        """The first word."""
        self.send(Hello(pid))

    def ready(self) -> None:
        """The work has begun."""
        self.send(Ready())

    def reply(self, ask: int, body: dict[str, Any]) -> None:
        """Answer an Ask."""
        self.send(Reply(ask, body))

    def publish(self, changes: Sequence[Change], *, complete: bool) -> None:
        """See `agent.ports.Bus`."""
        parts = [list(changes[at : at + CHANGES_PER_MESSAGE_MAX]) for at in range(0, len(changes), CHANGES_PER_MESSAGE_MAX)]
        for part in parts[:-1]:
            self.send(Publish(part, complete=False))
        self.send(Publish(parts[-1] if parts else [], complete=complete))

    def condition(self, condition: Condition) -> None:
        """See `agent.ports.Bus`. What a name in it brings along is made readable here, so that no caller can forget it."""
        condition = replace(condition, detail=readable(condition.detail))
        key = (condition.member, condition.kind)
        if condition.active:
            self._conditions[key] = condition
        else:
            self._conditions.pop(key, None)
        self.send(condition)

    def say_again(self, pid: int) -> None:
        """Tell a new supervisor who this is and what holds."""
        self.hello(pid)
        for condition in self._conditions.values():
            self.send(condition)

    def note(self, note: Note) -> None:
        """See `agent.ports.Bus`; its fields are made readable like a condition's detail."""
        fields = {key: readable(value) if isinstance(value, str) else value for key, value in note.fields.items()}
        self.send(replace(note, fields=fields))

    def delivered(self, sender: int, have_seq: int) -> None:
        """See `agent.ports.Bus`."""
        self.send(EventsStored(sender, have_seq))

    def request(self, what: str) -> int:
        """See `agent.ports.Bus`."""
        self._last_request += 1
        self.send(Request(self._last_request, what))
        return self._last_request

    def send(self, message: FromWorker) -> None:
        """*Raises:* zmq.Again when the queue is full because the supervisor does not read; the worker then ends."""
        self.socket.send(encode(message), zmq.DONTWAIT)

    def receive(self) -> Iterator[ToWorker]:
        """What the supervisor said, up to a bound per turn; what does not decode is counted."""
        for _ in range(MESSAGES_PER_TURN_MAX):
            try:
                frame = self.socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                yield decode_to_worker(frame)
            except ProtocolError:
                self.malformed += 1

    def close(self) -> None:
        """End the connection; what was said shortly before still goes out."""
        self.socket.close()
