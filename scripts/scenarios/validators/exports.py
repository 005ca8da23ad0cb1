"""What a fault of a sink costs: ticks on time, flat memory, rows lost or doubled, time until it has all again. PURE."""

from collections.abc import Iterator, Sequence

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.export_evidence import Arrival, ExportEvidence, Recovery, lateness, percentile
from scenarios.judgement import Judgement, below, missing

MIB = 1 << 20
MS, S = 1_000_000, 1_000_000_000


def judge_lateness(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """For each thing that went wrong, over all times that it did: p99 of each table beyond p99 of the calm times.

    Beside it stands, unjudged, how late a process that only sleeps was then: what the machine does by itself.
    """
    exports = evidence.exports
    if not exports.moments or not exports.troubles:
        yield missing(choice.name, choice.goal, "lateness of ticks", "nothing went wrong, or no tick is stored")
        return
    for what in dict.fromkeys(each.what for each in exports.troubles):
        times = [(each.begin_ns, each.end_ns) for each in exports.troubles if each.what == what]
        sleeper = _apart(exports.woken, exports, times)
        beside = "" if sleeper is None else f"; a process that only sleeps: {sleeper}"
        for table, moments in sorted(exports.moments.items()):
            yield _judge_table(choice, exports, (what, table), (moments, times), beside)


def _judge_table(
    choice: ValidatorChoice,
    exports: ExportEvidence,
    named: tuple[str, str],
    found: tuple[Sequence[int], Sequence[tuple[int, int]]],
    beside: str,
) -> Judgement:
    (what, table), (moments, times), least = named, found, int(choice.limits["ticks_least"])
    about = f"ticks of {table} later than in calm, {what}, p99"
    calm, late = lateness(moments, exports.interval_ns, exports.calm()), lateness(moments, exports.interval_ns, times)
    if min(len(calm), len(late)) < least:
        return missing(choice.name, choice.goal, about, f"{len(late)} ticks then, {len(calm)} calm; {least} are needed")
    usual, then = percentile(calm, 0.99), percentile(late, 0.99)
    seen = f"{_apart(moments, exports, times)}; {len(late)} ticks, {len(calm)} calm{beside}"
    return below(choice.name, choice.goal, about, (then - usual) / MS, float(choice.limits["milliseconds"]), seen, "ms")


def _apart(moments: Sequence[int], exports: ExportEvidence, times: Sequence[tuple[int, int]]) -> str | None:
    """p50 and p99 of lateness in these times and in calm, in words. *Absent:* None without any tick."""
    both = lateness(moments, exports.interval_ns, times), lateness(moments, exports.interval_ns, exports.calm())
    if not all(both):
        return None
    then, calm = (f"{percentile(each, 0.5) / MS:.2f} and {percentile(each, 0.99) / MS:.2f} ms" for each in both)
    return f"p50 and p99 {then}, in calm {calm}"


def judge_sink_memory(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """The largest reading after the first fault began, beyond the largest before it."""
    exports = evidence.exports
    if not exports.pss or not exports.troubles:
        yield missing(choice.name, choice.goal, "PSS of exporters", "none was read, or nothing went wrong")
        return
    first_ns = min(each.begin_ns for each in exports.troubles)
    for sink, readings in sorted(exports.pss.items()):
        before = [size for at, size in readings if at < first_ns]
        after = [size for at, size in readings if at >= first_ns]
        what = f"PSS of exporter {sink}, growth"
        if not before or not after:
            yield missing(choice.name, choice.goal, what, f"{len(before)} readings before the first fault, {len(after)} after")
        else:
            at_ns = next(at for at, size in readings if at >= first_ns and size == max(after))
            then = _what_was_wrong(exports, at_ns)
            seen = f"at most {max(before) / MIB:.1f} MiB before, {max(after) / MIB:.1f} MiB after ({then}), {len(after)} readings"
            yield below(
                choice.name, choice.goal, what, max(0, max(after) - max(before)) / MIB, float(choice.limits["mib"]), seen, "MiB"
            )


def _what_was_wrong(exports: ExportEvidence, at_ns: int) -> str:
    last = max((each for each in exports.troubles if each.begin_ns <= at_ns), key=lambda each: each.begin_ns)
    if at_ns <= last.end_ns:
        return last.what
    return f"{(at_ns - last.end_ns) / S:.0f} s after: {last.what}"


def judge_delivery(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Nothing is lost, nothing is doubled where a sink can tell, and the account adds up."""
    for arrival in evidence.exports.arrivals:
        yield from _judge_arrival(choice, arrival)
    if not evidence.exports.arrivals:
        yield missing(choice.name, choice.goal, "rows at the sinks", "there is no sink")


def _judge_arrival(choice: ValidatorChoice, arrival: Arrival) -> Iterator[Judgement]:
    seen = f"{arrival.stored} ticks stored, {arrival.refused} refused by its answers, {arrival.doubled} there more than once"
    if not arrival.stored:
        yield missing(choice.name, choice.goal, f"ticks lost at {arrival.sink}", "nothing is stored here")
        return
    yield below(choice.name, choice.goal, f"ticks lost at {arrival.sink}", arrival.lost, 0.0, seen, "")
    if arrival.repeats_most:
        told = f"{seen}; it cannot tell a repeated delivery, so each break may cost one"
        what = f"deliveries repeated at {arrival.sink}"
        yield below(choice.name, choice.goal, what, arrival.repeated, arrival.repeats_most, told, "")
    else:
        yield below(choice.name, choice.goal, f"ticks doubled at {arrival.sink}", arrival.doubled, 0.0, seen, "")
    ledger = arrival.ledger
    if ledger is None:
        return
    what = f"account of {arrival.sink}: rows without a place"
    if not ledger:
        yield missing(choice.name, choice.goal, what, "the exporter did not answer")
        return
    parts = {name: ledger[name] for name in ("delivered", "rejected", "pruned", "pending")}
    told = f"produced {ledger['produced']}; " + ", ".join(f"{name} {count}" for name, count in parts.items())
    yield below(choice.name, choice.goal, what, abs(ledger["produced"] - sum(parts.values())), 0.0, told, "")


def judge_recovery(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """The slowest of each sink and fault; our own goal stands beside the limit."""
    limit, goal = float(choice.limits["seconds"]), float(choice.limits["goal_seconds"])
    for (sink, what), found in sorted(_by_sink(evidence.exports).items()):
        about = f"first new delivery to {sink}, {what}"
        took = [each.first_seconds for each in found if each.first_seconds is not None]
        if len(took) < len(found):
            yield missing(choice.name, choice.goal, about, "none came in time")
        else:
            own = "within" if max(took) <= goal else "NOT within"
            shown = ", ".join(f"{each:.2f}" for each in took)
            seen = f"{len(took)} times: {shown} s after it could be reached; {own} our own {goal:g} s"
            yield below(choice.name, choice.goal, about, max(took), limit, seen, "s")
    if not evidence.exports.recoveries:
        yield missing(choice.name, choice.goal, "first new delivery", "nothing was away")


def judge_catch_up(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """New rows, and all that were missed."""
    for (sink, what), found in sorted(_by_sink(evidence.exports).items()):
        for word, limit, times in (
            ("new rows", "live_seconds", [each.live_seconds for each in found]),
            ("all missed rows", "backlog_seconds", [each.backlog_seconds for each in found]),
        ):
            about, took = f"{word} at {sink}, {what}", [each for each in times if each is not None]
            if len(took) < len(times):
                yield missing(choice.name, choice.goal, about, "they did not come in time")
            else:
                seen = f"{', '.join(f'{each:.2f}' for each in took)} s after it could be reached"
                yield below(choice.name, choice.goal, about, max(took), float(choice.limits[limit]), seen, "s")
    if not evidence.exports.recoveries:
        yield missing(choice.name, choice.goal, "catching up", "nothing was away")


def _by_sink(exports: ExportEvidence) -> dict[tuple[str, str], list[Recovery]]:
    found: dict[tuple[str, str], list[Recovery]] = {}
    for each in exports.recoveries:
        found.setdefault((each.sink, each.what), []).append(each)
    return found
