"""From messages to frames, and random stories of everything that can happen between a sender and the spool."""

from random import Random

import pytest
from fakes.foreign_node import HUB, ForeignNode, ForwardingSender
from fakes.sender import SAMPLE, FakeSender, sample_rows
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from agent.model.message import Batch, DataAck, DataHello, Identity, encode
from agent.model.table import Row
from agent.model.tables import GAP
from agent.store.record import (
    FORMAT_VERSION,
    Entry,
    EntryOrigin,
    OtherForm,
    Record,
    SegmentHead,
    TableForm,
    decode_rows,
    encode_head,
    form_of,
    parse_head,
    parse_records,
)
from workers.writer.core import WriterCore
from workers.writer.foreign import ForeignBatches
from workers.writer.gap import Reason
from workers.writer.intake import AppendBatch, Intake, array_length
from workers.writer.recover import Recovery

WRITER = Identity("run-1", "writer", 1)
WHO = Identity("run-1", "process", 1)
TABLES = {table.name: table for table in (GAP, SAMPLE)}
FORMS = {name: form_of(table) for name, table in TABLES.items()}
WALL_NS = 1_700_000_000_000_000_000


def entries_of(append: AppendBatch) -> list[tuple[Entry, list[Row]]]:
    """What the frames of a append hold."""
    items = list(parse_records(b"".join(append.frames), 0))
    assert all(isinstance(item, Record) for item in items)
    return [(item.entry, decode_rows(item.rows)) for item in items if isinstance(item, Record)]


def take(*messages: tuple[bytes, bytes]) -> AppendBatch:
    """What comes of messages of one sender to a fresh writer."""
    core, append = WriterCore("run-1"), AppendBatch()
    for message, rows in messages:
        Intake(WRITER, TABLES).take(core, WHO, message, rows, WALL_NS, append)
    return append


def test_batch_is_framed_as_it_came() -> None:
    """The rows of a batch stand in the spool byte for byte, under the head of its sender."""
    sender = FakeSender(WHO)
    append = take(*sender.offer(5, rows=3))
    assert entries_of(append) == [(Entry("run-1", "process", 1, 1, "sample", 5, 3), sample_rows(WHO, 1, 5, 3))]
    assert (append.acks, append.rows_by_table, append.batches) == ({WHO: 1}, {"sample": 3}, 1)


def test_one_acknowledgement_for_many_batches() -> None:
    """A append acknowledges the highest number of each sender, duplicates included."""
    sender = FakeSender(WHO)
    first, second = sender.offer(5), sender.offer(6)
    append = take(*first, *second, *first)
    assert (append.acks, append.duplicates, len(append.frames)) == ({WHO: 2}, 1, 2)


def test_bye_is_a_record_without_rows() -> None:
    """A Bye is kept, so that the next writer knows of it."""
    sender = FakeSender(WHO)
    append = take(*sender.offer(5), *sender.goodbye())
    assert entries_of(append)[1] == (Entry("run-1", "process", 1, 2, "", WALL_NS, 0, ended=True), [])


@pytest.mark.parametrize(
    ("table", "version", "rows", "reason"),
    [
        ("nowhere", 1, b"\x91\x90", Reason.UNKNOWN_TABLE),
        ("sample", 2, b"\x91\x90", Reason.UNKNOWN_TABLE),
        ("sample", 3, b"\x92\x90\x90", Reason.MALFORMED_ROWS),
        ("sample", 3, b"", Reason.MALFORMED_ROWS),
        ("sample", 3, b"\xc0", Reason.MALFORMED_ROWS),
    ],
)
def test_batch_that_cannot_be_stored_is_a_gap(table: str, version: int, rows: bytes, reason: str) -> None:
    """It is accounted for under the writer's own name and acknowledged."""
    append = take((encode(Batch(1, table, version, 5, 1)), rows))
    ((entry, (row,)),) = entries_of(append)
    assert (entry.worker, entry.seq, entry.table, row[GAP.column_names.index("reason")]) == ("writer", 0, "gap", reason)
    assert append.acks == {WHO: 1}


