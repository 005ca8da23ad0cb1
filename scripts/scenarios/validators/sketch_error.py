"""How far are percentiles of the sketches from exact values (G-3)? Reads buckets by itself, not by the agent's code. PURE."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence, Exact, SketchRow
from scenarios.judgement import Judgement, below, missing

PARTS = (0.5, 0.9, 0.95, 0.99, 0.999)


def merged(rows: Sequence[SketchRow]) -> tuple[int, Counter[int], int]:
    """Rows of one scale together: how many zeroes, how many in each bucket, the scale."""
    zeroes, buckets = 0, Counter[int]()
    for row in rows:
        zeroes += row.zero_count
        for offset, count in enumerate(row.counts):
            buckets[row.first_bucket + offset] += count
    return zeroes, +buckets, rows[0].scale


def quantile(rows: Sequence[SketchRow], part: float) -> float:
    """The value at this rank: the point of its bucket from which both ends are equally far, relatively."""
    zeroes, buckets, scale = merged(rows)
    rank = int(part * (zeroes + buckets.total() - 1))
    if rank < zeroes:
        return 0.0
    seen = zeroes
    for index in sorted(buckets):
        seen += buckets[index]
        if rank < seen:
            low, high = math.exp2(index / 2**scale), math.exp2((index + 1) / 2**scale)
            return 2 * low * high / (low + high)
    raise AssertionError("a rank beyond the last value")


def judge_sketch_error(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """The worst percentile of each metric, over every command whose values are known exactly."""
    by_key: dict[tuple[str | None, str | None, str], list[SketchRow]] = defaultdict(list)
    for row in evidence.sketches:
        if row.count:
            by_key[row.unit, row.command, row.metric].append(row)
    metrics = sorted({exact.metric for exact in evidence.exact})
    if not metrics:
        yield missing(choice.name, choice.goal, "error of percentiles", "nothing is known exactly")
    for metric in metrics:
        yield _worst(choice, metric, [each for each in evidence.exact if each.metric == metric], by_key)


def _worst(
    choice: ValidatorChoice,
    metric: str,
    known: Sequence[Exact],
    by_key: dict[tuple[str | None, str | None, str], list[SketchRow]],
) -> Judgement:
    worst, at, values = -1.0, "", 0
    for exact in known:
        rows = by_key.get((exact.unit, exact.command, metric))
        if not rows or len({row.scale for row in rows}) > 1:
            return missing(
                choice.name, choice.goal, f"error of percentiles, {metric}", f"no sketch of one scale for {exact.command}"
            )
        ordered = sorted(exact.values)
        values += len(ordered)
        for part in PARTS:
            true = ordered[int(part * (len(ordered) - 1))]
            error = 100 * abs(quantile(rows, part) - true) / true if true else 100.0 * (quantile(rows, part) > 0)
            if error > worst:
                worst, at = error, f"p{100 * part:g} of {exact.command}: exact {true}, sketch {quantile(rows, part):.0f}"
    if values < float(choice.limits["values_least"]):
        return missing(choice.name, choice.goal, f"error of percentiles, {metric}", f"only {values} values are known exactly")
    evidence = f"{len(known)} commands, {values} exact values ({known[0].known_by}); worst: {at}"
    return below(choice.name, choice.goal, f"error of percentiles, {metric}", worst, float(choice.limits["percent"]), evidence)


def judge_sketch_keys(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """A window names at most so many units and commands; what is beyond is one row that counts them."""
    named: Counter[tuple[int, str]] = Counter()
    further: Counter[tuple[int, str]] = Counter()
    for row in evidence.sketches:
        window = row.window_start_ns, row.metric
        if row.command is None and row.unit is None and row.keys > 1:
            further[window] += row.keys
        else:
            named[window] += 1
    if not named:
        yield missing(choice.name, choice.goal, "keys of a window", "there is no sketch")
        return
    most, others = max(named.values()), max(further.values(), default=0)
    seen = (
        f"{len(named)} windows and metrics: at most {most} keys with rows of their own, up to {others} counted in the further row"
    )
    yield below(choice.name, choice.goal, "keys of a window", most, float(choice.limits["keys"]), seen, "")
    least = float(choice.limits["further_least"])
    yield Judgement(choice.name, choice.goal, "further keys counted", others >= least, seen, others, least, "", at_least=True)
