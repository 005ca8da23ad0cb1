"""What `agentctl top --occupancy` shows at a moment."""

import os
import sys
import time
from collections.abc import Mapping
from typing import ClassVar

from agent.cli.call import Call
from agent.cli.occupancy_render import LEVELS, SORTS, OccupancyView, render
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
from agent.cli.top_history import TICK_NS, HistoryReader, host_of, source_of
from agent.cli.top_source import SpoolFollower, newest_sealed_rows
from agent.cli.top_view import Top
from agent.model.errors import UnavailableError
from agent.model.timebase import S

# The trend of a usual second, twice over.
TREND_NS = 60 * S


class OccupancyTop(Top[Occupancy]):
    """Who holds the cache and moves memory, by pod."""

    sorts = SORTS
    sort_by_key: ClassVar[Mapping[str, str]] = {"l": "llc", "b": "bw", "n": "name"}

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._follower = SpoolFollower(self.state_dir, (OCCUPANCY_TABLE,), OccupancyTicks())
        self._has_letters = _has_letters(getattr(sys.stdout, "encoding", None))

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

    def render(self, *, width: int | None, height: int, keys: tuple[str, str] = ("", "")) -> list[str]:
        """The lines of the screen now. *Raises:* EvergaugeError."""
        sample = self._current()
        return render(
            sample,
            OccupancyView(
                width=width,
                height=height,
                sort=self.sort,
                now_wall_ns=time.time_ns(),
                trouble=self.names.trouble,
                pod_names=self.names.pods,
                unmeasured=self._unmeasured(sample),
                has_letters=self._has_letters,
                keys=keys[0],
                time_keys=keys[1],
                moment=self.moment,
            ),
        )

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
        return unmeasured_of(self.names.listed, self.names.pods, sample.pods)


def _has_letters(encoding: str | None) -> bool:
    """Whether the letters of a trend can be printed."""
    try:
        LEVELS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
