"""A kind of worker that overrides nothing is a whole work that does nothing."""

from agent.model.rule_state import RuleState
from agent.ports import Interest, Work
from workers.framework.work import BaseWork


def test_a_base_work_is_a_work_that_never_wakes() -> None:
    """Its type says so, and it has neither deadline nor interest."""
    work: Work = BaseWork()
    work.on_start(1)
    work.on_rules(RuleState())
    work.on_timer(1)
    work.on_readable(0, 1)
    work.on_writable(0, 1)
    work.on_answer(1, {})
    work.on_taken_over(1)
    assert (work.next_deadline_ns(), work.interests(), work.take_replies(), work.on_data(1)) == (None, (), (), False)


def test_a_base_work_answers_stats_and_refuses_the_rest() -> None:
    """With a problem that names what was asked."""
    work = BaseWork()
    assert work.on_ask("stats", 1) == {}
    assert work.on_ask("dance", 1) == {"problem": "this worker has no answer to «dance»"}


def test_a_base_work_is_done_as_soon_as_it_is_stopped() -> None:
    """Not before."""
    work = BaseWork()
    assert not work.is_done()
    work.on_stop(1, for_good=True)
    assert work.is_done()


def test_an_interest_is_in_reading_unless_it_says_otherwise() -> None:
    """As most are."""
    assert Interest(3) == Interest(3, readable=True, writable=False)
