"""What a writer learns from the segments of the one before it."""

from agent.model.message import Identity, encode
from agent.model.tables import GAP
from agent.store.record import (
    FORMAT_VERSION,
    Damage,
    Entry,
    Mark,
    SegmentHead,
    encode_entry,
    encode_head,
    form_of,
    is_cut_short,
)
from workers.writer.gap import Gap, Reason
from workers.writer.recover import (
    SUPERSEDED_MAX,
    Recovery,
    SegmentFinding,
    durable_generation,
    newest,
    open_segment,
    superseded,
    without_tail,
)

FORM = form_of(GAP)


def head(*marks: Mark, run: str = "run-1", durable: int = 0) -> bytes:
    """The frame of a head with these marks."""
    return encode_head(SegmentHead(FORMAT_VERSION, "00000000456789ab", "node-1", run, "0.1", 5, {"gap": FORM}, marks, durable))


def batch(seq: int, *, worker: str = "process", epoch: int = 1, run: str = "run-1", ended: bool = False) -> bytes:
    """The frame of a batch, stamped ten times its number."""
    return encode_entry(Entry(run, worker, epoch, seq, "" if ended else "sample", 10 * seq, 0 if ended else 1, ended), b"\x91\x90")


def gap(first_seq: int, last_seq: int | None, reason: str, *, worker: str = "process", epoch: int = 1) -> bytes:
    """The frame of one row of table `gap`."""
    row = Gap(Identity("run-1", worker, epoch), first_seq, last_seq, 1, None, None, None, reason).row(99)
    return encode_entry(Entry("run-1", "writer", 1, 0, "gap", 99, 1), encode([row]))


def test_rows_of_missed_ticks_move_the_raster_and_the_count_but_no_number() -> None:
    """They are written before the batch that told them; when that is sent again, nothing is counted twice."""
    who = Identity("run-1", "process", 2)
    rows = [
        Gap(who, None, None, None, None, 5, 6, "frozen", 4, 14).row(99),
        Gap(who, None, None, None, None, 5, 6, "x", 1, 12).row(99),
    ]
    mark = Mark("run-1", "process", 2, 3, 30, False, 10, 100)
    recovery = Recovery("run-1")
    recovery.take(head(mark) + encode_entry(Entry("run-1", "writer", 1, 0, "gap", 99, 2), encode(rows)))
    assert recovery.marks() == (Mark("run-1", "process", 2, 3, 30, False, 14, 105),)


def test_the_raster_goes_on_from_one_start_to_the_next() -> None:
    """A batch of the next start has its own tick and the count so far; a mark without them takes nothing away."""
    recovery = Recovery("run-1")
    recovery.take(head(Mark("run-1", "process", 2, 3, 30, False, 10, 100)) + batch(1, epoch=3))
    assert recovery.marks() == (Mark("run-1", "process", 3, 1, 10, False, 10, 100),)
    entry = Entry("run-1", "process", 3, 2, "sample", 20, 1, tick=17, ticks_missed=106)
    recovery.take(head() + encode_entry(entry, b"\x91\x90"))
    assert recovery.marks() == (Mark("run-1", "process", 3, 2, 20, False, 17, 106),)


def marks_of(*segments: bytes, run: str = "run-1") -> list[tuple[str, str, int, int, int | None, bool]]:
    """The marks as tuples."""
    recovery = Recovery(run)
    for segment in segments:
        recovery.take(segment)
    return [(m.run, m.worker, m.epoch, m.seq, m.stamp_wall_ns, m.ended) for m in recovery.marks()]


def test_records_win_over_the_head() -> None:
    """The marks are those of the head, moved on by the records behind it."""
    segment = head(Mark("run-1", "process", 1, 7, 70, False), Mark("run-1", "other", 2, 3, 30, True)) + batch(8) + batch(9)
    assert marks_of(segment) == [("run-1", "other", 2, 3, 30, True), ("run-1", "process", 1, 9, 90, False)]


def test_later_segment_wins() -> None:
    """A later segment moves the marks on, and an older epoch never moves them back."""
    assert marks_of(head() + batch(4), head() + batch(5)) == [("run-1", "process", 1, 5, 50, False)]
    assert marks_of(head() + batch(1, epoch=2), head() + batch(9, epoch=1)) == [("run-1", "process", 2, 1, 10, False)]


def test_present_run_wins_over_others() -> None:
    """With the clock set back between two runs the order of the files does not decide."""
    former, present = head() + batch(9, run="run-0"), head() + batch(3)
    expected = [("run-1", "process", 1, 3, 30, False)]
    assert marks_of(former, present) == marks_of(present, former) == expected


def test_bye_is_remembered() -> None:
    """A sender that stopped cleanly is known as ended, with the stamp of its last batch."""
    assert marks_of(head() + batch(2) + batch(2, ended=True)) == [("run-1", "process", 1, 2, 20, True)]


def test_gap_rows_move_the_mark_before_their_batch() -> None:
    """A writer killed between a gap row and its batch does not account for the same loss twice."""
    assert marks_of(head() + batch(2) + gap(3, 5, "buffer_full")) == [("run-1", "process", 1, 5, 20, False)]


def test_death_row_ends_the_former_epoch() -> None:
    """A death that is already in table `gap` is not written again."""
    segment = head() + batch(2) + gap(3, None, Reason.WORKER_DIED)
    assert marks_of(segment) == [("run-1", "process", 1, 2, 20, True)]


def test_losses_of_the_writer_move_no_mark() -> None:
    """A corrupt record belongs to no sender."""
    assert marks_of(head() + gap(1, None, Reason.CORRUPT_RECORD, worker="writer")) == []