def test_foreign_message_is_a_protocol_error() -> None:
    """Bytes that are no message leave nothing behind."""
    with pytest.raises(ProtocolError):
        take((b"\xff\x00", b""))


def test_rows_of_another_host_stand_in_a_record_with_their_mark() -> None:
    """As they came, under a number of the hub's, in a record that names no table of this host's; they are counted apart."""
    hub, node = ForwardingSender(HUB), ForeignNode(1)
    first, newer = node.measure(5), node.send([(7,)], 7, "newer", TableForm(3, ("timestamp",), ("int64",), "x-"))
    core, append = WriterCore("run-1", foreign=ForeignBatches(FORMS)), AppendBatch()
    for each in (first, newer, first, node.send([], 9, "No such")):
        for message, rows in hub.hand_on(each):
            Intake(WRITER, TABLES).take(core, HUB, message, rows, WALL_NS, append)
    who = node.who
    expected = [
        Entry("run-1", "hub", 1, 1, "", 5, 3, origin=EntryOrigin("sample", node.host, node.install, who.run, who.worker, 1, 1)),
        Entry("run-1", "hub", 1, 2, "", 7, 1, origin=EntryOrigin(
            "newer", node.host, node.install, who.run, who.worker, 1, 2, OtherForm(3, 0, ("timestamp",), ("int64",), (True,)))),
        Entry("run-1", "hub", 1, 3, "", WALL_NS, 0),
        Entry("run-1", "writer", 1, 0, "gap", WALL_NS, 1),
    ]  # fmt: skip
    found = entries_of(append)
    assert [entry for entry, _ in found] == expected
    assert found[0][1] == sample_rows(who, 1, 5, 3)
    (gap,) = found[3][1]
    assert (gap[1], gap[4], gap[5], gap[7], gap[10]) == ("hub", "No such", 4, 0, Reason.FOREIGN_TABLE)
    counts = append.foreign
    assert (counts.batches, counts.rows, counts.duplicates, counts.refused) == (2, 4, 1, {Reason.FOREIGN_TABLE: 1})
    assert (append.acks, append.rows_by_table, append.batches, append.duplicates) == ({HUB: 4}, {"gap": 1}, 0, 1)


def test_rows_of_another_host_are_as_many_as_announced() -> None:
    """Else they are refused like anybody's; what has no room yet is asked for again like anybody's."""
    node = ForeignNode(1)
    batch = node.measure(5)
    core, append = WriterCore("run-1", foreign=ForeignBatches(FORMS)), AppendBatch()
    for message, _ in ForwardingSender(HUB).hand_on(batch):
        Intake(WRITER, TABLES).take(core, HUB, message, b"\x90", WALL_NS, append)
    assert append.foreign.refused == {Reason.MALFORMED_ROWS: 1}
    core.commit()
    message = encode(Batch(9, "sample", 0, 5, 3, origin=batch.origin))
    Intake(WRITER, TABLES).take(core, HUB, message, batch.encoded, WALL_NS, append)
    assert list(append.greeted) == [HUB]


@given(st.lists(st.none(), max_size=40) | st.lists(st.integers(0, 300), max_size=40))
def test_announced_length_of_an_array(items: list[int | None]) -> None:
    """The first bytes of an array tell its length, whatever the length."""
    assert array_length(encode(items)) == len(items)
    assert array_length(encode([*items] * 50)) == 50 * len(items)


def test_announced_length_of_no_array() -> None:
    """Anything else announces none."""
    assert [array_length(data) for data in (b"", b"\xdc\x00", b"\xdd\x00\x00\x00", b"\x80", b"\xc0")] == [None] * 5
    assert array_length(b"\xdd\x00\x01\x00\x01") == 65_537


