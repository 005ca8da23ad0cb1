"""Everything that crosses the two ZeroMQ sockets, decoded strictly. PURE.

*bus*: one ROUTER in the supervisor, one DEALER in each worker; a frame is one msgpack message.
*data*: one ROUTER in the writer, one DEALER in each worker that fills tables; frames are
`[message]` or, for a Batch, `[message, rows]` where rows is a msgpack array of rows.
Routing identities are `run/epoch/worker`, new for every start, so that a late frame of a dead worker can
never be taken for one of its successor.
"""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Struct

from agent.model.errors import ProtocolError
from agent.model.foreign import all_encodable

# A snapshot of 10,000 rules is below 4 MiB; anything larger is a mistake and is refused before decoding.
FRAME_BYTES_MAX = 16 << 20
# What a column of 64 bits holds.
EPOCH_MAX = (1 << 63) - 1
Count = Annotated[int, msgspec.Meta(ge=0, le=EPOCH_MAX)]


# Under which name the supervisor's own rows are stored; no worker has it.
SUPERVISOR = "supervisor"


class Identity(Struct, frozen=True):
    """Which start of which worker in which run of the agent."""

    run: str
    worker: str
    epoch: int

    def encode(self) -> bytes:
        """The routing identity of this worker's sockets."""
        return f"{self.run}/{self.epoch}/{self.worker}".encode()


def decode_identity(frame: bytes) -> Identity:
    """*Raises:* ProtocolError when the frame is not `run/epoch/worker`, written as `Identity.encode` writes it."""
    try:
        run, epoch, worker = frame.decode().split("/", 2)
        identity = Identity(run, worker, int(epoch))
    except ValueError as cause:
        raise ProtocolError("routing identity", f"{frame[:64]!r} is not run/epoch/worker") from cause
    # `int` reads ` 1`, `1_0` and other scripts' digits too: two frames would name one sender.
    if not run or not worker or not 0 <= identity.epoch <= EPOCH_MAX or identity.encode() != frame:
        raise ProtocolError("routing identity", f"{frame[:64]!r} is not run/epoch/worker")
    return identity


# ---- bus, worker to supervisor -------------------------------------------------------------------


class Hello(Struct, frozen=True, tag="hello"):
    """The first word of a worker to a supervisor. Whatever it holds, it gets a snapshot."""

    pid: int


class Ready(Struct, frozen=True, tag="ready"):
    """The worker has its snapshot and does its work."""


class Ack(Struct, frozen=True, tag="ack"):
    """The change with this sequence number was taken in whole; this is what the worker holds now."""

    sequence: int
    revision: int
    digest: bytes


class Nack(Struct, frozen=True, tag="nack"):
    """The change with this sequence number was refused in whole; the worker kept what it held."""

    sequence: int
    problem: str


class Resync(Struct, frozen=True, tag="resync"):
    """The worker saw a hole before this sequence number and asks for a snapshot."""

    sequence: int


class Publish(Struct, frozen=True, tag="publish"):
    """Changes of assignments (keys `pod/...`) that the control plane observed.

    `complete` is true once the first whole look at the host is in.
    """

    changes: list[tuple[str, bytes | None]]
    complete: bool


class Condition(Struct, frozen=True, tag="condition"):
    """Something lasting that a person should know: it begins (`active`) and it ends. `blocks_ready`: not ready while active.

    `member`: whose it is, where several samplers share the worker's process.
    """

    kind: str
    active: bool
    detail: str
    blocks_ready: bool = False
    member: str = ""


class Note(Struct, frozen=True, tag="note"):
    """One diagnostic event of a worker: a fixed name, a severity (`info`, `warning`, `error`) and fields. `member` as above."""

    kind: str
    severity: str
    fields: dict[str, str | int | float | bool | None]
    member: str = ""


