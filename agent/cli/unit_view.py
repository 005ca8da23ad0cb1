"""What `agentctl top --units` shows at a moment."""

import os
import time
from typing import ClassVar

from agent.cli.call import Call
from agent.cli.known_names import KnownNames
from agent.cli.state_dir import check_state_dir
from agent.cli.stored_names import StoredNames
from agent.cli.stored_rows import StoredRows
from agent.cli.time_bounds import TimeBounds
from agent.cli.top_help import unit_help
from agent.cli.top_history import HistoryReader, host_of, source_of
from agent.cli.top_keys import HINT, HINT_ASCII
from agent.cli.top_source import SampleFollower, newest_sealed_rows
from agent.cli.top_state import KeyRules
from agent.cli.top_style import Line, fitted
from agent.cli.top_view import Top
from agent.cli.unit_columns import UNIT_SORTS
from agent.cli.unit_render import UnitView, named_units, render_units
from agent.cli.unit_sample import IDLE_NS, MODEL_TABLE, NEAR_NS, UNIT_TABLE, UNIT_TABLES, UnitMinute, UnitSample
from agent.cli.unit_ticks import UnitTicks
from agent.model.errors import UnavailableError
from agent.model.table import Table
from agent.model.timebase import DAY

# Names and models that the stored tables have are read so seldom.
STORED_SECONDS = 60.0


class UnitTop(Top[UnitSample]):
    """What units cost and suffer."""

    rules: ClassVar[KeyRules] = KeyRules(UNIT_SORTS, dict(zip("cmxipnoa", UNIT_SORTS, strict=True)))

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._ticks = UnitTicks()
        self._follower = SampleFollower(self.state_dir, UNIT_TABLES, self._ticks, span_ns=IDLE_NS)
        self._stored_names: StoredNames | None = None
        self._stored_at_s = float("-inf")

    def history(self) -> HistoryReader[UnitSample]:
        """The ticks of the past, each with the minute before it."""
        declared = _declared()
        source = source_of(self.state_dir, UNIT_TABLE, "timestamp", declared.values())
        others = [StoredRows(self.state_dir, declared[name]) for name in UNIT_TABLES[1:]]

        def sample_at(stamp_ns: int) -> UnitSample | None:
            minute = UnitMinute()
            rows = source.rows.rows(TimeBounds(stamp_ns - IDLE_NS, stamp_ns + 1))
            minute.take(UNIT_TABLE, rows)
            for stored in others:
                span_ns = DAY if stored.table == MODEL_TABLE else NEAR_NS
                minute.take(stored.table, stored.rows(TimeBounds(stamp_ns - span_ns, stamp_ns + 1)))
            return minute.sample(host_of(rows))

        return HistoryReader(source, sample_at)

    def from_open_spool(self) -> UnitSample | None:
        """The newest tick in the open spool, with the minute before it."""
        self._read_stored()
        return self._follower.poll()

    def _read_stored(self) -> None:
        """Models are stored once a day: those of the last day are read now and then."""
        now_s = time.monotonic()
        if now_s - self._stored_at_s < STORED_SECONDS:
            return
        self._stored_at_s = now_s
        self._stored_names = StoredNames(self.state_dir)
        stored = StoredRows(self.state_dir, _declared()[MODEL_TABLE])
        now_ns = time.time_ns()
        self._ticks.take(MODEL_TABLE, stored.rows(TimeBounds(now_ns - DAY, now_ns)))

    def sealed(self) -> UnitSample | None:
        """The newest tick of the sealed files."""
        minute = UnitMinute()
        minute.take(UNIT_TABLE, newest_sealed_rows(self.state_dir, UNIT_TABLE))
        minute.take(MODEL_TABLE, newest_sealed_rows(self.state_dir, MODEL_TABLE))
        return minute.sample(os.uname().nodename)

    def nothing(self) -> UnavailableError:
        """How to get such data."""
        check_state_dir(self.state_dir)
        remedy = "`agentctl list-workers` tells whether the agent measures units, `agentctl doctor` what this host lacks"
        return UnavailableError("top", f"there is no row of any unit in {self.state_dir}", remedy)

    def document(self) -> dict[str, object]:
        """The newest tick as JSON: the units and containers that the filter keeps."""
        sample = self.sample()
        self.names.refresh(time.monotonic())
        units = named_units(sample, self._unit_view(sample, None, 0, has_keys=False))
        asked = {} if self.moment is None else {"asked_wall_ns": self.moment.asked_ns}
        return {"at_wall_ns": sample.at_wall_ns, "host": sample.host, "units": units, "bad_rows": sample.bad_rows, **asked}

    def draw(self, width: int | None, height: int, *, has_keys: bool) -> list[Line]:
        """The lines of the screen now. *Raises:* EvergaugeError."""
        if self.state.shows_help:
            return fitted(unit_help(), width, height)
        sample = self.sample()
        self.names.refresh(time.monotonic())
        screen = render_units(sample, self._unit_view(sample, width, height, has_keys=has_keys))
        self.scroll = screen.scroll
        return screen.lines

    def _unit_view(self, sample: UnitSample, width: int | None, height: int, *, has_keys: bool) -> UnitView:
        return UnitView(
            width=width,
            height=height,
            state=self.state,
            now_wall_ns=self.now_wall_ns(),
            trouble=self.names.trouble,
            names=self._known_names(sample),
            has_keys=has_keys,
            has_letters=self.has_letters,
            time_keys=HINT if self.has_letters else HINT_ASCII,
            moment=self.moment,
        )

    def _known_names(self, sample: UnitSample) -> KnownNames:
        """The names that the agent gives now; stored ones of the past, and where it gives none."""
        if self.moment is None and not self.names.trouble:
            return self.names.known
        if self._stored_names is None:
            self._stored_names = StoredNames(self.state_dir)
        return self.names.known.over(self._stored_names.at(sample.at_wall_ns))


def _declared() -> dict[str, Table]:
    from workers.registry import tables

    return {table.name: table for table in tables()}
