"""Stored batches as requests of OTLP: the same batches, after the same ones before them, give the same bytes. PURE."""

from collections.abc import Sequence
from contextlib import suppress
from math import isfinite
from struct import Struct as Layout

from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.table import Row, Value
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from workers.export.otlp.column_map import Conventions, Point, ValueForm
from workers.export.otlp.entity import SendingAgent
from workers.export.otlp.log_record import log_record, name_and_severity
from workers.export.otlp.metric import PreparedPoint, counting_point, metric_head, missing_point, start_part, time_parts
from workers.export.otlp.plan import TablePlan
from workers.export.otlp.request import Gathered, scope_of
from workers.export.otlp.sketch_point import histogram_point
from workers.export.otlp.state import MappingState
from workers.export.otlp.wire import AttributeValue, attributes
from workers.export.otlp.words import added

_INT64, _DOUBLE = Layout("<q"), Layout("<d")
PLANS_MAX = 256
# An option: sums of 0 since the last row have no points.
NO_ZEROS = "no_zeros"
_SENT = added("evergauge.export.rows", unit="{row}")
_SENT_HEAD = metric_head(_SENT.names[0], _SENT.unit, _SENT.kind)
_DIVISORS = {ValueForm.SECONDS: 1e9, ValueForm.FRACTION: 1.0, ValueForm.MILLI: 1e3}


class EncodedBatches(Struct, frozen=True):
    """Two requests (empty: there is nothing of this signal), and what is in them.

    `metric_rows`, `log_rows`: rows that became points, and rows that became log records; some become both.
    `bad_rows`: those that fit no column or no histogram.
    """

    metrics: bytes
    logs: bytes
    points: int
    records: int
    metric_rows: int
    log_rows: int
    bad_rows: int


class OtlpEncoder:
    """Encodes by one version of the conventions. `options`: which optional attributes are wanted, or NO_ZEROS."""

    def __init__(self, conventions: Conventions, version: str, options: frozenset[str] = frozenset()) -> None:
        self._conventions = conventions
        self._version = version
        self.options = options
        self.state = MappingState()
        self._scope = scope_of(version, conventions.schema_url)
        self._plans: dict[tuple[str, TableForm], TablePlan | None] = {}
        self._agent = SendingAgent("", "", version)

    def restore(self, snapshot: bytes) -> None:
        """Begin from the state of another encoder. *Raises:* FormatError."""
        # They hold the names of the state that goes.
        self._plans.clear()
        self.state = MappingState()
        if snapshot:
            self.state.restore(snapshot)

    def take(self, batches: Sequence[StoredBatch], tables: frozenset[str] | None = None) -> EncodedBatches:
        """The requests of these batches. `tables`: those that are sent (None: all that are mapped); of others, names are learned.

        *Raises:* FormatError where one cannot be read; then nothing was learned from any.
        """
        decoded = self._decoded([batch for batch in batches if tables is None or batch.table in tables])
        # Names first: they may stand behind the rows that need them.
        for batch in batches:
            self.state.names.take(batch)
        sending = _Sending(self, batches)
        for batch, plan, rows, _ in decoded:
            sending.learn_ticks(batch, plan, rows)
        for batch, plan, rows, bad in decoded:
            sending.bad_rows += bad
            self._agent = _agent_of(batch, self._agent, self._version)
            sending.add(batch, plan, rows, self._agent)
        return sending.encoded()

    def skip(self, batches: Sequence[StoredBatch], tables: frozenset[str] | None = None) -> None:
        """Learn what `take` would have learned. A batch that cannot be read teaches nothing."""
        for batch in batches:
            with suppress(FormatError):
                self.take([batch], tables)

    def _decoded(self, batches: Sequence[StoredBatch]) -> list[tuple[StoredBatch, TablePlan, Sequence[Row], int]]:
        decoded = []
        for batch in batches:
            plan = self._plan(batch)
            if plan is not None and batch.entry.rows:
                rows, bad = plan.decoder.decode(batch.rows)
                decoded.append((batch, plan, rows, len(bad)))
        return decoded

    def _plan(self, batch: StoredBatch) -> TablePlan | None:
        """None: the table, or its time, is not in the conventions."""
        key = (batch.table, batch.form)
        if key not in self._plans:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            mapped = self._conventions.tables.get(batch.table)
            plan = None if mapped is None else TablePlan(mapped, batch.form, self.state.names, self.options)
            self._plans[key] = plan if plan is not None and (plan.time is not None or plan.map.sketch is not None) else None
        return self._plans[key]

    def series_of_host(self, table: str, worker: str) -> list[tuple[str, Point]]:
        """The columns of tables of the host that had values, for a gap of this table (empty: all of the worker's)."""
        found: list[tuple[str, Point]] = []
        for name, seen in self.state.seen.items():
            if name != table and (table or self.state.workers.get(name) != worker):
                continue
            mapped = self._conventions.tables.get(name)
            if mapped is not None:
                found += [(column, each) for column in seen for each in mapped.meanings(column) if isinstance(each, Point)]
        return found

    def sending_scope(self) -> Gathered:
        """An empty request."""
        return Gathered(self._scope)


