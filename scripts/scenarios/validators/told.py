"""Is everything told that happened: events with their ends (G-6), missing ticks with reasons; is what died back in time? PURE."""

from collections.abc import Iterator, Sequence

from scenarios.definition import ExpectedEvent, ValidatorChoice
from scenarios.evidence import Event, Evidence, GapRow
from scenarios.judgement import Judgement, above, below, missing

MIB = 1 << 20
SAMPLER = "sampler/process"
WRITER = "writer"
# What the governor announces of a worker that uses more than its limit.
GOVERNED = frozenset({"module_over_limit", "degraded", "degradation_step", "restarted_over_limit"})


def judge_events(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Each expected event began after the window did, and ended where an end is due."""
    for expected in choice.expected:
        module = f" of {expected.module}" if expected.module else ""
        found = [each for each in evidence.events if _is_meant(expected, each) and each.begin_ns >= evidence.begin_ns]
        begin, what = min((each.begin_ns for each in found), default=None), f"event {expected.kind}{module}"
        if begin is None:
            kinds = ", ".join(sorted({each.kind for each in evidence.events})) or "none"
            yield Judgement(choice.name, choice.goal, what, False, f"it was not told; told were: {kinds}")
            continue
        last = max(found, key=lambda each: each.begin_ns)
        seen = f"begun {(begin - evidence.begin_ns) / 1e9:.1f} s after the window did, {len(found)} times: {last.detail[:200]}"
        yield Judgement(choice.name, choice.goal, what, True, seen)
        if expected.ends is not None:
            has_ended = all(each.end_ns is not None for each in found)
            shown = (
                f"ended {((last.end_ns or 0) - evidence.begin_ns) / 1e9:.1f} s after the window began"
                if has_ended
                else "it has no end"
            )
            yield Judgement(choice.name, choice.goal, f"{what}, end", has_ended == expected.ends, shown)


def _is_meant(expected: ExpectedEvent, event: Event) -> bool:
    return event.kind == expected.kind and expected.module in (None, event.module)


def judge_continuity(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Ticks that the grid of time has, less those that are stored, less those for which table `gap` has a reason."""
    before, window = evidence.window
    if before is None or not window or evidence.interval_ns <= 0:
        yield missing(choice.name, choice.goal, "ticks", "no tick lies in the window")
        return
    due = _slots(evidence)
    taken = taken_slots([before.at_ns, *(tick.at_ns for tick in window)], evidence.boot_at_ns, evidence.interval_ns)
    missed = due - taken
    lost = len(missed)
    # What the writer lost after it was stored, such as a damaged record, may have been of any worker.
    gaps = [gap for gap in evidence.gaps if gap.worker in (SAMPLER, WRITER) and gap.at_ns >= evidence.begin_ns]
    explained = sum(gap.ticks or 0 for gap in gaps) + _within_holes(evidence, gaps, missed)
    reasons = ", ".join(sorted({gap.reason for gap in gaps})) or "none"
    unexplained = max(0, lost - explained)
    seen = f"{len(due)} due, {len(window)} stored, {explained} explained in table gap ({reasons})"
    yield below(
        choice.name, choice.goal, "ticks missing without a reason", unexplained, float(choice.limits["missed_most"]), seen, ""
    )
    yield below(choice.name, choice.goal, "ticks missing in all", lost, float(choice.limits["explained_most"]), seen, "")


def _slots(evidence: Evidence) -> set[int]:
    """The numbers of the ticks that are due in the window. One that is due at its very end may be read a little after it."""
    first = -(-(evidence.begin_ns - evidence.boot_at_ns) // evidence.interval_ns)
    last = int((evidence.end_ns - evidence.boot_at_ns) / evidence.interval_ns - 0.2)
    return set(range(first, last + 1))


def _within_holes(evidence: Evidence, gaps: Sequence[GapRow], missed: set[int]) -> int:
    """Missed ticks that lie in a hole of unknown size, such as a damaged record leaves, or between two runs of the agent."""
    holes = []
    for gap in gaps:
        begin, end = gap.between_ns
        if gap.ticks is None and begin is not None:
            holes.append((begin, evidence.end_ns if end is None else end))
    # An agent that is ended and started says both: what lies between is nobody's loss.
    for stop in (event.begin_ns for event in evidence.events if event.kind == "stopping"):
        # The first tick of a start is read at once and stands for the nearest number, which may be the next one.
        ready = [
            event.begin_ns + evidence.interval_ns for event in evidence.events if event.kind == "ready" and event.begin_ns > stop
        ]
        holes.append((stop, min(ready, default=evidence.end_ns)))
    times = [evidence.boot_at_ns + number * evidence.interval_ns for number in missed]
    return sum(any(begin <= at <= end for begin, end in holes) for at in times)


def taken_slots(times: Sequence[int], boot_at_ns: int, interval_ns: int) -> set[int]:
    """The numbers of ticks that were read at these times, in order: a grid of time since boot has them.

    A sampler reads at once when it begins, and that is the tick of the nearest number. So it may read twice in an interval, which
    makes up for nothing.
    """
    taken: set[int] = set()
    for at_ns in times:
        slot = (at_ns - boot_at_ns) // interval_ns
        taken.add(slot if slot not in taken else round((at_ns - boot_at_ns) / interval_ns))
    return taken


def judge_replacement(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Each part that was killed runs again within so many seconds."""
    if not evidence.replacements:
        yield missing(choice.name, choice.goal, "replacement", "nothing was killed")
    for each in evidence.replacements:
        limit = float(choice.limits["sealer_seconds" if each.part == "sealer" else "seconds"])
        if each.seconds is None:
            yield missing(choice.name, choice.goal, f"replacement of {each.part}", "it did not come back in time")
        else:
            seen = f"{1000 * each.seconds:.1f} ms from the signal until its successor is in step"
            yield below(choice.name, choice.goal, f"replacement of {each.part}", each.seconds, limit, seen, "s")


def judge_calm(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """The governor had nothing to do in the window, or no more than so often."""
    if not evidence.events:
        # Each start tells something: then nothing was read.
        yield missing(choice.name, choice.goal, "the governor", "no event at all was found")
        return
    found = [each for each in evidence.events if each.kind in GOVERNED and each.begin_ns >= evidence.begin_ns]
    shown = "; ".join(f"{each.kind} of {each.module}: {each.detail[:80]}" for each in found[:3]) or "none"
    what = "times that a worker was over its limit or did less"
    yield below(choice.name, choice.goal, what, len(found), float(choice.limits["most"]), shown, "")


def judge_counter(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """A count grew, and not beyond what is expected. A worker that was replaced begins at nothing."""
    part, name = str(choice.limits["part"]), str(choice.limits["count"])
    found = evidence.counts.get((part, name))
    if found is None:
        yield missing(choice.name, choice.goal, f"{name} of {part}", "the worker does not show such a count")
        return
    before, after = found
    grown, seen = after - before if after >= before else after, f"{before} when the window began, {after} at its end"
    yield above(choice.name, choice.goal, f"{name} of {part}, growth", grown, float(choice.limits["least"]), seen)
    yield below(choice.name, choice.goal, f"{name} of {part}, growth", grown, float(choice.limits["most"]), seen, "")


def judge_memory(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """The largest PSS of one worker."""
    part = str(choice.limits["part"])
    found = evidence.pss_by_worker.get(part)
    if not found:
        yield missing(choice.name, choice.goal, f"memory of {part}", "it was not read")
        return
    seen = f"{len(found)} readings, first {found[0] / MIB:.1f}, last {found[-1] / MIB:.1f} MiB"
    yield below(choice.name, choice.goal, f"memory of {part} (PSS)", max(found) / MIB, float(choice.limits["pss_mib"]), seen, "MiB")
