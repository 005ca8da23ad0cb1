"""The rows of `process_tail`: what the rows of `process` leave of each unit and command. PURE.

The remainder is a difference of two sums, so that rows and tail are the whole host by construction.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from agent.model.absence import Absence
from agent.model.table import Row
from workers.process.exits.deaths import TickTimes
from workers.process.largest import Largest
from workers.process.tracked_process import Totals, TrackedProcess
from workers.process.unit_command import UnitCommand

# Rows of a tick with a command, and rows for the further commands of one unit. What is beyond both is one row.
COMMANDS_MAX = 192
UNITS_MAX = 63


class TailPart(Struct):
    """What one row sums: `commands` commands, their sums, and the largest of their processes. `lacks_cpu`: the CPU of the tick is
    not known of one of them."""

    key: UnitCommand
    totals: Totals
    cpu_largest_ns: int = 0
    rss_largest_bytes: int = 0
    commands: int = 1
    lacks_cpu: bool = False


def tail_parts(totals: Mapping[UnitCommand, Totals], shown: Iterable[TrackedProcess], largest: Largest) -> list[TailPart]:
    """What the shown processes leave, by unit and command; at most COMMANDS_MAX + UNITS_MAX + 1 parts.

    Beyond COMMANDS_MAX commands, the largest by CPU and memory have a part of their own. The others are summed by unit, and
    those of no unit and of the units beyond UNITS_MAX overall: then unit and command are None.
    """
    left = remainders(totals, shown)
    keys = list(left) if len(left) <= COMMANDS_MAX else _heaviest(left, COMMANDS_MAX)
    parts = [_part(key, left.pop(key), largest) for key in keys]
    return parts + _folded(left, largest) if left else parts


def remainders(totals: Mapping[UnitCommand, Totals], shown: Iterable[TrackedProcess]) -> dict[UnitCommand, Totals]:
    """The sums without the shown processes; nothing where they leave nothing."""
    left = {key: total for key, total in totals.items() if _is_anything(total)}
    reduced: dict[UnitCommand, Totals] = {}
    for process in shown:
        key = process.key
        rest = reduced.get(key)
        if rest is None:
            rest = reduced[key] = left[key] = replace(totals[key])
        rest.move(process, -1)
        rest.move_interval(process, -1)
    for key, rest in reduced.items():
        assert min(rest.processes, rest.cpu_ns, rest.rss_bytes, rest.threads) >= 0, "more is shown than there is"
        if not _is_anything(rest):
            del left[key]
    return left


def _is_anything(totals: Totals) -> bool:
    """Of processes that ended within the tick there is CPU alone."""
    return bool(totals.processes or totals.cpu_ns or totals.read_bytes or totals.write_bytes)


def _heaviest(left: Mapping[UnitCommand, Totals], count: int) -> list[UnitCommand]:
    cpu_ns = sum([totals.cpu_ns for totals in left.values()]) or 1
    rss_bytes = sum([totals.rss_bytes for totals in left.values()]) or 1
    weights = {key: totals.cpu_ns / cpu_ns + totals.rss_bytes / rss_bytes for key, totals in left.items()}
    return sorted(weights, key=weights.__getitem__, reverse=True)[:count]


def _part(key: UnitCommand, totals: Totals, largest: Largest) -> TailPart:
    cpu_ns, rss_bytes = largest.cpu_ns.get(key, 0), largest.rss_bytes.get(key, 0)
    return TailPart(key, totals, cpu_ns, rss_bytes, lacks_cpu=key in largest.cpu_unknown)


def _folded(left: Mapping[UnitCommand, Totals], largest: Largest) -> list[TailPart]:
    units: dict[str | None, TailPart] = {}
    for key, totals in left.items():
        _add(units, key.pod_uid, _part(key, totals, largest))
    named = {UnitCommand(pod_uid, None): part.totals for pod_uid, part in units.items() if pod_uid is not None}
    if len(named) <= UNITS_MAX:
        return list(units.values())
    kept = {key.pod_uid for key in _heaviest(named, UNITS_MAX)}
    overall: dict[str | None, TailPart] = {}
    for pod_uid, part in units.items():
        _add(overall, pod_uid if pod_uid in kept else None, part)
    return list(overall.values())


def _add(units: dict[str | None, TailPart], pod_uid: str | None, part: TailPart) -> None:
    whole = units.get(pod_uid)
    if whole is None:
        whole = units[pod_uid] = TailPart(UnitCommand(pod_uid, None), Totals(), commands=0)
    whole.totals.take(part.totals)
    whole.cpu_largest_ns = max(whole.cpu_largest_ns, part.cpu_largest_ns)
    whole.rss_largest_bytes = max(whole.rss_largest_bytes, part.rss_largest_bytes)
    whole.commands += part.commands
    whole.lacks_cpu |= part.lacks_cpu


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
    if totals.incomplete or (part.lacks_cpu and cpu_ns is not None):
        reasons.append(Absence.INCOMPLETE.value)
    return (
        times.wall_ns, part.key.pod_uid, part.key.command, part.commands, totals.processes, cpu_ns, share, totals.rss_bytes,
        totals.read_bytes, totals.write_bytes, cpu_largest_ns, part.rss_largest_bytes, totals.threads, ",".join(reasons) or None,
    )  # fmt: skip
