"""Rows of minutes from rows of ticks: what a node sends to a hub of its units and of itself. PURE.

The result is of the rows alone, in their order: neither a clock nor how they are grouped plays a part, so that after a restart,
from a snapshot and the rows behind it, the same bytes are sent again. No row is lost between them without being
counted: each sum over minutes is the sum over the rows, also where the clock was set.
"""

from collections.abc import Callable, Sequence
from operator import add
from zlib import crc32

import msgspec
from msgspec import Struct

from agent.model.absence import Absence
from agent.model.errors import FormatError
from agent.model.row_check import INT64_MAX
from agent.model.table import Row, Value
from agent.model.timebase import MINUTE, MS
from agent.store.record import TableForm
from workers.export.hub.minute_form import HEAD_COLUMNS, MINUTE_FORMS, MinuteForm, reader_of

# Of a snapshot: another one where a column or its place is another one.
FORMAT = crc32(repr([(name, form.sources, form.table.column_names) for name, form in MINUTE_FORMS.items()]).encode())
# Units and containers at one time. Rows of others are counted and left out.
ENTITIES_MAX = 10_000
# A unit that does nothing has its next row within a minute; one without rows for longer begins again.
FORGET_NS = 2 * MINUTE
# More words than there are reasons.
ABSENT_MAX = 64
# A row this much older than the open minute says that the clock was set back; a younger one only came late.
LATE_NS_MAX = 10 * MINUTE
# Rows that follow each other may be this far apart by their times, because the wall clock is being slewed.
SLACK_NS = 250 * MS
# Whether the rows before are known: not yet, or its last one was there, so that nothing is missed until it begins again.
_NOT_KNOWN, _ENDED = 0, -1

_Number = int | float | None


class _Entity(Struct, array_like=True):
    """One unit, container or host: its part of the open minute, of which `rows` is 0 while it has none in it, and its last row."""

    unit: str
    container: str | None
    kind: str | None = None
    last_ns: int = _NOT_KNOWN
    rows: int = 0
    late_rows: int = 0
    covered_ns: int = 0
    # The time of the rows that have a CPU time.
    cpu_covered_ns: int = 0
    is_whole: bool = True
    is_final: bool = False
    cores_max: float | None = None
    sums: list[int | None] = []
    lasts: list[_Number] = []
    # Of each the most; of what is to be the least its negative.
    extremes: list[_Number] = []
    absent: list[str] = []


class _Open(Struct, array_like=True):
    """The open minute of one table. `minute_ns` is None before the first row, `last_ns` the time of the last one."""

    minute_ns: int | None = None
    last_ns: int = _NOT_KNOWN
    sequence: int = 0
    entities: list[_Entity] = []


class _SavedMinutes(Struct, array_like=True):
    format: int
    late_rows: int
    left_out_rows: int
    tables: dict[str, _Open]


_DECODER = msgspec.msgpack.Decoder(_SavedMinutes)


class MinuteRollup:
    """Of one node. `late_rows` are counted in a later minute than theirs, `left_out_rows` in none, both since the beginning."""

    def __init__(self, *, entities_max: int = ENTITIES_MAX) -> None:
        self._entities_max = entities_max
        self.late_rows = self.left_out_rows = 0
        self._tables = {name: _TableMinutes(self, form, _Open()) for name, form in MINUTE_FORMS.items()}

    @classmethod
    def restore(cls, content: bytes, *, entities_max: int = ENTITIES_MAX) -> "MinuteRollup":
        """As it was at a snapshot. *Raises:* FormatError: it is none, or another version's."""
        try:
            saved = _DECODER.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise FormatError("snapshot", "it is no state of minutes") from cause
        rollup = cls(entities_max=entities_max)
        if saved.format != FORMAT or saved.tables.keys() != rollup._tables.keys():
            raise FormatError("snapshot", "it is of another version")
        rollup.late_rows, rollup.left_out_rows = saved.late_rows, saved.left_out_rows
        rollup._tables = {name: _TableMinutes(rollup, form, saved.tables[name]) for name, form in MINUTE_FORMS.items()}
        return rollup

    def snapshot(self) -> bytes:
        """All that the next rows build on: the same rows give the same bytes."""
        tables = {name: minutes.saved() for name, minutes in self._tables.items()}
        return msgspec.msgpack.encode(_SavedMinutes(FORMAT, self.late_rows, self.left_out_rows, tables))

    def take(self, table: str, form: TableForm, rows: Sequence[Row]) -> list[Row]:
        """The next rows of a table of `MINUTE_FORMS`, decoded by `RowDecoder(form)`.

        *Shape:* rows of `MINUTE_FORMS[table].table` of the minutes that these rows close, one minute after the other, in a minute
        by unit and container, where there are any. A minute is closed by the first row of a later one.
        """
        return self._tables[table].take(form, rows)

    def has_room(self, held: int) -> bool:
        """Whether one more entity may be held beside these."""
        return held < self._entities_max


