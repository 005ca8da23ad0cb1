"""Rows of `process_exit`, and the sums of a tick's deaths. PURE.

A death by signal has a row of its own, and so have a failure after a long life and those that used the most CPU; all others are
summed per unit and command. Whatever is folded, the sums over all rows are those over all deaths.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.table import Row
from workers.process.exits.connector_event import ConnectorExit
from workers.process.exits.deaths import Deaths, TickTimes
from workers.process.exits.ledger import PARENT, SEEN, DeadProcess
from workers.process.exits.reaped import Remainder
from workers.process.unit_command import UnitCommand

# Rows of single deaths a tick, of units with their commands, and values of single processes for those that count them.
SINGLE_ROWS_MAX, SUM_ROWS_MAX, PARTS_MAX = 64, 256, 65_536
# A failure after a shorter life belongs to a job that fails again and again, which the sums show.
LONG_LIFE_NS = 10_000_000_000
DEATHS_PER_BEAT = 512
KIB = 1024


class _Sum(Struct):
    deaths: int = 0
    unseen: int = 0
    cpu_ns: int = 0
    tail_ns: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    # How many of them say so: their unit was seen, or is their parent's.
    seen: int = 0
    of_parent: int = 0
    # How often each is among them.
    reasons: dict[str, int] = {}

    @property
    def unit_from(self) -> str | None:
        """How the unit is known, where it is the same of all."""
        if self.seen and not self.of_parent and self.seen >= self.deaths:
            return SEEN
        return PARENT if self.of_parent and not self.seen and self.of_parent >= self.deaths else None

    def add(self, other: "_Sum", sign: int) -> None:
        """Add or take away the numbers of another sum."""
        self.deaths += sign * other.deaths
        self.unseen += sign * other.unseen
        self.cpu_ns += sign * other.cpu_ns
        self.tail_ns += sign * other.tail_ns
        self.read_bytes += sign * other.read_bytes
        self.write_bytes += sign * other.write_bytes
        self.seen += sign * other.seen
        self.of_parent += sign * other.of_parent
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + sign * count


def deaths_of(
    dead: Sequence[DeadProcess],
    remainders: Mapping[UnitCommand, Remainder],
    source: str,
    times: TickTimes,
    beat: Callable[[], None] = lambda: None,
) -> Deaths:
    """Everything of a tick's deaths; `remainders` is CPU of the dead that no single one of them is known to have used."""
    found = Deaths(source, count=len(dead))
    sums: dict[UnitCommand, _Sum] = {}
    for start in range(0, len(dead), DEATHS_PER_BEAT):
        _sum_up(dead[start : start + DEATHS_PER_BEAT], sums, found.parts)
        beat()
    for key, remainder in remainders.items():
        total = sums.setdefault(key, _Sum())
        total.cpu_ns += remainder.cpu_ns
        total.reasons[Absence.INCOMPLETE.value] = 1
        if not total.deaths:
            total.seen, total.of_parent = int(remainder.unit_from == SEEN), int(remainder.unit_from == PARENT)
    for key, total in sums.items():
        found.unseen += total.unseen
        found.cpu_ns += total.cpu_ns
        found.read_bytes += total.read_bytes
        found.write_bytes += total.write_bytes
        if total.cpu_ns:
            found.by_key[key] = total.cpu_ns
    singles = [dead[index] for index in _singles(dead)]
    found.rows = [_single_row(each, source, times) for each in singles]
    found.rows += _sum_rows(_without(sums, singles), source, times)
    return found


def _sum_up(dead: Sequence[DeadProcess], sums: dict[UnitCommand, _Sum], parts: list[tuple[UnitCommand, int]]) -> None:
    for cpu_ns, tail_ns, key, unit_from, process, _, read_bytes, write_bytes, absent in dead:
        total = sums.get(key)
        if total is None:
            total = sums[key] = _Sum()
        total.deaths += 1
        if process is None:
            total.unseen += 1
        if cpu_ns is not None:
            total.cpu_ns += cpu_ns
            total.tail_ns += tail_ns
            if len(parts) < PARTS_MAX:
                parts.append((key, cpu_ns))
        if read_bytes:
            total.read_bytes += read_bytes
        if write_bytes:
            total.write_bytes += write_bytes
        if unit_from is PARENT:
            total.of_parent += 1
        elif unit_from is SEEN:
            total.seen += 1
        if absent is not None:
            total.reasons[absent] = total.reasons.get(absent, 0) + 1