def _agent_of(batch: StoredBatch, known: SendingAgent, version: str) -> SendingAgent:
    """The one that is known, where it is the same: caches tell agents apart by identity."""
    if known.host == batch.host and known.install == batch.install:
        return known
    return SendingAgent(batch.host, batch.install, version)


class _Sending:
    """The requests of one `take`."""

    def __init__(self, encoder: OtlpEncoder, batches: Sequence[StoredBatch]) -> None:
        self._encoder = encoder
        self._state = encoder.state
        self._metrics, self._logs = encoder.sending_scope(), encoder.sending_scope()
        self.points = self.records = self.metric_rows = self.log_rows = self.bad_rows = 0
        self._zeros = NO_ZEROS not in encoder.options
        self._batch_id = batch_id(batches) if batches else ""
        self._sent: dict[bytes, bytearray] = {}
        # By worker and time: how long after the tick before. One table of each sampler says it for all of them.
        self._elapsed = {(worker, time_ns): elapsed for worker, (time_ns, elapsed) in self._state.ticks.items()}

    def learn_ticks(self, batch: StoredBatch, plan: TablePlan, rows: Sequence[Row]) -> None:
        """How long the ticks of a sampler were, before any of their rows is encoded."""
        if not plan.map.is_whole_host or plan.elapsed is None or plan.time is None:
            return
        worker = batch.entry.worker
        for row in rows:
            time_ns, elapsed = row[plan.time], row[plan.elapsed]
            if isinstance(time_ns, int) and isinstance(elapsed, int):
                self._elapsed[worker, time_ns] = elapsed
                if time_ns >= self._state.ticks.get(worker, (0, 0))[0]:
                    self._state.ticks[worker] = (time_ns, elapsed)

    def add(self, batch: StoredBatch, plan: TablePlan, rows: Sequence[Row], agent: SendingAgent) -> None:
        """The rows of a batch."""
        if not rows:
            return
        mapped = plan.map
        if mapped.has_points:
            host = resource_of_host(agent)
            if mapped.sketch is not None:
                self._add_sketches(plan, rows, agent)
            else:
                self._add_points(batch.entry.worker, plan, rows, agent)
            self._count_rows(batch, host, len(rows))
        if mapped.record is not None:
            self._add_records(plan, rows, agent)
        if mapped.table == "gap":
            self._tell_series(plan, rows, agent)
        if mapped.is_whole_host:
            self._state.learn_worker(batch)
            for row in rows:
                self._state.learn_seen(batch.table, plan.form, row)
            if mapped.table == "host":
                self._learn_boot(plan, rows[-1])

    def encoded(self) -> EncodedBatches:
        """What it has come to."""
        for host, points in self._sent.items():
            self._metrics.add(host, _SENT_HEAD.with_points(points))
        return EncodedBatches(
            self._metrics.encoded(),
            self._logs.encoded(),
            self.points,
            self.records,
            self.metric_rows,
            self.log_rows,
            self.bad_rows,
        )

    def _add_points(self, worker: str, plan: TablePlan, rows: Sequence[Row], agent: SendingAgent) -> None:
        time_at = plan.time
        assert time_at is not None
        elapsed_of_rows = plan.elapsed_of(rows)
        time_ns = 0
        for row in rows:
            found = row[time_at]
            assert isinstance(found, int)
            time_ns = found
            entity = plan.entities.entity(plan.identity(row), agent)
            parts = self._metrics.metrics_of(entity.resource, plan, plan.heads)
            elapsed = row[plan.elapsed] if plan.elapsed is not None else self._elapsed.get((worker, time_ns), elapsed_of_rows)
            start_ns = self._start(plan, time_ns, elapsed)
            birth_ns = 0
            if plan.start_ticks is not None and isinstance(ticks := row[plan.start_ticks], int):
                birth_ns = self._state.start_of_process(ticks)
            self.points += _add_row(parts.points, plan.points(row, entity.variant), row, (time_ns, start_ns, birth_ns), self._zeros)
        self._state.learn_time(plan.map.table, time_ns)
        self.metric_rows += len(rows)

    def _start(self, plan: TablePlan, time_ns: int, elapsed: Value) -> int:
        """Since when the sums of a row count; 0: not known."""
        if isinstance(elapsed, int):
            return max(0, min(time_ns, time_ns - elapsed))
        return 0 if plan.elapsed is not None else self._state.start_of_interval(plan.map.table, time_ns)

    def _add_sketches(self, plan: TablePlan, rows: Sequence[Row], agent: SendingAgent) -> None:
        sketch = plan.map.sketch
        assert sketch is not None
        found: dict[tuple[bytes, str, str], bytearray] = {}
        for row in rows:
            values = dict(zip(plan.form.names, row, strict=True))
            word = values.get("metric")
            name, unit = sketch.names.get(str(word), (sketch.other, "1"))
            dimensions = plan.dimension_pairs(plan.dimensions(row))
            if name == sketch.other:
                dimensions.append(("evergauge.metric", str(word)))
            point = histogram_point(values, dimensions)
            if point is None:
                self.bad_rows += 1
                continue
            resource = plan.entities.entity(plan.identity(row), agent).resource
            found.setdefault((resource, name, unit), bytearray()).extend(point)
            self.points += 1
            self.metric_rows += 1
        for (resource, name, unit), points in found.items():
            self._metrics.add(resource, metric_head(name, unit, None).with_points(points))

    def _add_records(self, plan: TablePlan, rows: Sequence[Row], agent: SendingAgent) -> None:
        record, names = plan.map.record, plan.form.names
        assert record is not None
        assert plan.time is not None
        word_at = names.index(record.column) if record.column in names else None
        needed_at = names.index(record.only_with) if record.only_with in names else None
        for row in rows:
            if needed_at is not None and row[needed_at] is None:
                continue
            time_ns = row[plan.time]
            assert isinstance(time_ns, int)
            pairs: list[tuple[str, AttributeValue]] = [
                (name, value) for place, name in plan.logged if isinstance(value := row[place], str | int | float)
            ]
            pairs.append(("evergauge.batch.id", self._batch_id))
            name, severity = name_and_severity(record, "" if word_at is None else str(row[word_at]))
            resource = plan.entities.entity(plan.identity(row), agent).resource
            self._logs.add(resource, log_record(time_ns, name, severity, pairs))
            self.records += 1
            self.log_rows += 1

    def _tell_series(self, plan: TablePlan, rows: Sequence[Row], agent: SendingAgent) -> None:
        """In the middle of each gap of a table of the host, each of its series gets a point without a value."""
        for row in rows:
            values = dict(zip(plan.form.names, row, strict=True))
            begin, end, time_ns = values.get("from_timestamp"), values.get("until_timestamp"), values.get("timestamp")
            if isinstance(begin, int) and isinstance(end, int) and 0 <= begin < end:
                time_ns = (begin + end) // 2
            if not isinstance(time_ns, int):
                continue
            for _, point in self._encoder.series_of_host(str(values.get("table") or ""), str(values.get("worker"))):
                head = metric_head(point.names[0], point.unit, point.kind)
                self._metrics.add(resource_of_host(agent), head.with_points(missing_point(time_ns, point.attributes)))
                self.points += 1

    def _count_rows(self, batch: StoredBatch, host: bytes, rows: int) -> None:
        """One point for each batch, with the id of this request: so a repetition can be seen where it arrives."""
        point = counting_point(batch.entry.stamp_wall_ns, rows, [("evergauge.table", batch.table)], self._batch_id)
        self._sent.setdefault(host, bytearray()).extend(point)
        self.points += 1

    def _learn_boot(self, plan: TablePlan, row: Row) -> None:
        values = dict(zip(plan.form.names, row, strict=True))
        boot_ns, hertz = values.get("boot_timestamp"), values.get("ticks_per_second")
        self._state.learn_boot(boot_ns if isinstance(boot_ns, int) else None, hertz if isinstance(hertz, int) else None)


