"""What `agentctl top` shows of processes at a moment."""

import time
from typing import ClassVar

from agent.cli.call import Call
from agent.cli.known_names import KnownNames
from agent.cli.named_sample import named_sample
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
from agent.cli.top_source import SampleFollower, newest_sealed_sample
from agent.cli.top_state import KeyRules
from agent.cli.top_style import Line
from agent.cli.top_ticks import ProcessTicks
from agent.cli.top_view import Top
from agent.model.errors import UnavailableError
from agent.model.timebase import S
from agent.paths import checkout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.stored_names import StoredNames
    from agent.cli.top_history import HistoryReader

# A tick of the host that is farther away is not near, at any usual interval.
HOST_REACH_NS = 15 * S
# Without an agent that answers, stored names are read so seldom: a day of them takes some milliseconds.
STORED_NAMES_SECONDS = 60.0


class ProcessTop(Top[Sample]):
    """Who uses CPU and memory, by process and pod."""

    rules: ClassVar[KeyRules] = KeyRules(SORTS, dict(zip("crinTap", SORTS, strict=True)))

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._stored_names: StoredNames | None = None
        self._stored_at_s = 0.0
        self._follower = SampleFollower(self.state_dir, (*TICK_TABLES, *HOST_TABLES), ProcessTicks())

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

    def _known_names(self, sample: Sample) -> KnownNames:
        """The names that the agent gives now; stored ones of the past, and where it gives none."""
        known = self.names.known
        if self.moment is None and not self.names.trouble:
            return known
        uids = {process.pod_uid for process in sample.processes if process.pod_uid is not None}
        ids = {process.container for process in sample.processes if process.container is not None}
        if uids <= known.pods.keys() and ids <= known.containers.keys():
            return known
        now_s = time.monotonic()
        if self._stored_names is None or (self.moment is None and now_s - self._stored_at_s > STORED_NAMES_SECONDS):
            from agent.cli.stored_names import StoredNames

            self._stored_names, self._stored_at_s = StoredNames(self.state_dir), now_s
        return known.over(self._stored_names.at(sample.at_wall_ns))

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
        self.names.refresh(time.monotonic())
        names = self._known_names(sample)
        kept = kept_of(named_sample(sample, names), ProcessFilter(self.state.filter, names, self.names.user))
        whole = to_builtins({"problems": self._problems(sample), **to_builtins(replace(kept, before=()))})
        del whole["before"]
        return whole if self.moment is None else {**whole, "asked_wall_ns": self.moment.asked_ns}

    def _problems(self, sample: Sample) -> list[HostProblem]:
        now_wall_ns = None if self.moment is not None else self.now_wall_ns()
        return problems(sample, sample.before, now_wall_ns, self._known_names(sample).pods)

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
                names=self._known_names(sample),
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
