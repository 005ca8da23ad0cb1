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
from workers.process.exits.ledger import DeadProcess
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
    unit_from: str | None = None
    reasons: set[str] = set()

    def add(self, dead: DeadProcess) -> None:
        self.deaths += 1
        self.unseen += dead.process is None
        self.cpu_ns += dead.cpu_ns or 0
        self.tail_ns += dead.tail_ns
        self.read_bytes += dead.read_bytes or 0
        self.write_bytes += dead.write_bytes or 0
        self.unit_from = dead.unit_from if self.deaths == 1 or self.unit_from == dead.unit_from else None
        if dead.absent:
            self.reasons.add(dead.absent)

    def fold(self, other: "_Sum") -> None:
        """Add another sum."""
        self.unit_from = other.unit_from if not self.deaths or self.unit_from == other.unit_from else None
        self.deaths += other.deaths
        self.unseen += other.unseen
        self.cpu_ns += other.cpu_ns
        self.tail_ns += other.tail_ns
        self.read_bytes += other.read_bytes
        self.write_bytes += other.write_bytes
        self.reasons |= other.reasons


def deaths_of(
    dead: Sequence[DeadProcess],
    remainders: Mapping[UnitCommand, Remainder],
    source: str,
    times: TickTimes,
    beat: Callable[[], None] = lambda: None,
) -> Deaths:
    """Everything of a tick's deaths; `remainders` is CPU of the dead that no single one of them is known to have used."""
    found = Deaths(source, count=len(dead))
    by_key, parts = found.by_key, found.parts
    for index, each in enumerate(dead):
        found.unseen += each.process is None
        found.read_bytes += each.read_bytes or 0
        found.write_bytes += each.write_bytes or 0
        if each.cpu_ns:
            by_key[each.key] = by_key.get(each.key, 0) + each.cpu_ns
            found.cpu_ns += each.cpu_ns
        if each.cpu_ns is not None and index < PARTS_MAX:
            parts.append((each.key, each.cpu_ns))
        if index % DEATHS_PER_BEAT == DEATHS_PER_BEAT - 1:
            beat()
    for key, remainder in remainders.items():
        by_key[key] = by_key.get(key, 0) + remainder.cpu_ns
        found.cpu_ns += remainder.cpu_ns
    singles = _singles(dead)
    found.rows = [_single_row(dead[index], source, times) for index in singles]
    alone = frozenset(singles)
    rest = [each for index, each in enumerate(dead) if index not in alone]
    found.rows += _sum_rows(rest, remainders, source, times)
    return found


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
    code, life_ns = _end_of(dead)[2:4]
    return code is not None and bool(code & 0x7F or (code and (life_ns or 0) >= LONG_LIFE_NS))


def _end_of(dead: DeadProcess) -> tuple[int | None, int | None, int | None, int | None, int | None]:
    """Pid, parent, the kernel's exit code, life and largest memory, as far as the source says them."""
    record = dead.record
    if record is None:
        return None, None, None, None, None
    if isinstance(record, ConnectorExit):
        return record.pid, record.ppid or None, record.exit_code, None, None
    # By place: most records are plain tuples.
    return record[14] or record[6], record[7], record[1], record[8] * 1_000, record[9] * KIB


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


def _sum_rows(dead: Sequence[DeadProcess], remainders: Mapping[UnitCommand, Remainder], source: str, times: TickTimes) -> list[Row]:
    sums: dict[UnitCommand, _Sum] = {}
    for each in dead:
        total = sums.get(each.key)
        if total is None:
            total = sums[each.key] = _Sum()
        total.add(each)
    for key, remainder in remainders.items():
        total = sums.setdefault(key, _Sum(unit_from=remainder.unit_from))
        total.cpu_ns += remainder.cpu_ns
        total.reasons.add(Absence.INCOMPLETE.value)
    if len(sums) > SUM_ROWS_MAX:
        kept = dict(nlargest(SUM_ROWS_MAX - 1, sums.items(), key=lambda item: item[1].cpu_ns))
        rest = _Sum()
        for key, total in sums.items():
            if key not in kept:
                rest.fold(total)
        sums = {**kept, UnitCommand(None, None): rest}
    return [_sum_row(key, total, source, times) for key, total in sums.items()]


def _sum_row(key: UnitCommand, total: _Sum, source: str, times: TickTimes) -> Row:
    share = None if times.elapsed_ns is None else total.cpu_ns / times.elapsed_ns
    reasons = {word for text in total.reasons for word in text.split(",")}
    if reasons:
        reasons.add(Absence.INCOMPLETE.value)
    absent = ",".join(sorted(reasons)) or None
    return (
        times.wall_ns, source, None, None, None, key.command, key.pod_uid, total.unit_from, total.deaths, total.unseen,
        total.cpu_ns, share, total.tail_ns, None, None, None, total.read_bytes, total.write_bytes, None, absent,
    )  # fmt: skip
