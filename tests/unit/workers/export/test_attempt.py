"""When a delivery is tried again, and what the state of a sink is."""

from random import Random
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.timebase import DAY, HOUR, S
from workers.export.attempt import AFTER_MOST_NS, FIRST_NS, PAUSED_NS, Attempts, ExportState
from workers.export.sink import Delivered, Later, Paused, Refused, TooLarge, Verdict

MOST_NS = 3 * S


def attempts(seed: int = 1, most_ns: int = MOST_NS) -> Attempts:
    """One that has not been asked."""
    return Attempts(Random(seed), most_ns)


def waits(after: Verdict, tries: int, seed: int = 1) -> list[int]:
    """How long each next attempt waits, in ns, when all of them end so."""
    held = attempts(seed)
    found, now_ns = [], 0
    for _ in range(tries):
        held.on_verdict(after, now_ns)
        found.append(held.not_before_ns - now_ns)
        now_ns = held.not_before_ns
    return found


def test_a_new_sink_is_asked_at_once() -> None:
    """It is neither up nor down."""
    held = attempts()
    assert (held.state, held.is_up, held.not_before_ns, held.sentence) == (ExportState.STARTING, False, 0, "")


@pytest.mark.parametrize("verdict", [Delivered(), Refused("http_400", "no"), TooLarge("413")])
def test_a_sink_that_answers_is_up(verdict: Verdict) -> None:
    """Also one that refuses in words; the next delivery goes at once, and failures are forgotten."""
    held = attempts()
    held.on_verdict(Later("away"), 0)
    assert held.on_verdict(verdict, 5 * S)
    assert (held.state, held.is_up, held.failures, held.not_before_ns, held.sentence) == (ExportState.UP, True, 0, 5 * S, "")
    assert not held.on_verdict(Delivered(), 6 * S)


def test_a_change_is_told_once() -> None:
    """However often it fails for whatever reason."""
    held = attempts()
    told = [held.on_verdict(each, 0) for each in (Later("a"), Later("b"), Paused("c"), Paused("d"), Later("e"), Delivered())]
    assert told == [True, False, True, False, True, True]


def test_the_last_sentence_is_shown() -> None:
    """A sink may fail for another reason than at first."""
    held = attempts()
    held.on_verdict(Later("no route"), 0)
    held.on_verdict(Later("refused"), 0)
    assert held.sentence == "refused"


def test_full_jitter_spreads_from_nothing_to_the_bound() -> None:
    """Ten thousand nodes come back evenly over the whole span: its mean is half of it."""
    longest = [waits(Later("away"), 12, seed)[-1] for seed in range(3000)]
    assert 0 <= min(longest) < MOST_NS // 100
    assert MOST_NS - MOST_NS // 100 < max(longest) <= MOST_NS
    assert mean(longest) == pytest.approx(MOST_NS / 2, rel=0.05)


def test_the_span_doubles_up_to_its_bound() -> None:
    """The first attempts follow soon."""
    means = [mean(waits(Later("away"), 6, seed)[number] for seed in range(2000)) for number in range(6)]
    spans = [min(MOST_NS, FIRST_NS << number) for number in range(1, 7)]
    assert means == [pytest.approx(span / 2, rel=0.07) for span in spans]


def test_a_sink_that_names_a_time_is_not_asked_before() -> None:
    """Nor all at that very moment; and an hour is the most that it may ask for."""
    assert all(30 * S <= wait <= 30 * S + MOST_NS for wait in waits(Later("busy", 30 * S), 50))
    assert all(AFTER_MOST_NS <= wait <= 1 * HOUR + MOST_NS for wait in waits(Later("busy", 365 * DAY), 50))
    assert all(0 <= wait <= MOST_NS for wait in waits(Later("busy", -5 * S), 50))


def test_a_paused_sink_is_asked_every_15_to_30_seconds() -> None:
    """A person has to act, and may do so at any moment."""
    found = waits(Paused("401"), 500)
    assert PAUSED_NS // 2 <= min(found) < max(found) <= PAUSED_NS
    assert mean(found) == pytest.approx(PAUSED_NS * 3 / 4, rel=0.05)


def test_a_million_failures_are_no_overflow() -> None:
    """The span stays what it is."""
    held = attempts()
    held.failures = 1_000_000
    held.on_verdict(Later("away"), 0)
    assert 0 <= held.not_before_ns <= MOST_NS


@given(
    seed=st.integers(0, 1 << 30),
    verdicts=st.lists(
        st.one_of(
            st.just(Delivered()),
            st.just(Paused("no")),
            st.builds(Later, st.just("away"), st.none() | st.integers(-DAY, DAY * 400)),
        ),
        max_size=30,
    ),
)
def test_no_answer_makes_it_wait_longer_than_its_bounds(seed: int, verdicts: list[Verdict]) -> None:
    """Nor lets it try before now."""
    held = attempts(seed)
    now_ns = 1 * S
    for verdict in verdicts:
        held.on_verdict(verdict, now_ns)
        assert now_ns <= held.not_before_ns <= now_ns + AFTER_MOST_NS + max(MOST_NS, PAUSED_NS)
        assert held.is_up == isinstance(verdict, Delivered)
        now_ns = held.not_before_ns
