"""What the writer decides: nothing acknowledged is lost, nothing is stored twice, and the account balances."""

import pytest
from fakes.foreign_node import HUB, ForeignNode
from msgspec.structs import replace

from agent.model.errors import ProtocolError
from agent.model.message import Batch, Bye, Identity, Lost
from agent.store.record import Mark
from workers.writer.core import IGNORED_MAX, SENDERS_MAX, SILENT_EPOCHS_MAX, Accept, Duplicate, Resend, WriterCore
from workers.writer.gap import Gap, Reason

WHO = Identity("run-1", "process", 1)
NEXT = Identity("run-1", "process", 2)


def batch(seq: int, *lost: Lost) -> Batch:
    """A batch stamped ten times its number."""
    return Batch(seq, "sample", 1, 10 * seq, 4, lost)


def core_with(seq: int, *, ended: bool = False, run: str = "run-1") -> WriterCore:
    """A core that has this much of epoch 1."""
    return WriterCore("run-1", [Mark(run, "process", 1, seq, 10 * seq, ended)])


def accepted(verdict: object) -> Accept:
    """The verdict, which must be to accept."""
    assert isinstance(verdict, Accept)
    return verdict


def brief(gaps: tuple[Gap, ...]) -> list[tuple[int | None, int | None, int | None, str]]:
    """What the gaps say: numbers, rows, reason."""
    return [(gap.first_seq, gap.last_seq, gap.rows, gap.reason) for gap in gaps]


def test_next_batch_is_accepted_and_counts_after_commit() -> None:
    """A batch changes what the writer has only once its append succeeded."""
    core = core_with(4)
    assert accepted(core.on_batch(WHO, batch(5))).mark == Mark("run-1", "process", 1, 5, 50, False)
    assert core.have(WHO) == 4
    core.commit()
    assert core.have(WHO) == 5


def test_failed_append_is_undone() -> None:
    """After a rollback the same batches are new again."""
    core = core_with(4)
    core.on_batch(WHO, batch(5))
    core.on_batch(WHO, batch(6))
    core.rollback()
    assert accepted(core.on_batch(WHO, batch(5))).gaps == ()


def test_batches_of_one_drain_follow_each_other() -> None:
    """What is decided but not yet committed counts for the next decision."""
    core = core_with(4)
    core.on_batch(WHO, batch(5))
    assert accepted(core.on_batch(WHO, batch(6))).gaps == ()
    assert core.on_batch(WHO, batch(5)) == Duplicate(who=WHO, ack_seq=6, late=False)


def test_duplicate_is_acknowledged_again() -> None:
    """A batch that is stored is not stored again, and its sender learns what the writer has."""
    assert core_with(4).on_batch(WHO, batch(3)) == Duplicate(who=WHO, ack_seq=4, late=False)


def test_lost_ranges_become_gaps_once() -> None:
    """A range that several batches carry is accounted for with the first of them, with the stamps around it."""
    core, lost = core_with(4), Lost(5, 6, 30, "buffer_full")
    gap = Gap(WHO, 5, 6, 30, None, 40, 70, "buffer_full")
    assert accepted(core.on_batch(WHO, batch(7, lost))).gaps == (gap,)
    assert accepted(core.on_batch(WHO, batch(8, lost))).gaps == ()


def test_range_that_is_partly_known_has_unknown_rows() -> None:
    """Of a range that overlaps what is stored only the rest is a gap."""
    assert brief(accepted(core_with(4).on_batch(WHO, batch(7, Lost(3, 6, 30, "buffer_full")))).gaps) == [
        (5, 6, None, "buffer_full")
    ]


def test_hole_is_fetched_again_first() -> None:
    """A skipped number is no loss before its sender was asked; what is on its way meanwhile is left unacknowledged."""
    core = core_with(4)
    assert core.on_batch(WHO, batch(7)) == Resend(who=WHO, have_seq=4, ask=True)
    assert core.on_batch(WHO, batch(8)) == Resend(who=WHO, have_seq=4, ask=False)
    assert [accepted(core.on_batch(WHO, batch(seq))).gaps for seq in (5, 6, 7, 8)] == [()] * 4


def test_hole_in_what_is_sent_again_is_a_gap() -> None:
    """When the sender begins again behind the hole, it is a loss."""
    core = core_with(4)
    core.on_batch(WHO, batch(7))
    assert brief(accepted(core.on_batch(WHO, batch(7))).gaps) == [(5, 6, None, Reason.SEQUENCE_HOLE)]


