"""What is settled for a sink, from where it goes on, and that the ledger adds up in random worlds."""

from random import Random

import pytest
from fakes.export_world import ExportWorld, batch_at

from agent.store.batch import StoredBatch
from agent.store.cursor import Cursor, ExportLedger, decode_slot, encode_slot
from agent.store.keeping import Keeping, PrunedSegment
from agent.store.place import Place
from workers.export.progress import SPANS_MAX, ExportLine, ExportProgress, new_cursor, shown

FIRST, SECOND, THIRD, FIFTH = ("0000000100000000", "0000000200000000", "0000000300000000", "0000000500000000")


def progress(cursor: Cursor | None = None) -> ExportProgress:
    """One whose tables are `unit` alone."""
    return ExportProgress(cursor or new_cursor("s", "file", "id", "install"), {"unit"})


def test_what_is_scanned_is_pending_until_it_is_delivered() -> None:
    """Rows are produced when they are found, and delivered when the sink answers for them."""
    held = progress()
    batches = [batch_at(FIRST, number, rows=10) for number in range(3)]
    held.scan(batches)
    assert (held.ledger().produced, held.pending_rows) == (30, 30)
    held.deliver(ExportLine.LIVE, batches[:2])
    assert (held.ledger().delivered, held.pending_rows, held.low) == (20, 10, batches[1].behind)
    held.check()


def test_context_tables_are_passed_without_being_counted() -> None:
    """Names that others build on are read by every sink, and belong to the account of none that did not ask for them."""
    held = progress()
    batches = [batch_at(FIRST, 0, table="pod_group"), batch_at(FIRST, 1, rows=5)]
    held.scan(batches)
    held.deliver(ExportLine.LIVE, batches)
    assert (held.ledger().produced, held.ledger().delivered) == (5, 5)
    held.check()


def test_the_newest_first_then_the_backlog() -> None:
    """A span ahead of the backlog is settled apart, and becomes one with it when nothing is left between."""
    held = progress()
    old, new = [batch_at(FIRST, number) for number in range(2)], [batch_at(SECOND, number) for number in range(2)]
    held.scan(old)
    assert held.open_live()
    held.scan(new)
    assert held.next_place(ExportLine.LIVE) == (old[-1].behind, new[-1].behind)
    held.deliver(ExportLine.LIVE, new)
    assert held.next_place(ExportLine.BACKLOG) == (Place("", 0), old[-1].behind)
    held.deliver(ExportLine.BACKLOG, old)
    held.close_backlog()
    assert (held.low, held.pending_rows, held.has_backlog) == (new[-1].behind, 0, False)
    held.check()


def test_refused_rows_are_counted_by_their_reason() -> None:
    """Rejected as a whole or in part, each row has one place in the ledger."""
    held = progress()
    batches = [batch_at(FIRST, number, rows=10) for number in range(2)]
    held.scan(batches)
    held.deliver(ExportLine.LIVE, batches[:1], rejected=3, reason="too_old")
    held.reject(ExportLine.LIVE, batches[1:], "http_400")
    assert held.ledger().rejected == {"too_old": 3, "http_400": 10}
    assert held.ledger().delivered == 7
    held.check()


def test_a_pruned_segment_costs_exactly_what_was_left_of_it() -> None:
    """What the sink had of the segment already is not lost, what it had not even seen is."""
    held = progress()
    batches = [batch_at(FIRST, number, rows=10) for number in range(2)]
    held.scan(batches)
    held.deliver(ExportLine.LIVE, batches[:1])
    pruned = PrunedSegment(FIRST, {"unit": 50, "process": 7}, 1_000, 1, 2, "sink_quota")
    held.keep_up(Keeping(pruned=(pruned,)), present=())
    assert (held.ledger().produced, held.ledger().delivered, held.ledger().pruned, held.pending_rows) == (50, 10, 40, 0)
    (loss,) = held.take_losses()
    assert (loss.reason, loss.rows, loss.until_wall_ns) == ("sink_quota", 40, 2)
    held.keep_up(Keeping(pruned=(pruned,)), present=())
    assert held.take_losses() == []
    held.check()


def test_a_segment_that_is_still_there_is_not_passed() -> None:
    """The writer writes down what it removes before it does so: until it is gone it can be read."""
    held = progress()
    held.scan([batch_at(FIRST, 0)])
    held.keep_up(Keeping(pruned=(PrunedSegment(FIRST, {"unit": 10}, 1, 1, 2, "sink_quota"),)), present=[FIRST])
    assert held.ledger().pruned == 0


def test_a_removed_segment_of_unknown_content_is_a_loss_of_unknown_size() -> None:
    """Absent is not zero: the row says that nobody knows."""
    held = progress()
    held.scan([batch_at(FIRST, 0, rows=10)])
    held.keep_up(Keeping(pruned=(PrunedSegment(FIRST, None, 0, None, None, "removed"),)), present=())
    (loss,) = held.take_losses()
    assert (loss.rows, held.ledger().pruned) == (None, 10)
    held.check()