def test_rows_that_did_not_fit_move_no_mark() -> None:
    """Their row is written before the batch that they were left out of: counting it as stored would lose the rows that fit."""
    assert marks_of(head() + batch(2) + gap(3, 3, Reason.BAD_ROW)) == [("run-1", "process", 1, 2, 20, False)]


def test_gap_rows_of_another_making_move_no_mark() -> None:
    """Rows that do not decode, or have other values, are passed over."""
    entry = Entry("run-1", "writer", 1, 0, "gap", 99, 1)
    assert marks_of(head() + encode_entry(entry, b"\xc1") + encode_entry(entry, encode([(1, 2, 3)]))) == []


def test_torn_tail_is_no_damage() -> None:
    """Whatever a killed writer cut short is torn; the records before it count."""
    whole = head() + batch(1)
    torn = batch(2)
    for cut in range(1, len(torn)):
        finding = Recovery("run-1").take(whole + torn[:cut])
        assert (finding.batches, finding.damaged, finding.torn) == (1, 0, True)


def test_corrupt_record_is_damage_wherever_it_stands() -> None:
    """A record whose payload changed is damage, at the end of the file too."""
    for data in (head() + batch(1)[:-1] + b"\x00" + batch(2), head() + batch(1) + batch(2)[:-1] + b"\x00"):
        finding = Recovery("run-1").take(data)
        assert (finding.batches, finding.damaged, finding.torn) == (1, 1, False)
        assert finding.needs_sealing


def test_damaged_head_hides_no_record() -> None:
    """Without a head the records are found and move the marks."""
    segment = b"X" + head()[1:] + batch(6)
    assert open_segment(segment)[0] is None
    assert marks_of(segment) == [("run-1", "process", 1, 6, 60, False)]
    assert Recovery("run-1").take(segment).damaged == 1


def test_damaged_head_leaves_gap_rows_readable() -> None:
    """Without a head the columns of table `gap` are today's."""
    assert marks_of(b"X" + head()[1:] + gap(3, 5, "buffer_full")) == [("run-1", "process", 1, 5, None, False)]


def test_segment_without_batches_needs_no_sealing() -> None:
    """A head alone, with a Bye or without, and a file of no bytes hold nothing that Parquet needs."""
    for data in (b"", head(), head() + batch(2, ended=True), head()[:20]):
        assert not Recovery("run-1").take(data).needs_sealing


def test_stretch_of_zeros_is_no_cut() -> None:
    """Zeros at the end, as a power failure leaves them, are damage: nobody cut a frame there."""
    assert not is_cut_short(bytes(64), Damage(0, 64, torn=True))
    assert not is_cut_short(bytes(5), Damage(0, 5, torn=True))


def test_a_tail_of_any_making_is_cut_from_what_was_not_on_the_disk_in_whole() -> None:
    """Zeros and changed bytes at the end are damage until it is known that nobody promised them; a damaged middle stays damage."""
    for tail in (bytes(64), batch(2)[:-1] + b"\x00", batch(2)[:9], b""):
        data = head() + batch(1) + tail
        finding = Recovery("run-1").take(data)
        assert finding.whole_bytes == len(data) - len(tail)
        cut = without_tail(finding, len(data))
        assert (cut.damaged, cut.torn, cut.batches) == (0, bool(tail), 1)
    middle = head() + b"X" + batch(1) + bytes(8)
    assert without_tail(Recovery("run-1").take(middle), len(middle)).damaged == 1


def test_heads_say_what_is_on_the_disk_in_whole() -> None:
    """The highest of them counts; without a readable head it is nothing."""
    recovery = Recovery("run-1")
    findings = [recovery.take(data) for data in (head(durable=3), head(durable=5), head(), b"X")]
    assert durable_generation(findings) == 5
    assert durable_generation(findings[3:]) == 0


def test_the_newest_segments_are_read_up_to_a_bound() -> None:
    """The newest whatever its size, and of the others those that fit with it."""
    assert newest({}, 10) == []
    assert newest({"a": 5, "b": 5, "c": 5}, 15) == ["a", "b", "c"]
    assert newest({"a": 5, "b": 5, "c": 5}, 14) == ["b", "c"]
    assert newest({"a": 5, "b": 50}, 14) == ["b"]


def test_the_newest_superseded_segments_are_remembered() -> None:
    """Heads name the segments whose rows later ones hold: each once, in their order, and no more than a head has room for."""
    names = tuple(f"20240101T000000Z-{generation:08x}00000000.spool" for generation in range(1, SUPERSEDED_MAX + 3))
    heads = [
        SegmentHead(FORMAT_VERSION, "00000000456789ab", "node-1", "run-1", "0.1", 5, {}, (), 0, part)
        for part in (names[4:], names[:6])
    ]
    findings = [SegmentFinding(head, 0, 0, torn=False) for head in heads]
    assert superseded([*findings, SegmentFinding(None, 0, 1, torn=False)]) == names[2:]
    assert superseded([]) == ()


def test_a_row_of_a_gap_without_numbers_and_ticks_moves_no_mark() -> None:
    """It accounts for nothing that a sender could ask about; neither does a record that is of no sender."""
    nothing = Gap(Identity("run-1", "process", 1), None, None, 5, "sample", 1, 2, "x").row(99)
    other = encode_entry(Entry("run-1", "writer", 1, 0, "diag", 99, 1), encode([(1,)]))
    recovery = Recovery("run-1")
    recovery.take(head() + encode_entry(Entry("run-1", "writer", 1, 0, "gap", 99, 1), encode([nothing])) + other)
    assert recovery.marks() == ()
