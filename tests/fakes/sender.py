"""A worker's end of the data socket, and the socket itself: ordered while a connection lasts, forgetful when it breaks."""

from collections import deque
from collections.abc import Callable

from agent.model.column_type import DType
from agent.model.message import Batch, Bye, DataAck, DataHello, Identity, Lost, encode
from agent.model.table import Column, Row, Table

SAMPLE = Table(
    name="sample",
    version=3,
    about="A table of the tests.",
    key=("timestamp", "number"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when", "test"),
        Column("worker", DType.UTF8, "", "who", "test"),
        Column("epoch", DType.INT64, "1", "which start", "test"),
        Column("number", DType.INT64, "1", "which batch", "test"),
        Column("share", DType.FLOAT64, "1", "how much", "test", nullable=True),
        Column("is_odd", DType.BOOL, "1", "whether", "test"),
    ),
)


def sample_rows(who: Identity, seq: int, stamp_wall_ns: int, count: int) -> list[Row]:
    """Rows that tell which batch they belong to."""
    return [(stamp_wall_ns, who.worker, who.epoch, seq, None if i % 3 == 0 else i / 7, seq % 2 == 1) for i in range(count)]


class FakeSender:
    """Counts, keeps what is not acknowledged, and sends it again from the first one missing when a writer says hello."""

    def __init__(self, who: Identity, buffer_max: int = 1000) -> None:
        self.who = who
        self.seq = 0
        self.unacknowledged: deque[tuple[int, bytes, bytes]] = deque()
        self.acknowledged = 0
        self.is_told_goodbye = False
        self._buffer_max = buffer_max
        self._lost: list[Lost] = []

    def offer(self, stamp_wall_ns: int, rows: int = 2, table: Table = SAMPLE) -> list[tuple[bytes, bytes]]:
        """Count one batch; the frames to send now, none when the buffer is full."""
        self.seq += 1
        if len(self.unacknowledged) >= self._buffer_max:
            self._lost.append(Lost(self.seq, self.seq, rows, "buffer_full"))
            return []
        batch = Batch(self.seq, table.name, table.version, stamp_wall_ns, rows, tuple(self._lost))
        self._lost.clear()
        return self._keep(self.seq, encode(batch), encode(sample_rows(self.who, self.seq, stamp_wall_ns, rows)))

    def lose(self, rows: int) -> None:
        """One batch does not fit: the next one says so."""
        self.seq += 1
        self._lost.append(Lost(self.seq, self.seq, rows, "buffer_full"))

    def goodbye(self) -> list[tuple[bytes, bytes]]:
        """The last word."""
        self.is_told_goodbye = True
        return self._keep(self.seq + 1, encode(Bye(self.seq + 1, tuple(self._lost))), b"")

    def hear(self, message: DataHello | DataAck) -> list[tuple[bytes, bytes]]:
        """What to send after a word of the writer."""
        have = message.have_seq if isinstance(message, DataHello) else message.seq
        is_ack = isinstance(message, DataAck)
        if is_ack:
            self.acknowledged = max(self.acknowledged, have)
        while self.unacknowledged and self.unacknowledged[0][0] <= have:
            self.unacknowledged.popleft()
        return [] if is_ack else [(head, rows) for _, head, rows in self.unacknowledged]

    def _keep(self, seq: int, head: bytes, rows: bytes) -> list[tuple[bytes, bytes]]:
        self.unacknowledged.append((seq, head, rows))
        return [(head, rows)]


class FakePeer:
    """`agent.ports.DataPeer`: what senders put in, the writer receives; what it sends goes to `deliver` at once."""

    def __init__(self) -> None:
        self.incoming: deque[tuple[Identity, bytes, bytes]] = deque()
        self.sent: list[tuple[Identity, DataHello | DataAck]] = []
        self.deliver: Callable[[Identity, DataHello | DataAck], None] | None = None

    def receive(self) -> tuple[Identity, bytes, bytes] | None:
        return self.incoming.popleft() if self.incoming else None

    def send(self, who: Identity, message: DataHello | DataAck) -> None:
        self.sent.append((who, message))
        if self.deliver is not None:
            self.deliver(who, message)

    def connect(self, who: Identity) -> None:
        """The empty message that begins a connection."""
        self.incoming.append((who, b"", b""))

    def put(self, who: Identity, frames: list[tuple[bytes, bytes]]) -> None:
        """Messages of a sender."""
        self.incoming.extend((who, head, rows) for head, rows in frames)

    def attach(self, sender: FakeSender) -> None:
        """Let one sender answer the writer's words, and connect it."""
        former = self.deliver

        def deliver(who: Identity, message: DataHello | DataAck) -> None:
            if who == sender.who:
                self.put(who, sender.hear(message))
            elif former is not None:
                former(who, message)

        self.deliver = deliver
        self.connect(sender.who)
