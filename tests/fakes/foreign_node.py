"""Another host as the writer of a hub hears of it, and the hub that hands its batches on."""

from fakes.sender import SAMPLE, FakeSender, sample_rows

from agent.model.message import Batch, BatchOrigin, ForeignBatch, Identity, encode
from agent.model.table import Row
from agent.store.origin_form import encode_form
from agent.store.record import TableForm, form_of

FORM = form_of(SAMPLE)
HUB = Identity("run-1", "hub", 1)


class ForeignNode:
    """Counts the batches of one worker of one host, and keeps all of them."""

    def __init__(self, number: int, *, worker: str = "process", host: str = "") -> None:
        self.host = host or f"node-{100 + number}"
        self.install = f"{number:016x}"
        self.who = Identity(f"{number:08x}feedbeef", worker, 1)
        self.batches: list[ForeignBatch] = []

    def measure(self, stamp_wall_ns: int, rows: int = 3) -> ForeignBatch:
        """The next batch of table `sample`."""
        return self.send(sample_rows(self.who, len(self.batches) + 1, stamp_wall_ns, rows), stamp_wall_ns)

    def send(self, rows: list[Row], stamp_wall_ns: int, table: str = SAMPLE.name, form: TableForm = FORM) -> ForeignBatch:
        """The next batch, with these rows."""
        who = self.who
        origin = BatchOrigin(self.host, self.install, who.run, who.worker, who.epoch, len(self.batches) + 1, encode_form(form))
        self.batches.append(ForeignBatch(origin, table, stamp_wall_ns, len(rows), encode(list(rows))))
        return self.batches[-1]


class ForwardingSender(FakeSender):
    """A hub's end of the data socket."""

    def hand_on(self, batch: ForeignBatch) -> list[tuple[bytes, bytes]]:
        """Number a batch; the frames to send now."""
        self.seq += 1
        head = Batch(self.seq, batch.table, 0, batch.stamp_wall_ns, batch.rows, origin=batch.origin)
        return self._keep(self.seq, encode(head), batch.encoded)
