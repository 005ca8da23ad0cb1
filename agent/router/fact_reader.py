"""Reads what there is of each cell: ticks from process_scan, sketches from process_sketch, losses from gap. It imports pyarrow."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow
from msgspec import Struct
from pyarrow import compute

from agent.model.gap_cause import GapCause
from agent.model.timebase import DAY
from agent.router.cell import WINDOW_NS, Grid, mask_of, runs_of
from agent.router.chain import SLACK_NS, SLACK_PER_MILLE, Gaps, Segment, gaps_of
from agent.router.columns import Array, coded, summed, texts, whole_numbers, window_numbers
from agent.router.fact import WRITTEN_WITHIN_NS, HostFacts, ScanWindow, SketchWindow, Stretch
from agent.router.question import AskedMetric, RoutedQuestion
from agent.router.source import BATCH_ROWS, RowSource

# With a sampler the sketches end that it had not written.
_DEATHS = frozenset({"worker_died", "worker_hung"})
# Ticks that were never taken, and samplers that ended, lose no rows unless batches are named.
_NO_ROWS_LOST = frozenset({*(cause.value for cause in GapCause), *_DEATHS, "worker_stopped"})
_PROCESSES, _GROUPS = "sampler/process", "sampler/resctrl"
LOSSES_MAX = 100_000
# More values than any window has; foreign rows may say anything.
_VALUES_MAX = 1 << 40


class AskedHosts:
    """The hosts that were asked for, by numbers in the order in which they were met."""

    def __init__(self, question: RoutedQuestion) -> None:
        self._question = question
        self._codes: dict[str, int] = {}
        self.names: list[str] = []

    def code(self, host: str | None) -> int:
        """The number of a host; -1: it was not asked for."""
        name = host or ""
        found = self._codes.get(name)
        if found is None:
            found = len(self.names) if self._question.wants_host(name) else -1
            self._codes[name] = found
            if found >= 0:
                self.names.append(name)
        return found

    def codes(self, batch: Any) -> Array:
        """The number of each row's host."""
        return coded([texts(batch, "host")], lambda parts: self.code(parts[0]))


class _Ends(Struct):
    first_ns: int
    last_ns: int