def resource_of_host(agent: SendingAgent) -> bytes:
    """The resource of the host itself."""
    return attributes(1, agent.pairs)


def batch_id(batches: Sequence[StoredBatch]) -> str:
    """Unique for each range of the spool: installation, and the places before and behind it."""
    first, last = batches[0], batches[-1]
    begin, end = first.place, last.behind
    return f"{first.install}:{begin.segment}+{begin.offset}:{end.segment}+{end.offset}"


def _add_row(slots: list[bytearray], points: Sequence[PreparedPoint], row: Row, times: tuple[int, int, int], zeros: bool) -> int:
    """Add the points of a row; how many. `times`: of the points, the start of sums, the start of totals (0: not known).

    `zeros`: whether a sum of 0 has a point.
    """
    time_ns, start_ns, birth_ns = times
    whole, double = time_parts(time_ns)
    start, birth = start_part(start_ns) if start_ns else b"", start_part(birth_ns) if birth_ns else b""
    count = 0
    for column, slot, form, is_delta, is_total, plain, started, ending in points:
        value = row[column]
        if value is None:
            continue
        if is_delta and not value and not zeros:
            continue
        begin = start if is_delta else birth if is_total else b""
        head = started + begin if begin else plain
        if form is ValueForm.WHOLE:
            slots[slot] += head + whole + _INT64.pack(value) + ending
        else:
            # The plan takes columns of numbers only.
            number = float(value) / _DIVISORS[form]  # type: ignore[arg-type]
            if not isfinite(number):
                continue
            slots[slot] += head + double + _DOUBLE.pack(number) + ending
        count += 1
    return count
