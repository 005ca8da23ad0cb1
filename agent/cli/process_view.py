"""What `agentctl top` shows of processes at a moment."""

import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from agent.cli.call import Call
from agent.cli.problem import HostProblem
from agent.cli.remedy import start_remedy
from agent.cli.top_filter import ProcessFilter, kept_of
from agent.cli.top_keys import HINT, HINT_ASCII
from agent.cli.top_problems import head_lines, problems
from agent.cli.top_render import SORTS, ProcessView, render
from agent.cli.top_sample import (
    BEFORE_NS,
    EXIT_TABLE,
    HOST_TABLES,
    PROCESS_TABLE,
    SCAN_TABLE,
    TAIL_TABLE,
    TICK_TABLES,
    Sample,
    sample_of,
)
from agent.cli.top_source import SpoolFollower, newest_sealed_sample
from agent.cli.top_state import KeyRules
from agent.cli.top_style import Line
from agent.cli.top_ticks import ProcessTicks
from agent.cli.top_view import Top
from agent.model.errors import UnavailableError
from agent.model.timebase import S
from agent.paths import checkout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.top_history import HistoryReader, PastNames

# A tick of the host that is farther away is not near, at any usual interval.
HOST_REACH_NS = 15 * S


class ProcessTop(Top[Sample]):
    """Who uses CPU and memory, by process and pod."""

    rules: ClassVar[KeyRules] = KeyRules(SORTS, dict(zip("crinTap", SORTS, strict=True)))

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._past_names: PastNames | None = None
        self._follower = SpoolFollower(self.state_dir, (*TICK_TABLES, *HOST_TABLES), ProcessTicks())

    def history(self) -> "HistoryReader[Sample]":
        """The ticks of the past."""
        from agent.cli.stored_rows import StoredRows
        from agent.cli.time_bounds import TimeBounds
        from agent.cli.top_history import HistoryReader, host_of, source_of
        from workers.registry import tables

        declared = tables()
        source = source_of(self.state_dir, PROCESS_TABLE, "timestamp", declared)
        others = [StoredRows(self.state_dir, table) for table in declared if table.name in (*TICK_TABLES[1:], *HOST_TABLES)]

        def sample_at(stamp_ns: int) -> Sample | None:
            # All rows of a tick have its time. What there is beside processes is wanted of the minute before too.
            tick = TimeBounds(stamp_ns, stamp_ns + 1)
            before = TimeBounds(stamp_ns - BEFORE_NS, stamp_ns + 1)
            around = TimeBounds(stamp_ns - BEFORE_NS, stamp_ns + HOST_REACH_NS)
            bounds = {TAIL_TABLE: tick, **dict.fromkeys((EXIT_TABLE, SCAN_TABLE), before), **dict.fromkeys(HOST_TABLES, around)}
            rows = {PROCESS_TABLE: source.rows.rows(tick)}
            if not rows[PROCESS_TABLE]:
                return None
            rows |= {stored.table: stored.rows(bounds[stored.table]) for stored in others}
            return sample_of(stamp_ns, host_of(rows[PROCESS_TABLE]), rows)

        return HistoryReader(source, sample_at)

    def _pod_names(self, sample: Sample) -> Mapping[str, str]:
        """The names that the agent gives now; for the past, stored names where it gives none."""
        uids = {process.pod_uid for process in sample.processes if process.pod_uid is not None}
        if self.moment is None or uids <= self.names.pods.keys():
            return self.names.pods
        if self._past_names is None:
            from agent.cli.stored_rows import StoredRows
            from agent.cli.top_history import PastNames
            from agent.model.tables import POD_GROUP

            self._past_names = PastNames(StoredRows(self.state_dir, POD_GROUP))
        return self._past_names.at(sample.at_wall_ns) | self.names.pods

    def from_open_spool(self) -> Sample | None:
        """The newest whole tick in the open spool."""
        return self._follower.poll()

    def sealed(self) -> Sample | None:
        """The newest tick of the sealed files."""
        return newest_sealed_sample(self.state_dir)

    def nothing(self) -> UnavailableError:
        """How to get an agent."""
        problem = f"there is no sample of processes in {self.state_dir}"
        return UnavailableError("top", problem, start_remedy("--state-dir", checkout()))

    def document(self) -> object:
        """The newest tick as JSON: problems and figures of the whole host; processes, sums and deaths that the filter keeps."""
        from msgspec import to_builtins
        from msgspec.structs import replace

        sample = self.sample()
        if self.state.filter:
            self.names.refresh(time.monotonic())
        kept = kept_of(sample, ProcessFilter(self.state.filter, self._pod_name(sample), self.names.user))
        whole = to_builtins({"problems": self._problems(sample), **to_builtins(replace(kept, before=()))})
        del whole["before"]
        return whole if self.moment is None else {**whole, "asked_wall_ns": self.moment.asked_ns}

    def _pod_name(self, sample: Sample) -> Callable[[str], str]:
        names = self._pod_names(sample)
        return lambda uid: names.get(uid, uid)

    def _problems(self, sample: Sample) -> list[HostProblem]:
        return problems(sample, sample.before, None if self.moment is not None else self.now_wall_ns())

    def draw(self, width: int | None, height: int, *, has_keys: bool) -> list[Line]:
        """The lines of the screen now. *Raises:* EvergaugeError."""
        sample = self.sample()
        self.names.refresh(time.monotonic())
        screen = render(
            sample,
            ProcessView(
                width=width,
                height=height,
                state=self.state,
                now_wall_ns=self.now_wall_ns(),
                trouble=self.names.trouble,
                pod_names=self._pod_names(sample),
                user_name=self.names.user,
                problems=self._problems(sample),
                figures=head_lines(sample, width),
                has_keys=has_keys,
                has_letters=self.has_letters,
                time_keys=HINT if self.has_letters else HINT_ASCII,
                moment=self.moment,
            ),
        )
        self.scroll = screen.scroll
        return screen.lines
