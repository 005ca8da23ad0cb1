"""The rows of `process_tail`: what the rows of `process` leave of each unit and command. PURE.

The remainder is a difference of two sums, so that rows and tail are the whole host by construction.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import nlargest

from msgspec import Struct
from msgspec.structs import replace

from agent.model.absence import Absence
from agent.model.table import Row
from workers.process.exits.deaths import TickTimes
from workers.process.tracked_process import Totals, TrackedProcess
from workers.process.unit_command import UnitCommand

# Rows of a tick with a command, and rows for the further commands of one unit. What is beyond both is one row.
COMMANDS_MAX = 192
UNITS_MAX = 63
PROCESSES_PER_BEAT = 4096


class TailPart(Struct):
    """What one row sums: `commands` commands, their sums, and the largest of their processes."""

    key: UnitCommand
    totals: Totals
    cpu_largest_ns: int = 0
    rss_largest_bytes: int = 0
    commands: int = 1

    def take(self, other: "TailPart") -> None:
        """Add another part."""
        mine, theirs = self.totals, other.totals
        mine.processes += theirs.processes
        mine.cpu_ns += theirs.cpu_ns
        mine.rss_bytes += theirs.rss_bytes
        mine.read_bytes += theirs.read_bytes
        mine.write_bytes += theirs.write_bytes
        mine.threads += theirs.threads
        mine.incomplete += theirs.incomplete
        self.cpu_largest_ns = max(self.cpu_largest_ns, other.cpu_largest_ns)
        self.rss_largest_bytes = max(self.rss_largest_bytes, other.rss_largest_bytes)
        self.commands += other.commands


class Largest(Struct, frozen=True):
    """The largest CPU of the tick and the largest memory among the processes without a row, by unit and command."""

    cpu_ns: dict[UnitCommand, int]
    rss_bytes: dict[UnitCommand, int]


def largest_of(
    processes: Iterable[TrackedProcess],
    active: Iterable[TrackedProcess],
    shown: Collection[TrackedProcess],
    beat: Callable[[], None],
) -> Largest:
    """Found in one pass; `active` are those that have CPU of this tick."""
    rss: dict[UnitCommand, int] = {}
    for number, process in enumerate(processes, start=1):
        key = process.key
        if process.rss_bytes > rss.get(key, 0) and process not in shown:
            rss[key] = process.rss_bytes
        if number % PROCESSES_PER_BEAT == 0:
            beat()
    cpu: dict[UnitCommand, int] = {}
    for process in active:
        key = process.key
        if (process.interval_cpu_ns or 0) > cpu.get(key, 0) and process not in shown:
            cpu[key] = process.interval_cpu_ns or 0
    return Largest(cpu, rss)


def tail_parts(totals: Mapping[UnitCommand, Totals], shown: Iterable[TrackedProcess], largest: Largest) -> list[TailPart]:
    """What the shown processes leave, by unit and command; nothing where they leave nothing."""
    left: dict[UnitCommand, Totals] = {}
    for process in shown:
        key = process.key
        rest = left.get(key)
        if rest is None:
            rest = left[key] = replace(totals[key])
        rest.move(process, -1)
        rest.move_interval(process, -1)
    parts: list[TailPart] = []
    for key, total in totals.items():
        rest = left.get(key, total)
        assert min(rest.processes, rest.cpu_ns, rest.rss_bytes, rest.threads) >= 0, "more is shown than there is"
        if rest.processes or rest.cpu_ns or rest.read_bytes or rest.write_bytes:
            parts.append(TailPart(key, rest, largest.cpu_ns.get(key, 0), largest.rss_bytes.get(key, 0)))
    return parts


def folded(parts: list[TailPart]) -> list[TailPart]:
    """At most COMMANDS_MAX commands, the largest by CPU and memory; the others summed by unit, and beyond UNITS_MAX overall.

    Those of no unit and those of the units beyond are one part: its unit and its command are None.
    """
    if len(parts) <= COMMANDS_MAX:
        return parts
    cpu_ns = sum(part.totals.cpu_ns for part in parts) or 1
    rss_bytes = sum(part.totals.rss_bytes for part in parts) or 1

    def weight(part: TailPart) -> float:
        return part.totals.cpu_ns / cpu_ns + part.totals.rss_bytes / rss_bytes

    kept = nlargest(COMMANDS_MAX, parts, key=weight)
    names = {part.key for part in kept}
    units: dict[str | None, TailPart] = {}
    for part in parts:
        if part.key not in names:
            _add(units, part.key.pod_uid, part)
    if len(units) > UNITS_MAX:
        named = nlargest(UNITS_MAX, (part for pod_uid, part in units.items() if pod_uid is not None), key=weight)
        overall = {part.key.pod_uid: part for part in named}
        for pod_uid, part in units.items():
            if pod_uid not in overall or pod_uid is None:
                _add(overall, None, part)
        units = overall
    return kept + list(units.values())


def _add(units: dict[str | None, TailPart], pod_uid: str | None, part: TailPart) -> None:
    sum_part = units.get(pod_uid)
    if sum_part is None:
        sum_part = units[pod_uid] = TailPart(UnitCommand(pod_uid, None), Totals(), commands=0)
    sum_part.take(part)


def tail_row(part: TailPart, times: TickTimes) -> Row:
    """One row of `process_tail`."""
    totals = part.totals
    reasons = []
    cpu_ns: int | None = totals.cpu_ns
    cpu_largest_ns: int | None = part.cpu_largest_ns
    share: float | None = None
    if times.elapsed_ns is None:
        cpu_ns = cpu_largest_ns = None
        reasons.append(f"cpu:{Absence.FIRST_TICK.value}")
    else:
        share = totals.cpu_ns / times.elapsed_ns
    if totals.incomplete:
        reasons.append(Absence.INCOMPLETE.value)
    return (
        times.wall_ns, part.key.pod_uid, part.key.command, part.commands, totals.processes, cpu_ns, share, totals.rss_bytes,
        totals.read_bytes, totals.write_bytes, cpu_largest_ns, part.rss_largest_bytes, totals.threads, ",".join(reasons) or None,
    )  # fmt: skip
