"""The series that the stored rows of a host make: totals, present values, beginnings and ends, within a budget. PURE.

Batches are taken in the order of the spool, each once. Then `/metrics` shows what there is (`families`), or remote write sends the
points that were noted (`take_points`). What `snapshot` gives, `restore` goes on from, exactly.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from operator import itemgetter

from msgspec import Struct

from agent.model.sketch import SketchColumns
from agent.model.table import Row, Value
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder
from workers.export.series.budget import Budget
from workers.export.series.catalogue import PROCESS_TABLE, RANKED, SKETCH_TABLE, SKETCHED, VIEWS
from workers.export.series.identity import NameSource
from workers.export.series.metric import Metric, View
from workers.export.series.ranking import Ranking, ranked_views
from workers.export.series.sketch_rows import sketch_views, take_sketches
from workers.export.series.snapshot import HeldSeries, HeldView, decoded, encoded, held_view, put_back
from workers.export.series.tracked import LIFETIME_NS, Number, SeriesPoint, Tracked
from workers.export.series.view_state import ViewState

Getter = Callable[[Row], tuple[Value, ...]]


class SeriesFamily(Struct, frozen=True):
    """All present samples of one metric family: (labels and times of the entity, the metric with its fixed labels, value)."""

    metric: Metric
    samples: Sequence[tuple[Tracked, Metric, Number | SketchColumns]]


class SeriesTable:
    """*Range:* `series_max` series; what finds no room is counted (`budget`). With `interval_ns` it notes points for remote write,
    one of each series in an interval; without, none."""

    def __init__(self, names: NameSource, *, series_max: int, has_pids: bool = False, interval_ns: int | None = None) -> None:
        self.budget = Budget(series_max)
        # The time of the newest row so far.
        self.newest_ns = 0
        self._interval_ns = interval_ns
        self._settled_ns = 0
        self._ranking = Ranking(has_pids=has_pids)
        views = [*VIEWS, *ranked_views(has_pids=has_pids), *sketch_views()]
        self._states = [ViewState(view, self.budget, names, self._make_room) for view in sorted(views, key=lambda each: each.rank)]
        for state in self._states:
            state.interval_ns = interval_ns
        by_name = {state.view.name: state for state in self._states}
        self._ranked = [by_name[f"top_{family.resource}"] for family in RANKED]
        self._sketched = [by_name[f"sketch_{family.metric}"] for family in SKETCHED]
        self._by_table: dict[str, list[ViewState]] = {}
        for view in VIEWS:
            self._by_table.setdefault(view.table, []).append(by_name[view.name])
        self._plans: dict[str, _Plan] = {}

    def take(self, batch: StoredBatch) -> None:
        """Learn from one batch; batches of tables without metrics are passed over. Linear in the rows.

        *Raises:* FormatError where its rows cannot be read.
        """
        table = batch.table
        states = self._by_table.get(table, ())
        if not states and table not in (PROCESS_TABLE, SKETCH_TABLE):
            return
        plan = self._plans.get(table)
        if plan is None or plan.form != batch.form:
            plan = self._plans[table] = _Plan(batch.form, states)
        rows = plan.decoder.decode(batch.rows)[0]
        if not rows or plan.time_at is None:
            return
        first_ns, last_ns = rows[0][plan.time_at], rows[-1][plan.time_at]
        assert isinstance(first_ns, int)
        assert isinstance(last_ns, int)
        for state, places in zip(states, plan.places, strict=True):
            _take_rows(state, places, rows, plan.time_at)
        if table == PROCESS_TABLE:
            self._rank(batch.form.names, rows, first_ns)
        elif table == SKETCH_TABLE:
            take_sketches(batch.form.names, rows, self._sketched)
        self.newest_ns = max(self.newest_ns, last_ns)
        if self._interval_ns is not None and self.newest_ns - self._settled_ns >= self._interval_ns:
            self.settle(self.newest_ns)

    def settle(self, now_ns: int) -> None:
        """End the series whose rows stopped coming. *Units:* unix time; where time is that of the rows, the newest row's."""
        self._settled_ns = now_ns
        for state in self._states:
            state.settle(now_ns)
        self.budget.forget(now_ns - LIFETIME_NS)
        for state in reversed(self._states):
            while self.budget.used > self.budget.series_max and state.end_last(now_ns):
                pass

    def read(self) -> None:
        """The time since the last reading is over: rank its commands."""
        self._ranking.close(self._ranked)

    def families(self) -> Iterator[SeriesFamily]:
        """Every family that has a sample, those that find room first coming first. *Shape:* each name once."""
        for state in self._states:
            metrics = state.view.metrics
            for places in state.view.families.values():
                samples = [(tracked, metrics[place], value) for tracked, place, value in state.samples(places)]
                if samples:
                    yield SeriesFamily(metrics[places[0]], samples)

    def take_points(self) -> list[SeriesPoint]:
        """The points since the last call, each once; of one series in the order of time."""
        points = [point for state in self._states for point in state.points]
        for state in self._states:
            state.points = []
        return points

    def count_by_table(self) -> dict[str, int]:
        """How many series there are, by table, as they were counted last."""
        counts: dict[str, int] = {}
        for state in self._states:
            if size := sum(tracked.size for tracked in state.entities.values()):
                counts[state.view.table] = counts.get(state.view.table, 0) + size
        return counts

    def snapshot(self) -> bytes:
        """Everything but the names; the same state gives the same bytes."""
        ranking = self._ranking
        return encoded(
            HeldSeries(
                self.newest_ns,
                self._settled_ns,
                dict(sorted(self.budget.left_out_total.items())),
                [list(amounts.items()) for amounts in ranking.amounts],
                ranking.ticks,
                ranking.last_at_ns,
                ranking.closed_at_ns,
                [held_view(state) for state in self._states],
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Go on from there; called before the first batch. *Raises:* FormatError; then nothing has changed."""
        found = decoded(snapshot)
        self.newest_ns, self._settled_ns = found.newest_ns, found.settled_ns
        self.budget.left_out_total = dict(found.left_out_total)
        ranking = self._ranking
        ranking.ticks, ranking.last_at_ns, ranking.closed_at_ns = found.ticks, found.last_at_ns, found.closed_at_ns
        for amounts, held in zip(ranking.amounts, found.amounts, strict=False):
            amounts.update(held)
        by_name: dict[str, HeldView] = {held.name: held for held in found.views}
        for state in self._states:
            if (held_state := by_name.get(state.view.name)) is not None:
                put_back(state, held_state)

    def _rank(self, names: Sequence[str], rows: Sequence[Row], first_ns: int) -> None:
        ranking, interval_ns = self._ranking, self._interval_ns
        if interval_ns is not None and ranking.has_rows and first_ns // interval_ns != ranking.last_at_ns // interval_ns:
            ranking.close(self._ranked)
        ranking.take(names, rows)

    def _make_room(self, view: View, series: int) -> bool:
        """End what comes after a view until so many series fit; False: they do not."""
        for state in takewhile(lambda each: each.view.rank > view.rank, reversed(self._states)):
            while state.end_last(self.newest_ns):
                if self.budget.has_room(series):
                    return True
        return False


class _Places(Struct, frozen=True):
    """Where a view finds its values in the rows of one form. *Absent:* None for a column that it has no use for."""

    key: Getter
    grown: Getter
    told: Getter
    where_at: int | None
    wants_null: bool
    final_at: int | None
    elapsed_at: int | None


class _Plan:
    """How the rows of one form of a table are read."""

    def __init__(self, form: TableForm, states: Sequence[ViewState]) -> None:
        self.form = form
        self.decoder = RowDecoder(form)
        place = {name: at for at, name in enumerate(form.names)}
        self.time_at = place.get("timestamp")
        self.places = [
            _Places(
                _getter(place, state.view.key),
                _getter(place, state.grown),
                _getter(place, state.told),
                None if state.view.where is None else place.get(state.view.where[0]),
                state.view.where is not None and not state.view.where[1],
                place.get(state.view.is_final),
                place.get("elapsed_ns"),
            )
            for state in states
        ]


def _take_rows(state: ViewState, places: _Places, rows: Sequence[Row], time_at: int) -> None:
    at_ns = state.before_ns
    for row in rows:
        where_at, final_at = places.where_at, places.final_at
        if where_at is not None and (row[where_at] is None) != places.wants_null:
            continue
        elapsed = None if places.elapsed_at is None else row[places.elapsed_at]
        row_ns = row[time_at]
        assert isinstance(row_ns, int)
        if at_ns is not None and row_ns != at_ns and state.view.is_summed:
            state.tell_tick(at_ns)
        state.apply(
            places.key(row),
            row_ns,
            elapsed if isinstance(elapsed, int) else None,
            places.grown(row),
            places.told(row),
            is_final=final_at is not None and row[final_at] is True,
        )
        at_ns = row_ns
    if state.view.is_summed and at_ns is not None:
        state.tell_tick(at_ns)
    state.before_ns = at_ns


def _getter(place: dict[str, int], names: Sequence[str]) -> Getter:
    """The values of some columns of a row, in C where that can be. *Absent:* None for a column that the form lacks."""
    places = [place.get(name) for name in names]
    known = [at for at in places if at is not None]
    if len(known) == len(places) > 1:
        return itemgetter(*known)
    return lambda row: tuple(None if at is None else row[at] for at in places)