def test_hole_beside_a_lost_range() -> None:
    """What no range explains is a hole of its own, before, between and behind the ranges."""
    core, lost = core_with(4), (Lost(8, 8, 2, "buffer_full"), Lost(6, 6, 1, "buffer_full"))
    core.on_batch(WHO, batch(10, *lost))
    assert brief(accepted(core.on_batch(WHO, batch(10, *lost))).gaps) == [
        (5, 5, None, Reason.SEQUENCE_HOLE),
        (6, 6, 1, "buffer_full"),
        (7, 7, None, Reason.SEQUENCE_HOLE),
        (8, 8, 2, "buffer_full"),
        (9, 9, None, Reason.SEQUENCE_HOLE),
    ]


def test_new_connection_asks_anew() -> None:
    """What is sent again may be cut off itself: on the next connection nothing is taken for a loss."""
    core = core_with(4)
    core.on_batch(WHO, batch(9))
    core.on_connect(NEXT)
    core.on_connect(WHO)
    assert core.on_batch(WHO, batch(7)) == Resend(who=WHO, have_seq=4, ask=True)


def test_sender_that_never_sends_again_is_believed_in_the_end() -> None:
    """A sender deaf to the order does not hold its batches up for ever."""
    core = core_with(4)
    verdicts = [core.on_batch(WHO, batch(7 + count)) for count in range(IGNORED_MAX + 1)]
    assert all(isinstance(verdict, Resend) for verdict in verdicts)
    assert brief(accepted(core.on_batch(WHO, batch(7 + IGNORED_MAX + 1))).gaps) == [
        (5, 7 + IGNORED_MAX, None, Reason.SEQUENCE_HOLE)
    ]


def test_bye_ends_a_sender() -> None:
    """After its Bye a sender's successor begins without a gap."""
    core = core_with(4)
    assert accepted(core.on_bye(WHO, Bye(5))).mark.ended
    assert core.on_bye(WHO, Bye(5)) == Duplicate(who=WHO, ack_seq=5, late=False)
    assert accepted(core.on_batch(NEXT, batch(1))).gaps == ()


def test_bye_accounts_for_the_last_losses() -> None:
    """Ranges that no batch could carry any more come with the Bye."""
    verdict = accepted(core_with(4).on_bye(WHO, Bye(7, (Lost(5, 6, 9, "buffer_full"),))))
    assert (brief(verdict.gaps), verdict.mark.seq) == ([(5, 6, 9, "buffer_full")], 7)


def test_bye_behind_a_hole_waits_for_what_is_sent_again() -> None:
    """A Bye that overtakes nothing is still behind its last batch: it does not turn the hole into a loss."""
    core = core_with(4)
    assert core.on_batch(WHO, batch(6)) == Resend(who=WHO, have_seq=4, ask=True)
    assert core.on_bye(WHO, Bye(7)) == Resend(who=WHO, have_seq=4, ask=False)
    for seq in (5, 6):
        assert accepted(core.on_batch(WHO, batch(seq))).gaps == ()
    assert accepted(core.on_bye(WHO, Bye(7))).gaps == ()


def test_death_is_a_gap_of_the_former_epoch() -> None:
    """A successor whose former epoch said no Bye brings the gap from its last number to an unknown end."""
    gap = Gap(WHO, 5, None, None, None, 40, 10, Reason.WORKER_DIED)
    assert accepted(core_with(4).on_batch(NEXT, batch(1))).gaps == (gap,)


def test_epochs_that_never_spoke_are_gaps_too() -> None:
    """A worker that died before anything of it arrived is a loss of unknown size; of a crash loop the last ones are told."""
    verdict = accepted(core_with(4, ended=True).on_batch(Identity("run-1", "process", 4), batch(1)))
    assert [(gap.who.epoch, gap.first_seq, gap.reason) for gap in verdict.gaps] == [(2, 1, "worker_died"), (3, 1, "worker_died")]
    verdict = accepted(WriterCore("run-1").on_batch(Identity("run-1", "process", 1000), batch(1)))
    assert [gap.who.epoch for gap in verdict.gaps] == list(range(1000 - SILENT_EPOCHS_MAX, 1000))


def test_late_frames_are_refused_and_acknowledged() -> None:
    """What comes of an epoch whose death is written is not stored: its gap row covers it."""
    core = core_with(4)
    core.on_batch(NEXT, batch(1))
    assert core.on_batch(WHO, batch(5)) == Duplicate(who=WHO, ack_seq=5, late=True)
    assert core.on_bye(WHO, Bye(5)) == Duplicate(who=WHO, ack_seq=5, late=True)


def test_former_run_gives_way_to_the_present_one() -> None:
    """A survivor of another run is late once the present run has spoken; it does not take turns with it."""
    core, old = core_with(4, run="run-0"), Identity("run-0", "process", 1)
    assert accepted(core.on_batch(old, batch(5))).gaps == ()
    assert brief(accepted(core.on_batch(WHO, batch(1))).gaps) == [(6, None, None, Reason.WORKER_DIED)]
    assert core.on_batch(old, batch(6)) == Duplicate(who=old, ack_seq=6, late=True)


