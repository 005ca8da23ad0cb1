"""What a run gathered about its sinks: what went wrong and when, how soon they were back, what arrived, memory of exporters. PURE.

Times are unix time in ns, durations in seconds, memory in bytes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

MS = 1_000_000
# A row may be so long on its way when a sink begins to refuse, and when it ends that.
REFUSED_BEFORE_MS, REFUSED_AFTER_MS = 3_000, 1_000
# A tick: its time in ms, and a figure that must be the same here and there.
Counted = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that was wrong with some sinks, from a time to another; at `settled_ns` all of them had caught up.

    `is_final`: what they answered meanwhile is refused for good. *Absent:* `settled_ns` None: they did not catch up in time.
    """

    what: str
    sinks: tuple[str, ...]
    begin_ns: int
    end_ns: int
    settled_ns: int | None
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long after a sink could be reached again it acknowledged something, had a new row, and had all that it missed.

    *Absent:* None: not in time.
    """

    what: str
    sink: str
    first_seconds: float | None
    live_seconds: float | None
    backlog_seconds: float | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a sink has of the ticks that are stored here: `refused` by its own words, `lost`, there more than once (`doubled`).

    `repeated`: deliveries with ticks that were there already, of which each break may cost one where `repeats_most` is not 0.
    `ledger` is the exporter's own account. *Absent:* it is empty where the exporter did not answer; None where there is none.
    """

    sink: str
    kind: str
    stored: int
    refused: int
    lost: int
    doubled: int
    repeated: int
    repeats_most: int
    ledger: Mapping[str, int] | None


@dataclass(slots=True)
class ExportEvidence:
    """Of one run. `moments`: when samplers took their ticks, by table; `pss`: readings of each exporter, with their times; `woken`:
    when a process that only sleeps woke at the same intervals."""

    begin_ns: int = 0
    end_ns: int = 0
    interval_ns: int = 1
    troubles: Sequence[Trouble] = ()
    recoveries: Sequence[Recovery] = ()
    arrivals: Sequence[Arrival] = ()
    moments: Mapping[str, Sequence[int]] = field(default_factory=dict)
    pss: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    woken: Sequence[int] = ()

    def calm(self) -> list[tuple[int, int]]:
        """The times in which nothing was wrong with any sink, and all of them had caught up."""
        found, since = [], self.begin_ns
        for each in sorted(self.troubles, key=lambda each: each.begin_ns):
            if each.begin_ns > since:
                found.append((since, each.begin_ns))
            since = max(since, self.end_ns if each.settled_ns is None else each.settled_ns)
        if self.end_ns > since:
            found.append((since, self.end_ns))
        return found


def lateness(moments: Sequence[int], interval_ns: int, times: Sequence[tuple[int, int]]) -> list[int]:
    """How far two ticks in a row are from a whole number of intervals apart, in ns, for those that lie in one of these times."""
    found = []
    for before, after in pairwise(moments):
        if any(begin <= before and after <= end for begin, end in times):
            apart = after - before
            found.append(abs(apart - max(1, round(apart / interval_ns)) * interval_ns))
    return found


def percentile(values: Sequence[int], part: float) -> int:
    """The least value that so large a part of all does not exceed. There must be one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def arrival(
    sink: str,
    kind: str,
    ticks: tuple[Sequence[Counted], Sequence[Sequence[Counted]]],
    troubles: Sequence[Trouble],
    *,
    repeats: int,
    ledger: Mapping[str, int] | None,
) -> Arrival:
    """Compare ticks that are stored here with those in each delivery there. `repeats`: how many deliveries a break may repeat."""
    stored, deliveries = ticks
    own = [each for each in troubles if sink in each.sinks]
    there: Counter[Counted] = Counter()
    repeated = 0
    for delivery in deliveries:
        repeated += any(tick in there for tick in delivery)
        there.update(delivery)
    missed = [tick[0] for tick in stored if tick not in there]
    refused = sum(any(_is_refusal(each, at_ms) for each in own) for at_ms in missed)
    doubled = sum(times - 1 for times in there.values())
    return Arrival(sink, kind, len(stored), refused, len(missed) - refused, doubled, repeated, repeats * len(own), ledger)


def _is_refusal(trouble: Trouble, at_ms: int) -> bool:
    return trouble.is_final and trouble.begin_ns // MS - REFUSED_BEFORE_MS <= at_ms <= trouble.end_ns // MS + REFUSED_AFTER_MS