class FactReader:
    """What was read of all hosts. `check` is called between batches, and raises when there is no more time."""

    def __init__(
        self, source: RowSource, question: RoutedQuestion, grid: Grid, hosts: AskedHosts, check: Callable[[], None]
    ) -> None:
        self._source = source
        self._metric: AskedMetric = question.metric
        self._grid = grid
        self._hosts = hosts
        self._check = check
        self._ends: dict[int, _Ends] = {}
        # Rows of process_sketch that say no window.
        self.damaged = 0
        self._latest: dict[int, int] = {}
        # Of sketches that were written before their window began: from then to its end the clock passes twice.
        self._set_back: dict[int, list[Stretch]] = {}
        self.shared_windows: set[int] = set()
        # Of sketches by host and window: the ticks of each of its parts.
        self.ticks: dict[tuple[int, int], set[int]] = {}

    def read(self) -> dict[str, HostFacts]:
        """The facts by host. *Raises:* EvergaugeError."""
        losses, deaths = self._losses()
        if self._metric.occupancy:
            return self._occupied(losses)
        scans, segments = self._scans()
        sketches = self._sketches() if self._metric.sketch else {}
        marks = self._source.marks("process_sketch")
        found: dict[str, HostFacts] = {}
        for code in sorted({*segments, *scans, *sketches, *self._ends}):
            lost, ends = losses.get(code, []), self._ends[code]
            name = self._hosts.names[code]
            # Without ticks everything from the first row on may be missing.
            gaps = gaps_of(segments[code], lost) if code in segments else Gaps([Stretch(ends.first_ns, 1 << 62)], [])
            found[name] = HostFacts(
                ends.first_ns,
                ends.last_ns,
                scans.get(code, {}),
                sketches.get(code, {}),
                gaps.holes,
                lost,
                deaths.get(code, []),
                [*gaps.twice, *self._set_back.get(code, [])],
                None if marks is None else marks.get(name, 0),
                self._latest.get(code, -1),
            )
        return found

    def _occupied(self, losses: Mapping[int, list[Stretch]]) -> dict[str, HostFacts]:
        """Of monitoring groups no table counts the ticks: windows with rows are known, unless a loss is recorded."""
        scans: dict[int, dict[int, ScanWindow]] = {}
        for batch in self._batches("occupancy", (), 0, WRITTEN_WITHIN_NS):
            at = compute.fill_null(whole_numbers(batch, "timestamp"), 0)
            table = pyarrow.table({"host": self._hosts.codes(batch), "at": at, "window": window_numbers(at, WINDOW_NS)})
            table = table.filter(compute.greater_equal(table["host"], 0))
            self._note_ends(table)
            for row in summed(table, ["host", "window"], []):
                if 0 <= (index := row["window"] - self._grid.first) < self._grid.count:
                    scans.setdefault(row["host"], {}).setdefault(index, ScanWindow(0, 0)).ticks += row["rows"]
        found: dict[str, HostFacts] = {}
        for code, windows in scans.items():
            ends, lost = self._ends[code], losses.get(code, [])
            without = self._grid.every & ~mask_of(windows) & ~self._grid.over(ends.first_ns)
            holes = [Stretch(self._grid.start_ns(first), self._grid.start_ns(behind)) for first, behind in runs_of(without)]
            found[self._hosts.names[code]] = HostFacts(ends.first_ns, ends.last_ns, windows, {}, [*holes, *lost], lost)
        return found

    def _batches(self, table: str, columns: tuple[str, ...], before_ns: int, behind_ns: int) -> Iterator[Any]:
        since_ns, until_ns = self._grid.since_ns - before_ns, self._grid.until_ns + behind_ns
        for batch in self._source.batches(table, since_ns, until_ns, ("timestamp", "host", *columns), BATCH_ROWS):
            self._check()
            if len(batch):
                yield batch

    # ---- ticks ----

    def _scans(self) -> tuple[dict[int, dict[int, ScanWindow]], dict[int, list[Segment]]]:
        scans: dict[int, dict[int, ScanWindow]] = {}
        segments: dict[int, list[Segment]] = {}
        sums = ("cpu_ns", "rss_bytes", "read_bytes", "write_bytes")
        wanted = tuple(name for name in sums if name == self._metric.process)
        columns = ("elapsed_ns", "processes", "deaths", "absent", *wanted)
        for batch in self._batches("process_scan", columns, WRITTEN_WITHIN_NS, WRITTEN_WITHIN_NS):
            table = self._scan_table(batch, wanted)
            if len(table):
                _add_segments(segments, table)
                self._note_ends(table)
                self._add_scans(scans, table, wanted)
        return scans, segments

    def _scan_table(self, batch: Any, wanted: tuple[str, ...]) -> Any:
        """The rows of hosts that were asked for, by host and time."""
        elapsed, absent = whole_numbers(batch, "elapsed_ns"), texts(batch, "absent")
        is_first = compute.is_null(elapsed)
        living = compute.fill_null(whole_numbers(batch, "processes"), 0)
        table = pyarrow.table(
            {
                "host": self._hosts.codes(batch),
                "at": compute.fill_null(whole_numbers(batch, "timestamp"), 0),
                "elapsed": elapsed,
                "living": living,
                "first_living": compute.if_else(is_first, living, 0),
                "is_first": is_first.cast(pyarrow.int64()),
                "dead": compute.fill_null(whole_numbers(batch, "deaths"), 0),
                "is_incomplete": compute.fill_null(compute.match_substring(absent, "incomplete"), False).cast(pyarrow.int64()),
                **{name: compute.fill_null(whole_numbers(batch, name), 0) for name in wanted},
            }
        )
        return table.filter(compute.greater_equal(table["host"], 0)).sort_by([("host", "ascending"), ("at", "ascending")])

    def _note_ends(self, table: Any) -> None:
        for row in table.select(["host", "at"]).group_by("host").aggregate([("at", "min"), ("at", "max")]).to_pylist():
            found = self._ends.setdefault(row["host"], _Ends(row["at_min"], row["at_max"]))
            found.first_ns, found.last_ns = min(found.first_ns, row["at_min"]), max(found.last_ns, row["at_max"])

    def _add_scans(self, scans: dict[int, dict[int, ScanWindow]], table: Any, wanted: tuple[str, ...]) -> None:
        table = table.append_column("window", window_numbers(table["at"], WINDOW_NS))
        sums = ["living", "first_living", "is_first", "dead", *wanted]
        for row in summed(table, ["host", "window"], sums, ("is_incomplete",)):
            index = row["window"] - self._grid.first
            if not 0 <= index < self._grid.count:
                continue
            found = scans.setdefault(row["host"], {}).setdefault(index, ScanWindow(0, 0))
            found.ticks += row["rows"]
            found.living += row["living"]
            found.first_ticks += row["is_first"]
            found.first_living += row["first_living"]
            found.dead += row["dead"]
            found.is_incomplete |= bool(row["is_incomplete"])
            for name in wanted:
                found.total += row[name]

    # ---- sketches ----

    def _sketches(self) -> dict[int, dict[int, SketchWindow]]:
        values: dict[tuple[int, int], int] = {}
        columns = ("window_start", "window_ns", "metric", "ticks", "count", "pod_uid", "command", "keys")
        # Before their window where the clock was set back meanwhile.
        for batch in self._batches("process_sketch", columns, WRITTEN_WITHIN_NS, WRITTEN_WITHIN_NS):
            table = self._sketch_table(batch)
            if len(table):
                self._note_ends(table)
                self._note_set_back(table)
                for row in summed(table, ["host", "window", "ticks"], ["count"], ("is_shared",)):
                    key = row["host"], row["window"] - self._grid.first
                    values[key] = values.get(key, 0) + row["count"]
                    self.ticks.setdefault(key, set()).add(row["ticks"])
                    if row["is_shared"]:
                        self.shared_windows.add(row["window"])
        found: dict[int, dict[int, SketchWindow]] = {}
        for (host, index), count in values.items():
            found.setdefault(host, {})[index] = SketchWindow(sum(self.ticks[host, index]), count)
        return found

    def _note_set_back(self, table: Any) -> None:
        early = table.filter(compute.less(table["at"], compute.multiply(table["window"], WINDOW_NS)))
        for row in early.group_by(["host", "window"], use_threads=False).aggregate([("at", "min")]).to_pylist():
            stretch = Stretch(row["at_min"], (row["window"] + 1) * WINDOW_NS)
            self._set_back.setdefault(row["host"], []).append(stretch)

    def _sketch_table(self, batch: Any) -> Any:
        is_metric = compute.fill_null(compute.equal(texts(batch, "metric"), self._metric.sketch), False)
        batch = batch.filter(is_metric)
        start, length = whole_numbers(batch, "window_start"), whole_numbers(batch, "window_ns")
        ticks, keys = whole_numbers(batch, "ticks"), whole_numbers(batch, "keys")
        is_there = compute.and_(compute.is_valid(ticks), compute.is_valid(keys))
        is_window = compute.fill_null(compute.and_(compute.equal(length, WINDOW_NS), compute.greater_equal(start, 0)), False)
        is_row = compute.and_(is_there, is_window)
        self.damaged += len(batch) - (compute.sum(is_row).as_py() or 0)
        window = window_numbers(start, WINDOW_NS)
        host = self._hosts.codes(batch)
        for row in summed(pyarrow.table({"host": host, "last": window}).filter(is_row), ["host"], [], ("last",)):
            self._latest[row["host"]] = max(self._latest.get(row["host"], -1), row["last"] - self._grid.first)
        table = pyarrow.table(
            {
                "host": host,
                "at": compute.fill_null(whole_numbers(batch, "timestamp"), 0),
                "window": window,
                "ticks": ticks,
                "count": compute.min_element_wise(compute.fill_null(whole_numbers(batch, "count"), 0), _VALUES_MAX),
                "is_shared": is_shared(batch, both=True).cast(pyarrow.int64()),
            }
        )
        first, behind = self._grid.first, self._grid.first + self._grid.count
        is_asked = compute.and_(compute.greater_equal(window, first), compute.less(window, behind))
        return table.filter(compute.and_(compute.and_(is_row, is_asked), compute.greater_equal(table["host"], 0)))

    # ---- losses ----

    def _losses(self) -> tuple[dict[int, list[Stretch]], dict[int, list[Stretch]]]:
        """Times in which rows of the sampler are recorded as lost, and those in which it ended, by host."""
        found: dict[int, list[Stretch]] = {}
        deaths: dict[int, list[Stretch]] = {}
        columns = ("worker", "first_seq", "reason", "from_timestamp", "until_timestamp")
        sampler = _GROUPS if self._metric.occupancy else _PROCESSES
        for batch in self._batches("gap", columns, WRITTEN_WITHIN_NS, DAY):
            worker, reason = texts(batch, "worker"), texts(batch, "reason")
            is_lost = compute.or_(
                compute.is_valid(whole_numbers(batch, "first_seq")),
                compute.invert(compute.is_in(reason, pyarrow.array(sorted(_NO_ROWS_LOST)))),
            )
            is_own = compute.fill_null(compute.equal(worker, sampler), True)
            self._add_losses(found, batch.filter(compute.and_(is_lost, is_own)))
            has_died = compute.is_in(reason, pyarrow.array(sorted(_DEATHS)))
            self._add_losses(deaths, batch.filter(compute.and_(has_died, is_own)))
        if self._source.is_delivered:
            for batch in self._batches("export_gap", ("from_timestamp", "until_timestamp"), WRITTEN_WITHIN_NS, DAY):
                self._add_losses(found, batch)
        return found, deaths

    def _add_losses(self, found: dict[int, list[Stretch]], batch: Any) -> None:
        columns = (self._hosts.codes(batch), *(whole_numbers(batch, f"{name}timestamp") for name in ("", "from_", "until_")))
        for code, noticed_ns, since_ns, until_ns in zip(*(column.to_pylist() for column in columns), strict=True):
            known = found.setdefault(code, [])
            if code >= 0 and len(known) < LOSSES_MAX:
                until_ns = noticed_ns if until_ns is None else until_ns
                if since_ns is not None and until_ns < since_ns:
                    # The clock was set back in it.
                    since_ns, until_ns = until_ns, since_ns
                # Without a begin it may be any time before; what was there is told by counts.
                known.append(Stretch(until_ns - WRITTEN_WITHIN_NS if since_ns is None else since_ns, until_ns + 1))