class World:
    """A writer that is killed and whose disk fills up, senders that die, and connections that break."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.segments: list[bytearray] = []
        self.incoming: list[tuple[Identity, bytes, bytes]] = []
        self.senders: dict[str, FakeSender] = {}
        self.history: list[FakeSender] = []
        self.epoch = 0
        self.wall_ns = WALL_NS
        self.start_writer()
        for name in ("plane", "process"):
            self.start_sender(name)

    def start_writer(self) -> None:
        """A new writer knows what the spool says and nothing else."""
        self.epoch += 1
        recovery = Recovery("run-1")
        for segment in self.segments:
            assert recovery.take(bytes(segment)).damaged == 0
        head = SegmentHead(FORMAT_VERSION, f"{self.epoch:016x}", "node", "run-1", "0", self.wall_ns, FORMS, recovery.marks())
        self.segments.append(bytearray(encode_head(head)))
        self.core = WriterCore("run-1", recovery.marks())
        self.intake = Intake(Identity("run-1", "writer", self.epoch), TABLES)

    def start_sender(self, name: str) -> None:
        """The next epoch of a worker."""
        epoch = self.senders[name].who.epoch + 1 if name in self.senders else 1
        sender = FakeSender(Identity("run-1", name, epoch), buffer_max=6)
        self.senders[name] = sender
        self.history.append(sender)
        self.incoming.append((sender.who, b"", b""))

    def offer(self) -> None:
        """A sender measures."""
        self.wall_ns += 1_000_000
        sender = self.random.choice(list(self.senders.values()))
        self.put(sender, sender.offer(self.wall_ns, rows=self.random.randint(0, 3)))

    def put(self, sender: FakeSender, frames: list[tuple[bytes, bytes]]) -> None:
        """Frames on their way."""
        self.incoming.extend((sender.who, head, rows) for head, rows in frames)

    def say(self, who: Identity, message: DataHello | DataAck) -> None:
        """A word of the writer reaches its sender, if that lives."""
        sender = self.senders[who.worker]
        if sender.who == who:
            self.put(sender, sender.hear(message))

    def turn(self, *, end: str = "good") -> None:
        """One append of the writer, which ends well, with a full disk, or with its death before, in or after the append."""
        append = AppendBatch()
        count = self.random.randint(1, 12)
        taken, self.incoming = self.incoming[:count], self.incoming[count:]
        for who, message, rows in taken:
            if message:
                self.intake.take(self.core, who, message, rows, self.wall_ns, append)
            else:
                self.core.on_connect(who)
                append.greeted[who] = None
        data = b"".join(append.frames)
        if end == "full":
            self.core.rollback()
            append = AppendBatch()
            append.greeted.update((sender.who, None) for sender in self.senders.values())
        else:
            self.segments[-1] += data if end in ("good", "after") else data[: self.random.randint(0, len(data))]
        if end in ("good", "full"):
            self.answer(append)
        else:
            self.kill_writer()

    def answer(self, append: AppendBatch) -> None:
        """What follows a successful append."""
        self.core.commit()
        for who, seq in append.acks.items():
            self.say(who, DataAck(seq))
        for who in append.greeted:
            self.say(who, DataHello(self.epoch, self.core.have(who)))

    def kill_writer(self) -> None:
        """What lay before it is gone with it; every living sender connects again."""
        for sender in self.senders.values():
            self.break_connection(sender, kept=0)
        alive = {sender.who for sender in self.senders.values()}
        self.incoming = [item for item in self.incoming if item[0] in alive]
        self.start_writer()

    def break_connection(self, sender: FakeSender, kept: int) -> None:
        """Of what was under way a stretch is lost; what the sender had not yet handed over follows on the new connection."""
        own = [item for item in self.incoming if item[0] == sender.who]
        others = [item for item in self.incoming if item[0] != sender.who]
        lost_to = self.random.randint(min(kept, len(own)), len(own))
        self.incoming = [*others, *own[:kept], (sender.who, b"", b""), *(item for item in own[lost_to:] if item[1])]

    def end_sender(self, *, with_bye: bool) -> None:
        """A sender ends, with its last word or without, and its successor starts."""
        name = self.random.choice(list(self.senders))
        if with_bye:
            self.put(self.senders[name], self.senders[name].goodbye())
        elif self.random.random() < 0.5:
            self.incoming = [item for item in self.incoming if item[0] != self.senders[name].who]
        self.start_sender(name)

    def step(self) -> None:
        """Something happens; measuring and storing more often than accidents."""
        match self.random.randint(0, 29):
            case 0:
                self.turn(end=self.random.choice(["torn", "after"]))
            case 1 | 2:
                self.turn(end="full")
            case 3:
                sender = self.random.choice(list(self.senders.values()))
                self.break_connection(sender, kept=self.random.randint(0, 3))
            case 4:
                self.end_sender(with_bye=self.random.random() < 0.5)
            case chosen if chosen < 18:
                self.offer()
            case _:
                self.turn()

    def settle(self) -> None:
        """Everybody says one more batch, and all that is under way arrives."""
        for sender in self.senders.values():
            self.break_connection(sender, kept=0)
        for _ in range(1000):
            if not self.incoming and not any(sender.unacknowledged for sender in self.senders.values()):
                break
            self.turn()
        for sender in self.senders.values():
            self.put(sender, sender.offer(self.wall_ns))
        for _ in range(1000):
            if not self.incoming:
                return
            self.turn()
        raise AssertionError("the world does not come to rest")

    def stored(self) -> tuple[dict[tuple[str, int], list[int]], list[Row]]:
        """The numbers of the stored batches by sender, and the rows of table `gap`."""
        numbers: dict[tuple[str, int], list[int]] = {}
        gaps: list[Row] = []
        for segment in self.segments:
            data = bytes(segment)
            for item in parse_records(data, parse_head(data)[1]):
                if not isinstance(item, Record):
                    assert item.torn
                elif item.entry.seq == 0 and item.entry.table == "gap":
                    gaps.extend(decode_rows(item.rows))
                elif not item.entry.ended:
                    numbers.setdefault((item.entry.worker, item.entry.epoch), []).append(item.entry.seq)
        return numbers, gaps


def check_stored(world: World) -> None:
    """Every number of every sender is stored once, or stands in one gap; none is in both."""
    numbers, gaps = world.stored()
    for sender in world.history:
        name, epoch = sender.who.worker, sender.who.epoch
        counted = list(numbers.get((name, epoch), []))
        batches = len(counted)
        open_ends: list[int] = []
        for row in gaps:
            gap = dict(zip(GAP.column_names, row, strict=True))
            if (gap["worker"], gap["epoch"]) != (name, epoch):
                continue
            assert gap["reason"] in ("buffer_full", Reason.WORKER_DIED)
            first, last = gap["first_seq"], gap["last_seq"]
            assert isinstance(first, int)
            if isinstance(last, int):
                counted.extend(range(first, last + 1))
            else:
                open_ends.append(first)
        assert len(open_ends) <= 1
        known_to = open_ends[0] - 1 if open_ends else sender.seq
        assert sorted(counted) == list(range(1, known_to + 1)), (name, epoch, batches)
        assert sender.acknowledged <= known_to
        assert not open_ends or sender is not world.senders[name]


@given(st.integers(0, 2**32))
def test_no_story_loses_or_doubles_a_batch(seed: int) -> None:
    """Anyone who is killed and whatever breaks: what was acknowledged is stored once, the rest is stored or a gap."""
    world = World(Random(seed))
    for _ in range(120):
        world.step()
    world.settle()
    check_stored(world)


@given(st.integers(0, 2**32))
def test_next_writer_knows_what_the_last_one_knew(seed: int) -> None:
    """What is read back from the spool is what the writer had committed."""
    world = World(Random(seed))
    for _ in range(60):
        world.step()
    marks = world.core.marks()
    world.start_writer()
    assert world.core.marks() == marks