class Reply(Struct, frozen=True, tag="reply"):
    """A worker's answer to an Ask: a JSON document; one with a `problem` says why there is no better one."""

    ask: int
    body: dict[str, Any]


class Request(Struct, frozen=True, tag="request"):
    """A worker's own question to the supervisor (the gateway's: `status`), answered by an Answer."""

    request: int
    what: str


class EventsStored(Struct, frozen=True, tag="events_stored"):
    """The answer to a StoreEvents: up to which number the supervisor's batches of this run are stored. `sender` asked."""

    sender: int
    have_seq: Count


FromWorker = Hello | Ready | Ack | Nack | Resync | Publish | Condition | Note | Reply | Request | EventsStored


# ---- bus, supervisor to worker -------------------------------------------------------------------


class Snapshot(Struct, frozen=True, tag="snapshot"):
    """All entries at once; it replaces whatever the worker held."""

    sequence: int
    revision: int
    digest: bytes
    entries: list[tuple[str, bytes]]


class Delta(Struct, frozen=True, tag="delta"):
    """What changed since the message before it on this socket; `digest` is that of the result."""

    sequence: int
    revision: int
    digest: bytes
    changes: list[tuple[str, bytes | None]]


class Ask(Struct, frozen=True, tag="ask"):
    """A question to the worker itself: `rules`, `stats`, `rotate`; or, with `arguments`, an operation of the control socket that it
    carries out."""

    ask: int
    what: str
    arguments: dict[str, Any] | None = None


class Answer(Struct, frozen=True, tag="answer"):
    """The supervisor's answer to a Request."""

    request: int
    body: dict[str, Any]


class TakenOver(Struct, frozen=True, tag="taken_over"):
    """Another supervisor speaks from now on. It knows nothing yet: the worker says again what the former one was told, its
    hello first; it goes on with its work, and is ready again with the next snapshot."""


class WorkLevel(Struct, frozen=True, tag="level"):
    """What the worker leaves out from now on, because it uses more than it may: `steps` are words of `LadderStep`,
    and one that it does not know changes nothing; `is_off`: it does nothing at all but answer. Level 0 leaves nothing out."""

    level: int
    steps: list[str]
    is_off: bool = False


class Stop(Struct, frozen=True, tag="stop"):
    """Stop cleanly within this many nanoseconds; after that comes SIGKILL. Unless it is `for_good`, a successor
    starts at once and takes over what stands."""

    grace_ns: int
    for_good: bool = True


class StoreEvents(Struct, frozen=True, tag="store_events"):
    """Rows of the supervisor's own, for the worker that stores: what a sender puts on the data socket, a Batch and its rows.

    Without a `batch` it asks what is stored, and says that this `sender` is the supervisor from now on: numbers go on behind the
    answer. Batches of any other sender are dropped from then on, such as those of a dead supervisor that were on their way.
    """

    sender: int
    batch: bytes = b""
    rows: bytes = b""


ToWorker = Snapshot | Delta | Ask | Answer | TakenOver | WorkLevel | Stop | StoreEvents


# ---- data ----------------------------------------------------------------------------------------


class Lost(Struct, frozen=True):
    """Batches that were counted but never sent: the first and last number, the number of rows, and why."""

    first_seq: Count
    last_seq: Count
    rows: Count
    reason: str


class Missed(Struct, frozen=True):
    """Ticks of a worker's grid that it did not measure, first to last, and why."""

    first_tick: Count
    last_tick: Count
    reason: str


class Tick(Struct, frozen=True):
    """Which tick of its grid a worker took, and those before it that it missed since it last said so."""

    number: Count
    missed: tuple[Missed, ...] = ()


class Ending(Struct, frozen=True):
    """How an earlier start of a worker ended, in a word of table `gap`."""

    epoch: Count
    reason: str