def is_shared(batch: Any, *, both: bool = False) -> Array:
    """Whether a row is of several commands; `both`: and of several units."""
    command = compute.is_null(texts(batch, "command"))
    return compute.and_(command, compute.is_null(texts(batch, "pod_uid"))) if both else command


def _add_segments(segments: dict[int, list[Segment]], table: Any) -> None:
    """Cut the ticks of a batch, which are in order, where one does not follow the one before."""
    host, at, elapsed = (table[name].combine_chunks() for name in ("host", "at", "elapsed"))
    slack = compute.add(compute.divide(compute.multiply(elapsed, SLACK_PER_MILLE), 1000), SLACK_NS)
    off = compute.abs(compute.subtract(compute.subtract(at[1:], at[:-1]), elapsed[1:]))
    follows = compute.less_equal(off, slack[1:])
    is_next = compute.and_(compute.equal(host[1:], host[:-1]), compute.fill_null(follows, False))
    cuts = compute.indices_nonzero(compute.invert(is_next)).to_pylist()
    begins = [0, *(cut + 1 for cut in cuts)]
    for begin, end in zip(begins, [*cuts, len(at) - 1], strict=True):
        segments.setdefault(host[begin].as_py(), []).append(Segment(at[begin].as_py(), at[end].as_py(), elapsed[begin].as_py()))