def _without(sums: dict[UnitCommand, _Sum], singles: Sequence[DeadProcess]) -> dict[UnitCommand, _Sum]:
    """The sums less those that have a row of their own."""
    alone: dict[UnitCommand, _Sum] = {}
    _sum_up(singles, alone, [])
    for key, part in alone.items():
        sums[key].add(part, -1)
    return {key: total for key, total in sums.items() if total.deaths or total.cpu_ns}


def _singles(dead: Sequence[DeadProcess]) -> list[int]:
    """The deaths with a row of their own: half of the room for those that failed, the rest by CPU."""
    if len(dead) <= SINGLE_ROWS_MAX // 2:
        return list(range(len(dead)))
    failed = nlargest(
        SINGLE_ROWS_MAX // 2, (i for i, each in enumerate(dead) if _is_failure(each)), key=lambda i: dead[i].cpu_ns or 0
    )
    chosen = dict.fromkeys(failed)
    for index in _by_cpu(dead, SINGLE_ROWS_MAX, range(len(dead))):
        if len(chosen) < SINGLE_ROWS_MAX:
            chosen[index] = None
    return list(chosen)


def _by_cpu(dead: Sequence[DeadProcess], count: int, among: Iterable[int]) -> list[int]:
    return nlargest(count, among, key=lambda index: dead[index].cpu_ns or 0)


def _is_failure(dead: DeadProcess) -> bool:
    record = dead[5]
    # In both kinds of record the exit code is the second value.
    if record is None or not record[1]:
        return False
    return bool(record[1] & 0x7F) or (_end_of(dead)[3] or 0) >= LONG_LIFE_NS


def _end_of(dead: DeadProcess) -> tuple[int | None, int | None, int | None, int | None, int | None]:
    """Pid, parent, the kernel's exit code, life and largest memory, as far as the source says them."""
    record = dead.record
    if record is None:
        return None, None, None, None, None
    if isinstance(record, ConnectorExit):
        return record.pid, record.ppid or None, record.exit_code, None, None
    # By place: most records are plain tuples. The life is that of the thread, which is the process's if it is its first one.
    pid, tgid = record[6], record[14] or record[6]
    return tgid, record[7], record[1], record[8] * 1_000 if pid == tgid else None, record[9] * KIB


def _single_row(dead: DeadProcess, source: str, times: TickTimes) -> Row:
    process = dead.process
    share = None if dead.cpu_ns is None or times.elapsed_ns is None else dead.cpu_ns / times.elapsed_ns
    pid, ppid, code, life_ns, rss_max_bytes = _end_of(dead)
    start_ticks = None
    if process is not None:
        pid, start_ticks = process.pid, process.start_ticks
        ppid = process.stat.ppid if ppid is None else ppid
    signal = None if code is None else code & 0x7F
    status = None if code is None or signal else code >> 8 & 0xFF
    return (
        times.wall_ns, source, pid, start_ticks, ppid, dead.key.command, dead.key.pod_uid, dead.unit_from, 1, int(process is None),
        dead.cpu_ns, share, None if dead.cpu_ns is None else dead.tail_ns, status, signal or None, rss_max_bytes,
        dead.read_bytes, dead.write_bytes, life_ns, dead.absent,
    )  # fmt: skip


def _sum_rows(sums: dict[UnitCommand, _Sum], source: str, times: TickTimes) -> list[Row]:
    if len(sums) > SUM_ROWS_MAX:
        kept = dict(nlargest(SUM_ROWS_MAX - 1, sums.items(), key=lambda item: item[1].cpu_ns))
        rest = _Sum()
        for key, total in sums.items():
            if key not in kept:
                rest.add(total, 1)
        sums = {**kept, UnitCommand(None, None): rest}
    return [_sum_row(key, total, source, times) for key, total in sums.items()]


def _sum_row(key: UnitCommand, total: _Sum, source: str, times: TickTimes) -> Row:
    share = None if times.elapsed_ns is None else total.cpu_ns / times.elapsed_ns
    reasons = {word for text, count in total.reasons.items() if count for word in text.split(",")}
    if reasons:
        reasons.add(Absence.INCOMPLETE.value)
    absent = ",".join(sorted(reasons)) or None
    return (
        times.wall_ns, source, None, None, None, key.command, key.pod_uid, total.unit_from, total.deaths, total.unseen,
        total.cpu_ns, share, total.tail_ns, None, None, None, total.read_bytes, total.write_bytes, None, absent,
    )  # fmt: skip
