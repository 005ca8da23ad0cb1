"""A sink whose answers a test chooses, and which keeps what it was given."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from msgspec import Struct

from agent.store.batch import StoredBatch
from workers.export.sink import Delivered, Parcel, Sink, SinkContext, SinkKind, Verdict


class ScriptedParcel(Struct, frozen=True):
    """The batches that travel, by table and number."""

    numbers: tuple[tuple[str, int], ...]
    rows: int

    @property
    def size_bytes(self) -> int:
        """Some number."""
        return 10 * len(self.numbers)

    @property
    def points(self) -> int:
        """Its rows."""
        return self.rows


class ScriptedSink:
    """`answer` decides each delivery; `got` has what was acknowledged, `attempts` everything that was tried."""

    def __init__(self) -> None:
        self.answer: Callable[[ScriptedParcel], Verdict] = lambda _parcel: Delivered()
        self.attempts: list[ScriptedParcel] = []
        self.got: list[tuple[str, int]] = []
        self.skipped: list[tuple[str, int]] = []
        self.seen = 0
        self.restored: list[bytes] = []
        self.keeps_state = False
        self._lock = Lock()
        self.context: SinkContext | None = None

    def take(self, batches: Sequence[StoredBatch]) -> Parcel | None:
        """Nothing in them of tables that were not asked for: nothing travels."""
        assert self.context is not None
        self.seen += sum(batch.entry.rows for batch in batches)
        wanted = [batch for batch in batches if batch.table in self.context.tables]
        if not wanted:
            return None
        return ScriptedParcel(tuple((b.table, b.entry.seq) for b in wanted), sum(b.entry.rows for b in wanted))

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """Remember."""
        self.seen += sum(batch.entry.rows for batch in batches)
        self.skipped += [(batch.table, batch.entry.seq) for batch in batches]

    def snapshot(self) -> bytes:
        """How many rows it has seen, if it is one that keeps that."""
        return str(self.seen).encode() if self.keeps_state else b""

    def restore(self, snapshot: bytes) -> None:
        """Go on from there."""
        self.restored.append(snapshot)
        self.seen = int(snapshot or b"0")

    def left_out(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def deliver(self, parcel: Parcel) -> Verdict:
        """As the test says."""
        assert isinstance(parcel, ScriptedParcel)
        with self._lock:
            self.attempts.append(parcel)
            verdict = self.answer(parcel)
            if isinstance(verdict, Delivered):
                self.got += parcel.numbers
            return verdict

    def probe(self) -> Verdict:
        """Always well."""
        return Delivered()

    def close(self) -> None:
        """Nothing to give back."""


def kind_of_sink(sink: ScriptedSink, **different: object) -> SinkKind:
    """A kind whose only sink is this one."""

    def open_sink(context: SinkContext) -> Sink:
        sink.context = context
        return sink

    fields: dict[str, object] = {"name": "scripted", "about": "for tests", "options": (), "identity": (), "open": open_sink}
    return SinkKind(**{**fields, **different})  # type: ignore[arg-type]  # each value has the type of its field
