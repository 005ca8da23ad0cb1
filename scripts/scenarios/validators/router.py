"""Does a router answer from raw rows where sketches are missing, with the truth in its intervals, and return by itself? PURE."""

from collections.abc import Iterator, Sequence

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.export_evidence import percentile
from scenarios.judgement import Judgement, above, below, missing
from scenarios.router_evidence import WINDOW_NS, AskedWindow

SHOWN = 3


def judge_truth(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """The truth by the rows that the agent stored itself is in the interval of every number."""
    router = evidence.router
    if not router.answers:
        yield missing(choice.name, choice.goal, "truth in the interval", "nothing was answered")
        return
    took = sorted(round(each.seconds * 1000) for each in router.answers)
    seen = (
        f"{router.judged} numbers of {len(router.answers)} answers, {router.unbounded} of them without a bound; {router.refused} "
        f"questions refused; p50 {percentile(took, 0.5)} and p99 {percentile(took, 0.99)} ms"
    )
    unknown = sum("'unknown': 0" not in each for each in router.untrue)
    bad = f"{unknown} of them with minutes unknown; {'; '.join(router.untrue[:SHOWN])}; {seen}" if router.untrue else ""
    yield below(choice.name, choice.goal, "numbers whose interval lacks the truth", len(router.untrue), 0.0, bad or seen, "")
    bounded, least = router.judged - router.unbounded, float(choice.limits["numbers_least"])
    yield above(choice.name, choice.goal, "numbers with a bound", bounded, least, seen)


def judge_fallback(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Windows without sketches are answered from raw rows within a window's time; all others by sketches, in the end."""
    windows, limit = evidence.router.windows, float(choice.limits["seconds"])
    without = [each for each in windows if not each.has_sketch or each.is_stopped]
    if not without:
        yield missing(choice.name, choice.goal, "fallback", f"of {len(windows)} windows none lacked its sketches")
        return
    took = [_first(each, "raw") for each in without]
    within = [each for each in took if each is not None]
    shown = ", ".join("never" if each is None else f"{each:.1f} s" for each in took)
    told = f"{len(without)} windows lacked sketches when they ended; answered from raw rows after their end: {shown}"
    yield below(choice.name, choice.goal, "windows not answered from raw rows", len(took) - len(within), 0.0, told, "")
    yield below(choice.name, choice.goal, "slowest answer from raw rows", max(within, default=float("inf")), limit, told, "s")
    # Those that ended later may still wait for their sketches.
    judged = [each for each in windows if each.start_ns + WINDOW_NS <= evidence.end_ns]
    yield from _judge_return(choice, judged, max(each.start_ns for each in without))


def _judge_return(choice: ValidatorChoice, windows: Sequence[AskedWindow], last_ns: int) -> Iterator[Judgement]:
    whole = [each for each in windows if each.has_sketch]
    back = [each for each in whole if each.ways[-1][1] == "sketch"]
    lost = [each for each in whole if each not in back]
    shown = "; ".join(f"{each.start_ns}: {each.ways[-1][1]}" for each in lost[:SHOWN])
    seen = f"{len(back)} of {len(whole)} windows with sketches were answered by them in the end"
    what = "windows with sketches that are not answered by them in the end"
    yield below(choice.name, choice.goal, what, len(lost), 0.0, shown or seen, "")
    later = [found for each in whole if each.start_ns > last_ns and (found := _first(each, "sketch")) is not None]
    told = (
        "after their end: " + ", ".join(f"{each:.1f} s" for each in later) if later else "no later window was answered by sketches"
    )
    least = float(choice.limits["windows_after"])
    yield above(choice.name, choice.goal, "later windows answered by sketches again", len(later), least, told)


def _first(window: AskedWindow, way: str) -> float | None:
    return next((seconds for seconds, found in window.ways if found == way), None)
