"""The condition that named processes hold too little: it begins and ends once."""

from workers.process.capture import BEGIN_TICKS, END_TICKS, CaptureWatch
from workers.process.choice import MetricChoice, ProcessChoice
from workers.process.exits.deaths import Deaths
from workers.process.top_n import Limits

GOOD = MetricChoice(10, 96, 100, is_short=False)
SHORT = MetricChoice(100, 41, 100, is_short=True)


def _choice(cpu: MetricChoice = GOOD, rss: MetricChoice = GOOD) -> ProcessChoice:
    return ProcessChoice({}, cpu, rss, GOOD)


def _told(watch: CaptureWatch, choice: ProcessChoice, ticks: int, deaths: Deaths | None = None) -> str:
    sentence = ""
    for _ in range(ticks):
        sentence = watch.sentence(choice, deaths or Deaths())
    return sentence


def test_a_moment_below_the_target_is_no_condition() -> None:
    """A lasting one is, with the metric, the ratio and the setting."""
    watch = CaptureWatch(Limits(950, 5, 100))
    assert _told(watch, _choice(rss=SHORT), BEGIN_TICKS - 1) == ""
    assert _told(watch, _choice(), 1) == ""
    assert _told(watch, _choice(rss=SHORT), BEGIN_TICKS) == (
        "named processes hold less than 95 %: 41.0 % of memory (the limit is sampler.process.top_rows = 100, "
        "the rest is in process_tail)"
    )


def test_it_stays_the_same_sentence_until_the_target_has_held_for_a_while() -> None:
    """A ratio that changes is no news, and neither is a moment above the target."""
    watch = CaptureWatch(Limits(950, 5, 100))
    begun = _told(watch, _choice(cpu=SHORT), BEGIN_TICKS)
    assert _told(watch, _choice(cpu=MetricChoice(100, 60, 100, is_short=True)), 3) == begun
    assert _told(watch, _choice(), END_TICKS - 1) == begun
    assert _told(watch, _choice(cpu=SHORT), 1) == begun
    assert _told(watch, _choice(), END_TICKS) == ""


def test_the_dead_are_named_where_they_are_the_reason() -> None:
    """More rows would not help."""
    watch = CaptureWatch(Limits(950, 5, 100))
    told = _told(watch, _choice(cpu=SHORT), BEGIN_TICKS, Deaths(cpu_ns=58))
    assert told == "named processes hold less than 95 %: 41.0 % of CPU (58 % is of processes that ended, see process_exit)"


def test_two_metrics_are_one_sentence() -> None:
    """One condition says all."""
    watch = CaptureWatch(Limits(950, 5, 100))
    assert _told(watch, _choice(cpu=SHORT, rss=SHORT), BEGIN_TICKS).count("41.0 % of") == 2


def test_other_limits_are_told_from_then_on() -> None:
    """The share and the number that hold now."""
    watch = CaptureWatch(Limits(950, 5, 100))
    watch.set_limits(Limits(900, 5, 25))
    told = _told(watch, _choice(rss=SHORT), BEGIN_TICKS)
    assert told.startswith("named processes hold less than 90 %: ")
    assert "sampler.process.top_rows = 25" in told