def test_a_sink_that_was_not_configured_for_a_while_is_told() -> None:
    """What was removed meanwhile was kept for nobody; what follows counts again."""
    held = progress()
    first = batch_at(FIRST, 0)
    held.scan([first])
    held.deliver(ExportLine.LIVE, [first])
    held.keep_up(Keeping(since={"s": 5}), present=[FIFTH])
    (loss,) = held.take_losses()
    assert (loss.reason, loss.rows) == ("not_configured", None)
    held.scan([batch_at(FIFTH, 0)])
    held.deliver(ExportLine.LIVE, [batch_at(FIFTH, 0)])
    held.check()


def test_nothing_is_lost_between_neighbours() -> None:
    """A sink that is kept for since the segment behind its own has missed nothing."""
    held = progress()
    first = batch_at(FIRST, 0)
    held.scan([first])
    held.deliver(ExportLine.LIVE, [first])
    held.keep_up(Keeping(since={"s": 2}), present=[SECOND])
    assert held.take_losses() == []


def test_rows_that_cannot_be_read_again_are_a_loss_and_no_bug() -> None:
    """A sector may fail between two reads of a segment."""
    held = progress()
    batches = [batch_at(FIRST, 0, rows=10), batch_at(FIRST, 1, rows=7), batch_at(SECOND, 0, rows=5)]
    held.scan(batches)
    held.deliver(ExportLine.LIVE, [batches[0], batches[2]])
    (loss,) = held.take_losses()
    assert (loss.reason, loss.rows, held.ledger().pruned) == ("unreadable", 7, 7)
    held.check()


def test_the_cursor_is_the_same_after_its_file() -> None:
    """Everything that counts survives a process."""
    held = progress()
    batches = [batch_at(FIRST, number) for number in range(4)]
    held.scan(batches[:2])
    held.open_live()
    held.scan(batches[2:])
    held.deliver(ExportLine.LIVE, batches[2:3])
    kept = held.cursor()
    decoded = decode_slot(encode_slot(kept, 7))
    assert decoded == (7, kept)
    again = progress(decoded[1])
    assert again.cursor() == kept
    again.deliver(ExportLine.LIVE, batches[3:])
    again.check()


def live() -> tuple[ExportProgress, StoredBatch, StoredBatch]:
    """A backlog of one batch, and one on the live line; nothing is delivered."""
    held, old, new = progress(), batch_at(FIRST, 0), batch_at(SECOND, 0)
    held.scan([old])
    held.open_live()
    held.scan([new])
    return held, old, new


def test_what_is_pending_is_told_in_bytes_too_and_how_old_it_is() -> None:
    """Before anything was found or delivered there is no age."""
    held = progress()
    batches = [batch_at(FIRST, number, rows=10, stamp=stamp) for number, stamp in enumerate((100, 200, 300))]
    assert (held.pending_bytes, held.last_stamp_wall_ns, held.deliveries, held.lag_ns(batches[0])) == (0, None, 0, 0)
    held.scan(batches)
    assert (held.pending_bytes, held.lag_ns(batches[0]), held.lag_ns(batches[2])) == (30, 200, 0)
    held.deliver(ExportLine.LIVE, batches[:2])
    assert (held.pending_bytes, held.last_stamp_wall_ns, held.deliveries) == (10, 200, 1)


def test_what_a_new_process_would_read_is_as_it_was_kept() -> None:
    """The writer removes nothing behind it; what was delivered since is not written down yet."""
    held = progress()
    batches = [batch_at(FIRST, number) for number in range(3)]
    held.scan(batches)
    held.deliver(ExportLine.LIVE, batches[:2])
    needs = batches[1].place
    again = progress(held.cursor(needs))
    again.deliver(ExportLine.LIVE, batches[2:])
    assert (again.kept_needs, again.low) == (needs, batches[2].behind)
    # Later than `low` is no place to begin with: what lies between is not settled.
    assert again.cursor(Place(SECOND, 0)).needs == again.low


def test_rows_of_context_tables_are_rejected_without_being_counted() -> None:
    """No reason has a count of 0."""
    held = progress()
    names = batch_at(FIRST, 0, table="pod_group")
    held.scan([names])
    assert held.reject(ExportLine.LIVE, [names], "http_400") == 0
    assert (held.ledger(), held.low) == (ExportLedger(), names.behind)


