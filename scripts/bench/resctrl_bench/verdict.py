"""What was stored in the part `bad` against what is known to have been good and bad."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resctrl_bench.agent import Row
from resctrl_bench.rates import Declared

EVENTS = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
RATES = {"mbm_total_bytes": "mbm_total_bytes_per_second", "mbm_local_bytes": "mbm_local_bytes_per_second"}
VALUES = {"llc_occupancy": "llc_occupancy_bytes", "mbm_total_bytes": "mbm_total_bytes", "mbm_local_bytes": "mbm_local_bytes"}
# What rates may be off anyhow.
TOLERANCE_PERCENT = 0.5
KEPT_EXAMPLES = 20

Key = tuple[str, int, str]
"""Path of a group below the mount point, domain, event."""


@dataclass(slots=True)
class Draw:
    """What is bad from one change to the next. `from_ns` 0: not known when it began. `unread`: groups whose first reading of
    each counter is `Unavailable` for every group. `is_shortened`: counters became narrower, so all start again."""

    mount: str
    from_ns: int
    changed_at_ns: int
    until_ns: int = 0
    bad: dict[Key, str] = field(default_factory=dict)
    away: set[int] = field(default_factory=set)
    returning: set[int] = field(default_factory=set)
    reset: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    is_shortened: bool = False


@dataclass(slots=True)
class Verdict:
    """Counts over all ticks that can be judged."""

    ticks: int = 0
    ticks_away: int = 0
    good: int = 0
    good_kept: int = 0
    bad: int = 0
    bad_with_reason: int = 0
    bad_with_number: int = 0
    rates: int = 0
    rates_without_reason: int = 0
    wrong_sums: int = 0
    wraps: int = 0
    tolerance_percent: float = TOLERANCE_PERCENT
    impossible: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def judge(draws: Sequence[Draw], domains: Sequence[Row], pods: Sequence[Row], declared: Mapping[str, Declared]) -> Verdict:
    """Judge every tick that lies wholly between two changes, and every rate at all."""
    verdict = Verdict()
    by_tick: dict[int, list[Row]] = {}
    for row in domains:
        by_tick.setdefault(row["start_timestamp"], []).append(row)
    pods_by_tick: dict[int, list[Row]] = {}
    for row in pods:
        pods_by_tick.setdefault(row["start_timestamp"], []).append(row)
    for start_ns, rows in sorted(by_tick.items()):
        end_ns = max(row["timestamp"] for row in rows)
        draw = next((each for each in draws if each.from_ns and each.from_ns <= start_ns and end_ns <= each.until_ns), None)
        if draw is not None:
            verdict.ticks += 1
            verdict.ticks_away += bool(draw.away)
            _judge_tick(verdict, draw, {(row["resctrl_group"], row["domain"]): row for row in rows}, declared)
            _judge_sums(verdict, rows, pods_by_tick.get(start_ns, []))
        for row in rows:
            _judge_rates(verdict, row, declared[row["resctrl_group"]])
    verdict.wraps = _wraps(domains, draws)
    return verdict


def _judge_tick(verdict: Verdict, draw: Draw, rows: Mapping[tuple[str, int], Row], declared: Mapping[str, Declared]) -> None:
    for group in declared:
        path = group.removeprefix(f"{draw.mount}/")
        for domain in (0, 1):
            if domain in draw.returning:
                continue
            row = rows.get((group, domain))
            if domain in draw.away:
                verdict.bad_with_number += row is not None and any(row[column] is not None for column in VALUES.values())
                continue
            for event in EVENTS:
                if path in draw.unread and event != EVENTS[0]:
                    continue
                _judge_value(verdict, row, (path, domain, event), draw.bad.get((path, domain, event)))


def _judge_value(verdict: Verdict, row: Row | None, key: Key, reason: str | None) -> None:
    event = key[2]
    value = None if row is None else row[VALUES[event]]
    if reason is None:
        verdict.good += 1
        verdict.good_kept += value is not None
        if value is None and len(verdict.lost) < KEPT_EXAMPLES:
            verdict.lost.append(f"{key}: {row and row['absent']}")
        return
    verdict.bad += 1
    verdict.bad_with_number += value is not None
    told = f"{event.removesuffix('_bytes')}:{reason}" in _reasons(row)
    verdict.bad_with_reason += told
    verdict.reasons[reason] += 1
    if not told and len(verdict.lost) < KEPT_EXAMPLES:
        verdict.lost.append(f"{key}: {reason} wanted, {row and row['absent']} stored")


def _judge_sums(verdict: Verdict, domains: Sequence[Row], pods: Sequence[Row]) -> None:
    for pod in pods:
        own = [row for row in domains if row["resctrl_group"] == pod["resctrl_group"]]
        for column in VALUES.values():
            values = [row[column] for row in own if row[column] is not None]
            verdict.wrong_sums += pod[column] != (sum(values) if values else None)


def _judge_rates(verdict: Verdict, row: Row, declared: Declared) -> None:
    for event, column in RATES.items():
        rate = row[column]
        name = event.removesuffix("_bytes")
        if rate is None:
            verdict.rates_without_reason += not any(word.startswith((f"{name}:", f"{name}_rate:")) for word in _reasons(row))
            continue
        verdict.rates += 1
        most = declared.rate(column, row["domain"]) * (1 + TOLERANCE_PERCENT / 100)
        if not 0 <= rate <= most and len(verdict.impossible) < KEPT_EXAMPLES:
            verdict.impossible.append(
                f"{row['resctrl_group']} domain {row['domain']}: {rate:.0f} of {most:.0f} at {row['timestamp']}"
            )


def _wraps(domains: Sequence[Row], draws: Sequence[Draw]) -> int:
    """How often a counter is smaller than before and its rate is there anyway."""
    since_ns = max((draw.changed_at_ns for draw in draws if draw.is_shortened), default=0)
    before: dict[tuple[str, int], int] = {}
    count = 0
    for row in sorted(domains, key=lambda row: row["timestamp"]):
        value = row["mbm_total_bytes"]
        if value is None or not since_ns or row["timestamp"] < since_ns:
            continue
        key = (row["resctrl_group"], row["domain"])
        count += value < before.get(key, 0) and row["mbm_total_bytes_per_second"] is not None
        before[key] = value
    return count


def _reasons(row: Row | None) -> set[str]:
    return set(((row and row["absent"]) or "").split(","))
