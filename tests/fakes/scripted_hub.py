"""A hub's endpoint for rows on loopback, with the real socket: it answers as a hub does, save where a test has written down what
it does instead.

Its `Deliveries` is the hub's own. Its store is what the hub's writer promises: of each sender what is above the highest number
that came before.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
import zmq
from fakes.stored_batch import INSTALL
from harness.waiting import wait_until
from zmq.utils import z85

from agent.fleet.joined import JoinedHub, encode_joined_hub
from agent.fleet.message import (
    HELLO_MARK,
    Greet,
    HubAnswer,
    NodeHello,
    RowsHead,
    Welcome,
    decode_hello,
    decode_rows_head,
    encode_answer,
)
from agent.model.errors import ProtocolError
from agent.model.message import ForeignBatch
from agent.model.table import Row
from workers.hub.deliveries import Deliveries

LOOK_MS = 2
SECONDS_MAX = 20.0


class Asked:
    """What a node has sent at once: a hello, or a delivery with the rows of each batch."""

    def __init__(self, connection: bytes, frames: Sequence[bytes]) -> None:
        self.connection = connection
        self.frames = tuple(frames)
        first = self.frames[0]
        self.hello: NodeHello | None = decode_hello(first) if first.startswith(HELLO_MARK) else None
        self.head: RowsHead | None = None if self.hello else decode_rows_head(first, len(self.frames) - 1)

    @property
    def number(self) -> int:
        """Of a delivery."""
        assert self.head is not None
        return self.head.number


# What a hub does with one frame of a node: the frames of its answers, in their order; one of several parts is a tuple.
Frame = bytes | tuple[bytes, ...]
Act = Callable[["ScriptedHub", Asked], Sequence[Frame]]


def honest(hub: "ScriptedHub", asked: Asked) -> Sequence[Frame]:
    """As a hub answers."""
    return [encode_answer(answer) for answer in hub.answers(asked)]


def lost(hub: "ScriptedHub", asked: Asked) -> Sequence[Frame]:
    """All is stored, and the answer does not arrive."""
    hub.answers(asked)
    return ()


def deaf(hub: "ScriptedHub", asked: Asked) -> Sequence[Frame]:
    """Nothing is stored, and no answer comes."""
    return ()


def doubled(hub: "ScriptedHub", asked: Asked) -> Sequence[Frame]:
    """Each answer twice."""
    return [frame for frame in honest(hub, asked) for _ in range(2)]


def late(hub: "ScriptedHub", asked: Asked) -> Sequence[Frame]:
    """All is stored; the answer comes in front of the next one."""
    hub.kept += honest(hub, asked)
    return ()


def forgetful(hub: "ScriptedHub", asked: Asked) -> Sequence[Frame]:
    """It was started again between two frames: it knows what it has stored, and neither connections nor columns."""
    hub.begin_again()
    return honest(hub, asked)


def saying(*answers: HubAnswer | bytes) -> Act:
    """Nothing is stored, and these are the answers."""
    frames = [each if isinstance(each, bytes) else encode_answer(each) for each in answers]
    return lambda hub, asked: frames


def behind(*answers: HubAnswer | Frame) -> Act:
    """An honest answer behind these."""
    frames = [each if isinstance(each, bytes | tuple) else encode_answer(each) for each in answers]
    return lambda hub, asked: [*frames, *honest(hub, asked)]


def _is_bound(socket: "zmq.Socket[bytes]", endpoint: str) -> bool:
    try:
        socket.bind(endpoint)
    except zmq.ZMQError:
        return False
    return True


class _Store:
    """An `agent.ports.Forwarder` to a writer that stores at once, and drops what came before."""

    def __init__(self) -> None:
        self.batches: list[ForeignBatch] = []
        self._highest: dict[tuple[str, str, int], int] = {}
        self._offered = 0

    def offer(self, batch: ForeignBatch) -> int:
        """Its number."""
        origin = batch.origin
        sender = (origin.run, origin.worker, origin.epoch)
        if origin.seq > self._highest.get(sender, 0):
            self._highest[sender] = origin.seq
            self.batches.append(batch)
        self._offered += 1
        return self._offered

    def stored(self) -> int:
        """The number of the last one."""
        return self._offered


class ScriptedHub:
    """The i-th frame of all nodes together is handled by `acts[i]`, those behind the last one honestly. `asked` has them all."""

    def __init__(self, *acts: Act) -> None:
        self.acts = deque(acts)
        self.asked: list[Asked] = []
        self.kept: list[Frame] = []
        # What no hub can read; it gets no answer.
        self.malformed = 0
        self._store = _Store()
        self._welcome: set[bytes] = set()
        self._keys = tuple(z85.decode(part) for part in zmq.curve_keypair())
        self._member = tuple(z85.decode(part) for part in zmq.curve_keypair())
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._port = 0
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self.lives = 0
        self.begin_again()
        self.start()

    # ---- what a test does ----

    def start(self) -> None:
        """Listen, where it listened before."""
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys[1])
        if self._port:
            # The one before it closes in its own time.
            wait_until(lambda: _is_bound(socket, self.endpoint), "the port is free again")
        else:
            self._port = socket.bind_to_random_port("tcp://127.0.0.1")
        self._is_over.clear()
        self._thread = threading.Thread(target=self._serve, args=(socket,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(SECONDS_MAX)
            self._thread = None

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._context.term()

    @property
    def endpoint(self) -> str:
        """Of data."""
        return f"tcp://127.0.0.1:{self._port}"

    def key_file(self, folder: Path) -> Path:
        """The file of a node that has joined."""
        path = folder / "hub.json"
        path.write_bytes(encode_joined_hub(JoinedHub("hub", self.endpoint, self._keys[0], *self._member)))
        return path

    @property
    def deliveries(self) -> list[RowsHead]:
        """The heads of all deliveries that came, also of those that were not taken."""
        return [asked.head for asked in self.asked if asked.head is not None]

    @property
    def hellos(self) -> list[NodeHello]:
        """All that came."""
        return [asked.hello for asked in self.asked if asked.hello is not None]

    @property
    def stored(self) -> list[ForeignBatch]:
        """The batches that were new, in the order in which they came."""
        return self._store.batches

    @property
    def numbers(self) -> list[tuple[str, int]]:
        """Sender and number of each batch that is stored."""
        return [(batch.origin.worker, batch.origin.seq) for batch in self.stored]

    def rows(self, table: str) -> list[Row]:
        """The stored rows of a table, in their order."""
        return [tuple(row) for batch in self.stored if batch.table == table for row in msgspec.msgpack.decode(batch.encoded)]

    # ---- what a hub does ----

    def begin_again(self) -> None:
        """Another life of it: what is stored stays, and it knows no connection and no columns."""
        self.lives += 1
        self._welcome.clear()
        self._rows = Deliveries(self._store, Random(1))

    def answers(self, asked: Asked) -> Sequence[HubAnswer]:
        """As a hub answers, with what it stores."""
        if asked.hello is not None:
            self._welcome.add(asked.connection)
            return [Welcome("hub", f"run-{self.lives}", 1000, 0)]
        assert asked.head is not None
        if asked.connection not in self._welcome:
            return [Greet()]
        answer = self._rows.on_rows(asked.connection, ("node-1", INSTALL), asked.head, asked.frames[1:])
        # Everything is stored at once.
        assert answer is not None
        return [answer]

    def _serve(self, socket: "zmq.Socket[bytes]") -> None:
        while not self._is_over.is_set():
            if not socket.poll(LOOK_MS):
                continue
            connection, *frames = socket.recv_multipart()
            try:
                asked = Asked(connection, frames)
            except ProtocolError:
                self.malformed += 1
                continue
            self.asked.append(asked)
            act = self.acts.popleft() if self.acts else honest
            answers = list(act(self, asked))
            if answers:
                answers, self.kept = [*self.kept, *answers], []
            for answer in answers:
                socket.send_multipart((connection, *(answer if isinstance(answer, tuple) else (answer,))))
        socket.close(linger=0)


@contextmanager
def scripted_hub(*acts: Act) -> Iterator[ScriptedHub]:
    """A hub for the length of a test."""
    hub = ScriptedHub(*acts)
    try:
        yield hub
    finally:
        hub.close()