class _TableMinutes:
    """The minutes of one table."""

    def __init__(self, rollup: MinuteRollup, form: MinuteForm, saved: _Open) -> None:
        self._rollup = rollup
        self._form = form
        self._open = saved
        self.entities = {(entity.unit, entity.container): entity for entity in saved.entities}
        self._stored: TableForm | None = None
        self._read: Callable[[Row], tuple[Value, ...]] = tuple
        self._sums = slice(len(HEAD_COLUMNS), len(HEAD_COLUMNS) + len(form.sums))
        self._lasts = slice(self._sums.stop, self._sums.stop + len(form.lasts))
        self._leasts = len(form.least)

    def saved(self) -> _Open:
        """The open minute, in the order in which its entities came."""
        opened = self._open
        return _Open(opened.minute_ns, opened.last_ns, opened.sequence, list(self.entities.values()))

    def take(self, form: TableForm, rows: Sequence[Row]) -> list[Row]:
        """See `MinuteRollup`."""
        if form != self._stored:
            self._stored, self._read = form, reader_of(self._form, form)
        closed: list[Row] = []
        for row in rows:
            self._take_row(self._read(row), closed)
        return closed

    def _take_row(self, values: tuple[Value, ...], closed: list[Row]) -> None:
        at_ns, unit, elapsed_ns = values[0], values[1], values[4]
        if not isinstance(at_ns, int) or (self._form.has_units and not isinstance(unit, str)):
            self._rollup.left_out_rows += 1
            return
        elapsed = elapsed_ns if isinstance(elapsed_ns, int) and elapsed_ns > 0 else 0
        opened, minute_ns = self._open, at_ns - at_ns % MINUTE
        if opened.minute_ns is None:
            opened.minute_ns = minute_ns
        elif minute_ns > opened.minute_ns:
            # Since when this row counts; what is before it may be missing.
            closed += self._close(has_tail=at_ns - elapsed <= opened.last_ns + _slack(elapsed))
            opened.minute_ns = minute_ns
        elif minute_ns < opened.minute_ns - LATE_NS_MAX:
            # The end of that minute does not come in this row's time.
            closed += self._close(has_tail=False)
            # Their times say nothing about those that come now.
            self.entities.clear()
            opened.minute_ns = minute_ns
        opened.last_ns = at_ns
        if (entity := self._entity(values)) is None:
            self._rollup.left_out_rows += 1
            return
        if minute_ns < opened.minute_ns:
            entity.late_rows += 1
            self._rollup.late_rows += 1
        self._add(entity, values, at_ns, elapsed)

    def _entity(self, values: tuple[Value, ...]) -> _Entity | None:
        """*Absent:* there is no room for another one."""
        unit, container = values[1] if self._form.has_units else "", values[2]
        assert isinstance(unit, str)
        assert container is None or isinstance(container, str)
        entity = self.entities.get((unit, container))
        if entity is None and self._rollup.has_room(len(self.entities)):
            entity = self.entities[unit, container] = _Entity(unit, container)
        return entity

    def _add(self, entity: _Entity, values: tuple[Value, ...], at_ns: int, elapsed: int) -> None:
        kind, absent = values[3], values[6]
        assert kind is None or isinstance(kind, str)
        self._find_hole(entity, at_ns - elapsed, _slack(elapsed))
        sums, lasts, extremes = values[self._sums], values[self._lasts], values[self._lasts.stop :]
        if entity.rows == 0:
            entity.sums, entity.extremes = [None] * len(sums), [None] * len(extremes)
        entity.rows += 1
        entity.kind, entity.is_final = kind, values[5] is True
        entity.last_ns = _ENDED if entity.is_final else at_ns
        entity.covered_ns = min(entity.covered_ns + elapsed, INT64_MAX)
        if isinstance(cpu_ns := sums[0], int) and elapsed:
            entity.cpu_covered_ns = min(entity.cpu_covered_ns + elapsed, INT64_MAX)
            entity.cores_max = max(cpu_ns / elapsed, entity.cores_max or 0.0)
        entity.sums = _added(entity.sums, sums)
        entity.lasts = list(lasts)  # type: ignore[arg-type]  # columns of numbers
        parts = zip(entity.extremes, extremes, strict=True)
        entity.extremes = [_greater(held, part, is_least=place < self._leasts) for place, (held, part) in enumerate(parts)]
        if isinstance(absent, str) and absent not in entity.absent:
            entity.absent = sorted({*entity.absent, *absent.split(",")})[:ABSENT_MAX]

    def _find_hole(self, entity: _Entity, begin_ns: int, slack_ns: int) -> None:
        """A row counts from the end of the one before it. What is between them is missing."""
        if entity.last_ns == _ENDED:
            return
        assert self._open.minute_ns is not None
        due_ns = self._open.minute_ns if entity.last_ns == _NOT_KNOWN else entity.last_ns
        entity.is_whole = entity.is_whole and begin_ns <= due_ns + slack_ns

    # ---- closing -----------------------------------------------------------------------------------

    def _close(self, *, has_tail: bool) -> list[Row]:
        """The rows of the open minute. `has_tail`: nothing is missing between its last row and the one behind it."""
        opened = self._open
        assert opened.minute_ns is not None
        opened.sequence += 1
        rows = []
        for key in sorted(self.entities, key=_order):
            entity = self.entities[key]
            if entity.rows:
                rows.append(self._row(entity, has_tail=has_tail))
                _begin_again(entity)
            if entity.last_ns == _ENDED or (entity.last_ns < opened.minute_ns - FORGET_NS):
                del self.entities[key]
        return rows

    def _row(self, entity: _Entity, *, has_tail: bool) -> Row:
        form, opened = self._form, self._open
        sums: list[Value] = [None if part == INT64_MAX else part for part in entity.sums]
        absent = set(entity.absent)
        if INT64_MAX in entity.sums:
            absent.add(Absence.OUT_OF_RANGE.value)
        cpu_ns = sums[0]
        assert cpu_ns is None or isinstance(cpu_ns, int)
        mean = cpu_ns / entity.cpu_covered_ns if cpu_ns is not None and entity.cpu_covered_ns else None
        least = [None if part is None else -part for part in entity.extremes[: self._leasts]]
        is_whole = entity.is_whole and (has_tail or entity.is_final)
        who: tuple[Value, ...] = (entity.unit, entity.kind, entity.container) if form.has_units else ()
        end: tuple[Value, ...] = (entity.is_final,) if form.has_units else ()
        return (
            opened.minute_ns, *who, opened.sequence, entity.rows, entity.late_rows, entity.covered_ns, is_whole, *end,
            *sums, mean, entity.cores_max, *entity.lasts, *least, *entity.extremes[self._leasts :],
            ",".join(sorted(absent)) or None,
        )  # fmt: skip


