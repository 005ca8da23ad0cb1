"""Whose turn it is: one at a time, the seal first, and a long compaction comes to its end anyway."""

from itertools import product

from agent.model.timebase import S
from workers.writer.turn import GIVEN_UP_MAX, PATIENCE_NS, Step, Turns, Wishes

IDLE = {"is_sealing": False, "is_compacting": False, "is_ending": False}


def wishes(at_work: str = "", *wanted: str) -> Wishes:
    """Who is at work, and who wants to be."""
    work = {**IDLE, **({f"is_{at_work}": True} if at_work else {})}
    if at_work == "ending":
        work["is_compacting"] = True
    wants = {f"wants_{what}": what in wanted for what in ("seal", "pruning", "compaction")}
    return Wishes(**work, **wants)


def test_nobody_begins_beside_another() -> None:
    """Whatever is wanted: nothing is started while a sealer works, or while a compactor is being ended."""
    for wanted in product(("", "seal"), ("", "pruning"), ("", "compaction")):
        assert Turns().decide(wishes("sealing", *wanted), 0) is Step.WAIT
        assert Turns().decide(wishes("ending", *wanted), 0) is Step.WAIT


def test_removal_comes_before_the_seal_and_the_seal_before_compaction() -> None:
    """A round is some turns long; rows in the spool come before what is safe already."""
    assert Turns().decide(wishes("", "seal", "pruning", "compaction"), 0) is Step.PRUNE
    assert Turns().decide(wishes("", "seal", "compaction"), 0) is Step.SEAL
    assert Turns().decide(wishes("", "compaction"), 0) is Step.COMPACT
    assert Turns().decide(wishes(), 0) is Step.WAIT


def test_a_compactor_works_as_long_as_nobody_else_wants_to() -> None:
    """And is ended by a seal or a round of removal."""
    assert Turns().decide(wishes("compacting"), 0) is Step.WAIT
    assert Turns().decide(wishes("compacting", "seal"), 0) is Step.GIVE_UP
    assert Turns().decide(wishes("compacting", "pruning"), 0) is Step.GIVE_UP


def test_after_three_times_the_seal_waits_for_the_end() -> None:
    """A day that is larger than the time between two seals; the wait has an end, and then the count begins again."""
    turns = Turns()
    for _ in range(GIVEN_UP_MAX):
        assert turns.decide(wishes("compacting", "seal"), 0) is Step.GIVE_UP
    assert turns.decide(wishes("compacting", "seal"), 5 * S) is Step.WAIT
    assert turns.deadline_ns() == 5 * S + PATIENCE_NS
    assert turns.decide(wishes("compacting", "seal"), 5 * S + PATIENCE_NS - 1) is Step.WAIT
    assert turns.decide(wishes("compacting", "seal"), 5 * S + PATIENCE_NS) is Step.GIVE_UP
    assert turns.deadline_ns() is None
    assert turns.decide(wishes("compacting", "seal"), 600 * S) is Step.GIVE_UP


def test_an_end_forgets_what_was_given_up() -> None:
    """The next day has all its tries."""
    turns = Turns()
    for _ in range(GIVEN_UP_MAX):
        turns.decide(wishes("compacting", "seal"), 0)
    turns.on_compaction_ended()
    assert turns.decide(wishes("compacting", "seal"), 0) is Step.GIVE_UP