class BatchOrigin(Struct, frozen=True, array_like=True):
    """Whose rows a batch has that its sender hands on for another host: that host's name and installation, and who sent it there
    under which number. `form` has the columns, as `agent.store.origin_form.encode_form` writes them."""

    host: str
    install: str
    run: str
    worker: str
    epoch: int
    seq: int
    form: bytes


class ForeignBatch(Struct, frozen=True):
    """One batch of another host, as it is handed on: `encoded` is the msgpack array of its `rows` rows."""

    origin: BatchOrigin
    table: str
    stamp_wall_ns: Count
    rows: Count
    encoded: bytes


class Batch(Struct, frozen=True, tag="batch"):
    """The head of a batch; the rows follow in a frame of their own. Who sends it is the routing identity.

    `seq` counts 1, 2, 3 … per start of a worker over all its tables, refused batches included; those stand in
    `lost` of the next one sent. `tick` is the tick that it belongs to (None: its sender does not tick); the writer finds
    by it which ticks are missing, `missed` says why. The first batch of a start says how the starts before it ended.
    `bad_rows`: how many rows did not fit the table and were left out by the sender. `origin`: the rows are another host's, and
    `table_version` says nothing.
    """

    seq: Count
    table: str
    table_version: Count
    stamp_wall_ns: Count
    rows: Count
    lost: tuple[Lost, ...] = ()
    tick: Count | None = None
    missed: tuple[Missed, ...] = ()
    endings: tuple[Ending, ...] = ()
    bad_rows: Count = 0
    origin: BatchOrigin | None = None


class Bye(Struct, frozen=True, tag="bye"):
    """The sender stops cleanly. It takes the number after its last batch and is acknowledged by it."""

    seq: Count
    lost: tuple[Lost, ...] = ()
    endings: tuple[Ending, ...] = ()


ToWriter = Batch | Bye


class DataHello(Struct, frozen=True, tag="data_hello"):
    """The writer's first word on every new connection: what it already has of this sender."""

    writer_epoch: int
    have_seq: int


class DataAck(Struct, frozen=True, tag="data_ack"):
    """Everything up to and including `seq` is in the spool (or accounted for in table `gap`)."""

    seq: int


FromWriter = DataHello | DataAck

T = TypeVar("T")

_ENCODER = msgspec.msgpack.Encoder()
_FROM_WORKER: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
_TO_WORKER: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_TO_WRITER: msgspec.msgpack.Decoder[ToWriter] = msgspec.msgpack.Decoder(ToWriter)
_FROM_WRITER: msgspec.msgpack.Decoder[FromWriter] = msgspec.msgpack.Decoder(FromWriter)


def encode(message: Struct | list[Any]) -> bytes:
    """The frame of a message, or of a list of rows. A text that is no UTF-8 goes out as `agent.model.foreign` writes it."""
    try:
        return _ENCODER.encode(message)
    except UnicodeEncodeError:
        return _ENCODER.encode(all_encodable(msgspec.to_builtins(message, builtin_types=(bytes,))))


def decode_from_worker(frame: bytes) -> FromWorker:
    """*Raises:* ProtocolError."""
    return _decode(_FROM_WORKER, frame)


def decode_to_worker(frame: bytes) -> ToWorker:
    """*Raises:* ProtocolError."""
    return _decode(_TO_WORKER, frame)


def decode_to_writer(frame: bytes) -> ToWriter:
    """*Raises:* ProtocolError."""
    return _decode(_TO_WRITER, frame)


def decode_from_writer(frame: bytes) -> FromWriter:
    """*Raises:* ProtocolError."""
    return _decode(_FROM_WRITER, frame)


def _decode(decoder: msgspec.msgpack.Decoder[T], frame: bytes) -> T:
    if len(frame) > FRAME_BYTES_MAX:
        raise ProtocolError("message", f"{len(frame)} bytes are more than {FRAME_BYTES_MAX}")
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        # RecursionError: a body of a hundred thousand nested lists is a bad message, not a bug of ours.
        raise ProtocolError("message", str(cause)) from cause