def _slack(elapsed: int) -> int:
    return min(SLACK_NS, elapsed // 2) if elapsed else SLACK_NS


def _order(key: tuple[str, str | None]) -> tuple[str, str]:
    """The whole unit before its containers, whose ids are not empty."""
    return key[0], key[1] or ""


def _begin_again(entity: _Entity) -> None:
    entity.rows = entity.late_rows = entity.covered_ns = entity.cpu_covered_ns = 0
    entity.is_whole, entity.is_final, entity.cores_max = True, False, None
    entity.sums, entity.lasts, entity.extremes, entity.absent = [], [], [], []


def _added(held: list[int | None], parts: tuple[Value, ...]) -> list[int | None]:
    """A part that is unknown adds nothing; a sum that no column holds stays at its most."""
    try:
        # In C; it fails where one of the numbers is not known.
        added: list[int | None] = list(map(add, held, parts))
    except TypeError:
        added = [
            one if other is None else other if one is None else one + other  # type: ignore[operator, misc]  # columns of numbers
            for one, other in zip(held, parts, strict=True)
        ]
    return [part if part is None or part < INT64_MAX else INT64_MAX for part in added]


def _greater(held: _Number, part: Value, *, is_least: bool) -> _Number:
    if part is None:
        return held
    assert isinstance(part, int | float)
    number = -part if is_least else part
    return number if held is None or number > held else held
