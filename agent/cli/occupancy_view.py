"""What `agentctl top --occupancy` shows at a moment."""

import os
import time
from typing import ClassVar

from agent.cli.call import Call
from agent.cli.occupancy_render import HEADER_LINES, SORTS, OccupancyView, offset_max, render
from agent.cli.occupancy_sample import (
    OCCUPANCY_TABLE,
    Occupancy,
    OccupancyTicks,
    Unmeasured,
    held_now,
    occupancy_of_rows,
    unmeasured_of,
)
from agent.cli.state_dir import check_state_dir
from agent.cli.time_bounds import TimeBounds
from agent.cli.top_help import occupancy_help
from agent.cli.top_history import TICK_NS, HistoryReader, host_of, source_of
from agent.cli.top_keys import HINT, HINT_ASCII
from agent.cli.top_source import SampleFollower, newest_sealed_rows
from agent.cli.top_state import KeyRules, Scroll
from agent.cli.top_style import STRONG, TITLE, Line, Span, fitted, line_of
from agent.cli.top_view import Top
from agent.model.errors import UnavailableError
from agent.model.timebase import S

# The trend of a usual second, twice over.
TREND_NS = 60 * S


class OccupancyTop(Top[Occupancy]):
    """Who holds the cache and moves memory, by pod."""

    rules: ClassVar[KeyRules] = KeyRules(SORTS, {"l": "llc", "b": "bw", "n": "name"}, has_tree=False)

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._follower = SampleFollower(self.state_dir, (OCCUPANCY_TABLE,), OccupancyTicks())

    def history(self) -> HistoryReader[Occupancy]:
        """The ticks of the past, each with those before it."""
        from workers.registry import tables

        source = source_of(self.state_dir, OCCUPANCY_TABLE, "start_timestamp", tables())

        def sample_at(stamp_ns: int) -> Occupancy | None:
            # A row is read a moment after the scan began that its tick is.
            rows = source.rows.rows(TimeBounds(stamp_ns - TREND_NS, stamp_ns + TICK_NS))
            of_ticks = [row for row in rows if isinstance(stamp := row.get("start_timestamp"), int) and stamp <= stamp_ns]
            return occupancy_of_rows(host_of(of_ticks), of_ticks)

        return HistoryReader(source, sample_at)

    def from_open_spool(self) -> Occupancy | None:
        """The newest tick in the open spool."""
        return self._follower.poll()

    def sealed(self) -> Occupancy | None:
        """The newest tick of the sealed files."""
        return occupancy_of_rows(os.uname().nodename, newest_sealed_rows(self.state_dir, OCCUPANCY_TABLE))

    def nothing(self) -> UnavailableError:
        """How to get such data."""
        # A folder that no agent ever used is another problem, with another remedy.
        check_state_dir(self.state_dir)
        remedy = (
            "`agentctl list-pods` tells whether there are pods; `agentctl doctor` whether this host has resctrl; with "
            "sampler.resctrl.enabled = true `agentctl status` tells what is missing; `agentctl emulate-resctrl` makes one to try"
        )
        return UnavailableError("top", f"there is no cache occupancy of any pod in {self.state_dir}", remedy)

    def document(self) -> dict[str, object]:
        """The newest tick as JSON: values, and the pods without any (null where the agent does not tell)."""
        from msgspec import to_builtins

        sample = self._current()
        whole: dict[str, object] = to_builtins(sample)
        del whole["past"]
        asked = {} if self.moment is None else {"asked_wall_ns": self.moment.asked_ns}
        return {**whole, "unmeasured": to_builtins(self._unmeasured(sample)), **asked}

    def draw(self, width: int | None, height: int, *, has_keys: bool) -> list[Line]:
        """The lines of the screen now. *Raises:* EvergaugeError."""
        if self.state.shows_help:
            return fitted(occupancy_help(), width, height)
        sample = self._current()
        view = OccupancyView(
            width=width,
            height=height,
            sort=self.state.sort,
            now_wall_ns=self.now_wall_ns(),
            trouble=self.names.trouble,
            names=self.names.known,
            unmeasured=self._unmeasured(sample),
            has_letters=self.has_letters,
            keys=self._keys() if has_keys else "",
            time_keys=(HINT if self.has_letters else HINT_ASCII) if has_keys else "",
            moment=self.moment,
            filter=self.state.filter,
            is_typing=self.state.is_typing,
            offset=self.state.offset,
            is_paused=self.state.is_paused,
        )
        self.scroll = Scroll(max(1, height - HEADER_LINES), offset_max(sample, view))
        styles = {0: STRONG, HEADER_LINES - 1: TITLE}
        return [line_of(Span(line, styles.get(place, ""))) for place, line in enumerate(render(sample, view))]

    def _keys(self) -> str:
        return "Enter keeps, Esc clears" if self.state.is_typing else f"(keys {' '.join(self.rules.sort_by_key)} q)   ? help"

    def _current(self) -> Occupancy:
        sample = self.sample()
        self.names.refresh(time.monotonic())
        # What pods have now says nothing of the past.
        if self.moment is not None or self.names.trouble or self.names.listed is None:
            return sample
        return held_now(sample, self.names.listed)

    def _unmeasured(self, sample: Occupancy) -> tuple[Unmeasured, ...] | None:
        """*Absent:* None where the agent does not tell its pods now."""
        if self.moment is not None or self.names.trouble or self.names.listed is None:
            return None
        return unmeasured_of(self.names.listed, self.names.known.pods, sample.pods)
