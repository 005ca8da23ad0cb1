"""Brings rows to a hub and waits until it has stored them. The waiting is done by the exporter's thread."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import zmq

from agent.fleet.message import Denied, Greet, Hold, HubAnswer, Taken, WantForms, Welcome, decode_answer, encode_hello
from agent.model.errors import EvergaugeError, FormatError, ProtocolError
from agent.model.timebase import MS, S
from agent.store.batch import StoredBatch
from workers.export.hub.minutes import Minutes
from workers.export.hub.parcel import ParcelMaker, RowsParcel
from workers.export.sink import Delivered, Later, Parcel, Paused, SinkContext, Verdict
from workers.fleet.hello import node_hello
from workers.fleet.hub_contact import shown
from workers.fleet.hub_file import ANSWER_TIMEOUT, ENDPOINT, KEY_PATH, read_hub_file
from workers.fleet.hub_socket import HubSocket

# Until the connection stands: over a slow network that is a second.
CONNECT_NS = 5 * S
LOOK_SECONDS = 0.05
# A hub that asks twice for the columns of one delivery has another fault.
TRIES = 4


class HubSink:
    """A `workers.export.sink.Sink`."""

    def __init__(self, context: SinkContext) -> None:
        self._context = context
        self._tables = frozenset(context.tables)
        self._minutes = Minutes(self._tables)
        self._answer_ns = context.settings.of(ANSWER_TIMEOUT)
        self._zmq: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: HubSocket | None = None
        self._is_welcome = False
        self._known_forms: set[int] = set()
        self._number = 0

    def take(self, batches: Sequence[StoredBatch]) -> Parcel | None:
        """See Sink."""
        maker = ParcelMaker()
        for batch in batches:
            if batch.table in self._tables:
                maker.add(batch)
            try:
                made = self._minutes.take(batch)
            except FormatError as failure:
                # Minutes lack it; whatever else is there is sent.
                maker.problem = f"no minutes are made of rows of table {batch.table}: {failure.sentence}"
                continue
            if made is not None:
                maker.add_made(made)
        return maker.parcel()

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """See Sink."""
        for batch in batches:
            with suppress(FormatError):
                self._minutes.take(batch)

    def snapshot(self) -> bytes:
        """The open minutes."""
        return self._minutes.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """See Sink."""
        self._minutes.restore(snapshot)

    def left_out(self) -> Mapping[str, int]:
        """Rows that are in no minute: unreadable ones, and those of more units than are held."""
        return {"rows": self._minutes.left_out_rows}

    def deliver(self, parcel: Parcel) -> Verdict:
        """See Sink."""
        assert isinstance(parcel, RowsParcel)
        refused_rows, sentence = 0, parcel.problem
        for part in parcel.deliveries:
            verdict = self._deliver(part)
            if not isinstance(verdict, Delivered):
                # What the hub has of it comes again, and is dropped there by its numbers.
                return verdict
            refused_rows, sentence = refused_rows + verdict.refused_rows, verdict.sentence or sentence
        return Delivered(refused_rows, "refused_by_hub" if refused_rows else "", sentence)

    def probe(self) -> Verdict:
        """Whether the hub greets this node."""
        try:
            socket = self._open()
        except EvergaugeError as failure:
            return Paused(failure.sentence)
        except OSError as failure:
            return Later(f"the connection cannot be made: {failure.strerror}")
        return self._greet(socket) or Delivered()

    def close(self) -> None:
        """See Sink."""
        self._disconnect()
        if self._zmq is not None:
            self._zmq.term()
            self._zmq = None

    def _deliver(self, parcel: RowsParcel) -> Verdict:
        try:
            socket = self._open()
        except EvergaugeError as failure:
            return Paused(failure.sentence)
        except OSError as failure:
            return Later(f"the connection cannot be made: {failure.strerror}")
        for _ in range(TRIES):
            if not self._is_welcome and (verdict := self._greet(socket)) is not None:
                return verdict
            self._number += 1
            if not socket.send(*parcel.frames(self._number, self._known_forms)):
                self._disconnect()
                return Later("there is no connection to the hub")
            answer = self._answer(socket, self._number)
            match answer:
                case Taken():
                    self._known_forms.update(parcel.forms)
                    return Delivered(min(answer.refused_rows, parcel.points), sentence=shown(answer.sentence))
                case WantForms():
                    self._known_forms.clear()
                case Greet():
                    self._is_welcome = False
                case Hold():
                    return Later("the hub takes no more rows at this moment", answer.after_ms * MS)
                case Denied():
                    self._is_welcome = False
                    return Paused(shown(answer.sentence or answer.code))
                case _:
                    self._disconnect()
                    return Later("the hub does not answer")
        return Later("the hub asks for the same again and again")

    def _greet(self, socket: HubSocket) -> Verdict | None:
        """Say hello; None: the hub takes rows."""
        context = self._context
        hello = encode_hello(node_hello("rows", context.install, context.run, context.host, context.agent_version))
        end_ns = time.monotonic_ns() + CONNECT_NS
        while not socket.send(hello):
            if time.monotonic_ns() >= end_ns:
                self._disconnect()
                return Later("the hub cannot be reached, or does not know this node's key")
            socket.wait(LOOK_SECONDS)
            socket.receive()
        answer = self._answer(socket, None)
        match answer:
            case Welcome():
                self._is_welcome = True
                self._known_forms.clear()
                return None
            case Hold():
                return Later("the hub greets others first", answer.after_ms * MS)
            case Denied():
                return Paused(shown(answer.sentence or answer.code))
            case _:
                self._disconnect()
                return Later("the hub does not answer")

    def _answer(self, socket: HubSocket, number: int | None) -> HubAnswer | None:
        """The answer to a delivery, or (None) to a hello. *Absent:* None where none comes in time, or none that can be read."""
        end_ns = time.monotonic_ns() + self._answer_ns
        while (left_ns := end_ns - time.monotonic_ns()) > 0:
            frame = socket.receive()
            if frame is None:
                socket.wait(min(left_ns / S, 1.0))
                continue
            try:
                answer = decode_answer(frame)
            except ProtocolError:
                return None
            if number is None:
                if isinstance(answer, Welcome | Hold | Denied):
                    return answer
            elif isinstance(answer, Greet | Denied) or (isinstance(answer, Taken | Hold | WantForms) and answer.number == number):
                return answer
        return None

    def _open(self) -> HubSocket:
        """*Raises:* FormatError, StorageError for the file of the keys; OSError where there is no socket."""
        if self._socket is None:
            values = self._context.settings
            hub = read_hub_file(values.of(KEY_PATH), values.of(ENDPOINT))
            self._zmq = self._zmq or zmq.Context()
            self._socket = HubSocket(self._zmq, hub, waiting_max=0)
            self._is_welcome = False
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._is_welcome = False
        self._known_forms.clear()