def test_refused_batch_is_accounted_for() -> None:
    """A batch for an unknown table is a gap row with its rows, and is acknowledged."""
    verdict = accepted(core_with(4).on_batch(WHO, batch(5), refusal=Reason.UNKNOWN_TABLE))
    assert (verdict.stored, verdict.mark.seq, verdict.mark.stamp_wall_ns) == (False, 5, 40)
    assert verdict.gaps == (Gap(WHO, 5, 5, 4, "sample", 40, 50, Reason.UNKNOWN_TABLE),)


def test_rows_that_their_sender_left_out_are_a_gap_beside_the_batch() -> None:
    """The batch is stored; the row says how many of it are not, and no other batch is missing."""
    verdict = accepted(core_with(4).on_batch(WHO, Batch(5, "sample", 1, 50, 4, bad_rows=3)))
    assert (verdict.stored, verdict.gaps) == (True, (Gap(WHO, 5, 5, 3, "sample", 50, 50, Reason.BAD_ROW),))


@pytest.mark.parametrize(
    "wrong",
    [
        Batch(0, "sample", 1, 0, 1),
        Batch(5, "sample", 1, 0, -1),
        batch(5, Lost(0, 1, 1, "")),
        batch(5, Lost(3, 2, 1, "")),
        batch(5, Lost(4, 5, 1, "")),
        batch(5, Lost(4, 4, -1, "")),
        Bye(0),
        Bye(5, (Lost(6, 6, 1, ""),)),
    ],
)
def test_numbers_that_nobody_counts_are_refused(wrong: Batch | Bye) -> None:
    """A message whose numbers contradict themselves changes nothing."""
    core = core_with(4)
    with pytest.raises(ProtocolError):
        core.on_batch(WHO, wrong) if isinstance(wrong, Batch) else core.on_bye(WHO, wrong)
    core.commit()
    assert core.have(WHO) == 4


def test_flood_of_names_ends() -> None:
    """Senders are bounded; those that are known go on."""
    core = WriterCore("run-1")
    for number in range(SENDERS_MAX):
        core.on_batch(Identity("run-1", f"w{number}", 1), batch(1))
    with pytest.raises(ProtocolError):
        core.on_batch(Identity("run-1", "one more", 1), batch(1))
    assert isinstance(core.on_batch(Identity("run-1", "w0", 1), batch(2)), Accept)


def test_a_batch_of_another_host_is_new_once_under_whatever_number() -> None:
    """The second time its number alone is accounted for; a refused one is a loss, of which the hub's number is told."""
    core, node = WriterCore("run-1"), ForeignNode(1)
    origin = node.measure(50).origin
    first = accepted(core.on_batch(HUB, replace(batch(1), origin=origin)))
    assert (first.stored, first.is_known, first.mark) == (True, False, Mark("run-1", "hub", 1, 1, None, False, hands_on=True))
    again = accepted(core.on_batch(HUB, replace(batch(2), origin=origin)))
    assert (again.stored, again.is_known, again.mark.seq) == (True, True, 2)
    refused = accepted(core.on_batch(HUB, replace(batch(3), origin=node.measure(60).origin), refusal=Reason.FOREIGN_TABLE))
    assert (refused.stored, brief(refused.gaps)) == (False, [(3, 3, 4, Reason.FOREIGN_TABLE)])
    hostile = (
        accepted(core.on_batch(HUB, replace(batch(4), origin=origin, table="\x1b" * 500), refusal=Reason.FOREIGN_TABLE))
        .gaps[0]
        .table
    )
    assert hostile is not None
    assert (len(hostile), hostile.isprintable()) == (64, True)
    core.rollback()
    assert not accepted(core.on_batch(HUB, replace(batch(1), origin=origin))).is_known


def test_the_death_of_a_hub_is_no_loss() -> None:
    """The nodes keep what was on its way; so a new start of it has no row of table gap, also if it says nothing but its Bye."""
    later = replace(HUB, epoch=3)
    core = WriterCore("run-1", [Mark("run-1", "hub", 1, 5, None, False, hands_on=True)])
    assert accepted(core.on_batch(later, replace(batch(1), origin=ForeignNode(1).measure(50).origin))).gaps == ()
    core = WriterCore("run-1", [Mark("run-1", "hub", 1, 5, None, False, hands_on=True)])
    assert accepted(core.on_bye(later, Bye(1))).gaps == ()


def test_marks_are_in_the_order_of_names() -> None:
    """One mark per name, the latest."""
    core = WriterCore("run-1")
    for who in (Identity("run-1", "b", 1), Identity("run-1", "a", 1), Identity("run-1", "b", 2)):
        core.on_batch(who, batch(1))
    core.commit()
    assert [(mark.worker, mark.epoch) for mark in core.marks()] == [("a", 1), ("b", 2)]