def test_a_settled_sink_moves_on_to_the_next_segment() -> None:
    """Nothing of the segment before it is needed any more; the same place is reached once."""
    held = progress()
    first = batch_at(FIRST, 0)
    held.scan([first])
    held.deliver(ExportLine.LIVE, [first])
    reached = Place(SECOND, 0)
    assert held.move_on(reached)
    assert (held.low, held.scanned) == (reached, reached)
    assert not held.move_on(reached)
    held.check()


def test_a_sink_with_rows_pending_moves_on_without_passing_them() -> None:
    """Only the counting goes on."""
    held = progress()
    first = batch_at(FIRST, 0)
    held.scan([first])
    assert not held.move_on(Place(SECOND, 0))
    assert (held.low, held.scanned, held.pending_rows) == (Place("", 0), Place(SECOND, 0), 10)
    held.deliver(ExportLine.LIVE, [first])
    held.check()


def test_the_live_line_moves_on_while_the_backlog_stays() -> None:
    """The last span grows up to the next segment."""
    held, _old, new = live()
    held.deliver(ExportLine.LIVE, [new])
    assert held.move_on(Place(THIRD, 0))
    assert (held.low, held.end_of_spans, held.pending_rows) == (Place("", 0), Place(THIRD, 0), 10)
    held.check()


def test_too_many_outages_during_one_backlog_wait_for_their_turn() -> None:
    """And no span begins where nothing is pending."""
    held = progress()
    assert not held.open_live()
    for number in range(SPANS_MAX):
        held.scan([batch_at(FIRST, number)])
        assert held.open_live()
    held.scan([batch_at(FIRST, SPANS_MAX)])
    assert not held.open_live()


def test_a_live_line_that_cannot_be_read_is_lost_and_passed() -> None:
    """What was counted of its segment is a loss once the line has left it; then there is nothing to pass."""
    held = progress()
    batches = [batch_at(FIRST, 0, rows=7), batch_at(SECOND, 0, rows=5)]
    held.scan(batches)
    assert held.pass_unreadable(ExportLine.LIVE)
    assert (held.low, [(loss.reason, loss.rows) for loss in held.take_losses()]) == (batches[1].behind, [("unreadable", 7)])
    assert not held.pass_unreadable(ExportLine.LIVE)
    held.check()


def test_a_live_line_that_cannot_be_read_leaves_the_backlog() -> None:
    """The rows before the span can still be delivered."""
    held, old, new = live()
    assert held.pass_unreadable(ExportLine.LIVE)
    assert (held.low, held.end_of_spans, held.take_losses()) == (Place("", 0), new.behind, [])
    held.deliver(ExportLine.BACKLOG, [old])
    assert held.ledger().delivered == 10
    held.check()


def test_a_backlog_that_cannot_be_read_is_done_with() -> None:
    """Its rows are lost, those of the live line are not."""
    held, _old, new = live()
    held.deliver(ExportLine.LIVE, [new])
    assert held.pass_unreadable(ExportLine.BACKLOG)
    assert (held.low, held.has_backlog) == (new.behind, False)
    assert [(loss.reason, loss.rows) for loss in held.take_losses()] == [("unreadable", 10)]
    assert (held.ledger().pruned, held.ledger().delivered) == (10, 10)
    held.check()


def test_statistics_have_refused_rows_as_a_sum_and_by_their_reason() -> None:
    """What is pending stands beside the account, so that it adds up."""
    assert shown(ExportLedger(30, 12, 4, {"too_old": 3, "http_400": 5}), 6) == {
        "produced": 30,
        "delivered": 12,
        "rejected": 8,
        "rejected_by_reason": {"too_old": 3, "http_400": 5},
        "pruned": 4,
        "pending": 6,
    }


@pytest.mark.parametrize("seed", range(200))
def test_the_ledger_adds_up_in_a_random_world(seed: int) -> None:
    """Whatever is produced, delivered, refused, pruned and killed in whatever order: each row is in one place of the account, no
    row is delivered twice without a kill between, and none is missing at the end."""
    world = ExportWorld(Random(seed))
    for _ in range(300):
        world.step()
        world.check()
    world.drain()
    world.check()
    assert world.progress.pending_rows == 0
    # The independent account: what there was, and where it went.
    assert world.produced_rows == world.progress.ledger().produced
    assert world.delivered_rows == world.progress.ledger().delivered
    assert world.rows_never_taken == world.progress.ledger().pruned


def test_a_sink_is_told_what_is_settled() -> None:
    """Where the backlog begins, what is there ahead of it, and how many rows are there in all."""
    found = progress()
    batches = [batch_at("0000000100000000", number) for number in range(4)]
    found.scan(batches[:3])
    found.open_live()
    found.scan(batches[3:])
    found.deliver(ExportLine.LIVE, batches[3:], rejected=4, reason="unfit")
    position = found.position()
    assert (position.low, position.ahead) == (found.low, ((batches[3].place, batches[3].behind),))
    assert position.delivered_rows == found.ledger().delivered == 6
