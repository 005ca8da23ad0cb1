"""Random stories of nodes, a hub and a writer that die: every batch of every node is stored once, and no loss is told."""

from collections import Counter
from random import Random

from fakes.foreign_node import FORM, ForeignNode, ForwardingSender
from fakes.sender import SAMPLE
from hypothesis import given
from hypothesis import strategies as st

from agent.model.message import DataAck, DataHello, Identity
from agent.model.tables import GAP
from agent.store.record import FORMAT_VERSION, Record, SegmentHead, encode_head, form_of, parse_head, parse_records
from workers.writer.core import WriterCore
from workers.writer.foreign import ForeignBatches
from workers.writer.intake import AppendBatch, Intake
from workers.writer.recover import Recovery

TABLES = {table.name: table for table in (GAP, SAMPLE)}
FORMS = {GAP.name: form_of(GAP), SAMPLE.name: FORM}
STAMP_NS = 1_700_000_000_000_000_000
# Few segments are read at a start: the heads of later ones have to say what earlier ones held.
SEGMENTS_READ = 2


class HubWorld:
    """Nodes keep what the hub has not answered for; the hub keeps what the writer has not; each of them may die."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.nodes = [ForeignNode(number) for number in range(4)]
        # Up to where each node has sent, and the hub has answered.
        self.sent = dict.fromkeys(range(4), 0)
        self.answered = dict.fromkeys(range(4), 0)
        self.segments: list[bytearray] = []
        self.epoch = self.hub_epoch = 0
        self.start_writer()
        self.start_hub()

    def start_writer(self) -> None:
        """It knows what the spool says, and opens a segment."""
        self.epoch += 1
        foreign = ForeignBatches(FORMS, "f" * 16)
        recovery = Recovery("run-1", foreign)
        for segment in self.segments[-SEGMENTS_READ:]:
            assert recovery.take(bytes(segment)).damaged == 0
        self.core = WriterCore("run-1", recovery.marks(), foreign)
        self.intake = Intake(Identity("run-1", "writer", self.epoch), TABLES)
        self.incoming: list[tuple[bytes, bytes]] = []
        self.open_segment()

    def open_segment(self) -> None:
        """The next segment begins with all that is known."""
        head = SegmentHead(
            FORMAT_VERSION, f"{len(self.segments):016x}", "node", "run-1", "0", STAMP_NS, FORMS, self.core.marks(),
            foreign=self.core.foreign.encode(),
        )  # fmt: skip
        self.segments.append(bytearray(encode_head(head)))

    def start_hub(self) -> None:
        """It starts without the state of its predecessor; each node resends from the first batch without an acknowledgement."""
        self.hub_epoch += 1
        self.hub = ForwardingSender(Identity("run-1", "hub", self.hub_epoch))
        self.handed_on: dict[int, tuple[int, int]] = {}
        self.sent = dict(self.answered)
        self.greet()

    def greet(self) -> None:
        """The hub connects to the writer."""
        self.core.on_connect(self.hub.who)
        self.incoming = self.hub.hear(DataHello(self.epoch, self.core.have(self.hub.who)))

    def measure(self) -> None:
        """A node stores one batch more."""
        self.random.choice(self.nodes).measure(STAMP_NS, rows=self.random.randint(1, 3))

    def send(self) -> None:
        """A node sends some, perhaps once more what it sent already."""
        number = self.random.randrange(len(self.nodes))
        begin = self.answered[number] if self.random.random() < 0.3 else self.sent[number]
        batches = self.nodes[number].batches[begin:][: self.random.randint(1, 4)]
        for batch in batches:
            self.incoming += self.hub.hand_on(batch)
            self.handed_on[self.hub.seq] = number, batch.origin.seq
        self.sent[number] = max(self.sent[number], begin + len(batches))

    def turn(self, *, end: str = "good") -> None:
        """One append: it ends well, with a full disk, or with the death of the writer before, in or after it."""
        append = AppendBatch()
        count = self.random.randint(1, 8)
        taken, self.incoming = self.incoming[:count], self.incoming[count:]
        for message, rows in taken:
            self.intake.take(self.core, self.hub.who, message, rows, STAMP_NS, append)
        data = b"".join(append.frames)
        if end == "full":
            self.core.rollback()
            self.greet()
            return
        self.segments[-1] += data if end in ("good", "after") else data[: self.random.randint(0, len(data))]
        if end == "good":
            self.core.commit()
            for seq in append.acks.values():
                self.hub.hear(DataAck(seq))
            if append.greeted:
                self.greet()
            self.answer()
        else:
            self.start_writer()
            self.greet()

    def answer(self) -> None:
        """The hub tells the nodes what is stored."""
        for seq in [seq for seq in self.handed_on if seq <= self.hub.acknowledged]:
            number, node_seq = self.handed_on.pop(seq)
            self.answered[number] = max(self.answered[number], node_seq)

    def step(self) -> None:
        """Something happens."""
        match self.random.randint(0, 19):
            case 0:
                self.turn(end=self.random.choice(["torn", "after"]))
            case 1:
                self.turn(end="full")
            case 2:
                self.start_hub()
            case 3:
                self.open_segment()
            case chosen if chosen < 10:
                self.measure()
            case chosen if chosen < 15:
                self.send()
            case _:
                self.turn()

    def settle(self) -> None:
        """Everything is sent and answered for."""
        for _ in range(2000):
            if all(self.answered[number] == len(node.batches) for number, node in enumerate(self.nodes)):
                return
            self.send()
            self.turn()
        raise AssertionError("the world does not come to rest")

    def records(self) -> list[Record]:
        """What is stored."""
        parsed = (parse_records(bytes(segment), parse_head(bytes(segment))[1]) for segment in self.segments)
        return [item for items in parsed for item in items if isinstance(item, Record)]


@given(st.randoms(use_true_random=False))
def test_every_batch_of_every_node_is_stored_once(random: Random) -> None:
    """Over any order of deaths of hub and writer, full disks and repeats."""
    world = HubWorld(random)
    for _ in range(random.randint(20, 150)):
        world.step()
    world.settle()
    stored = [record for record in world.records() if record.entry.rows]
    sent = Counter({(node.install, batch.origin.seq): batch.rows for node in world.nodes for batch in node.batches})
    found: Counter[tuple[str, int]] = Counter()
    for record in stored:
        origin = record.entry.origin
        assert origin is not None, "nothing but the nodes' batches: no row of table gap either"
        found[origin.install, origin.seq] += record.entry.rows
    assert (found, len(stored)) == (sent, len(sent))
