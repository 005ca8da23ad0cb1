"""The entities of one view, and what is shown: points as rows come (remote write), or present values (/metrics). PURE."""

from collections.abc import Callable, Iterator

from agent.model.sketch import SketchColumns
from agent.model.table import Value
from workers.export.series.budget import Budget
from workers.export.series.identity import Key, NameSource, Pairs, SeriesLabels, bounded_key, label_text, mark_of
from workers.export.series.metric import View
from workers.export.series.tracked import Number, SeriesPoint, Tracked

Values = tuple[Value | SketchColumns, ...]


class ViewState:
    """Holds at most what the budget allows. `make_room` is asked for room for series of this view, and may end others.

    With `interval_ns` points are told: the first row of an entity in each interval, its last row, and ends.
    """

    def __init__(self, view: View, budget: Budget, names: NameSource, make_room: Callable[[View, int], bool]) -> None:
        self.view = view
        self.entities: dict[Key, Tracked] = {}
        self.points: list[SeriesPoint] = []
        self.interval_ns: int | None = None
        # When the rows before the present ones were made: what grew until the first row of an entity began there.
        self.before_ns: int | None = None
        self._budget = budget
        self._names = names
        self._make_room = make_room
        metrics = view.metrics
        self.grown = [metric.column for metric in metrics if metric.source == "grown"]
        self.told = [metric.column for metric in metrics if metric.source != "grown"]
        # Of each metric: whether it grows, its place among those alike, and its divisor.
        counters, others = iter(range(len(metrics))), iter(range(len(metrics)))
        self._places = [
            (metric.source == "grown", next(counters) if metric.source == "grown" else next(others), metric.per)
            for metric in metrics
        ]
        self._taken: dict[Pairs, Key] = {}
        self._size_max = sum(metric.weight for metric in metrics)

    def apply(
        self, key: Key, at_ns: int, elapsed_ns: int | None, grown: tuple[Value, ...], values: Values, *, is_final: bool
    ) -> None:
        """Take one row of an entity. *Units:* nanoseconds of unix time."""
        tracked = self.entities.get(key) or self._admitted(key, at_ns, elapsed_ns)
        if tracked is None:
            return
        if tracked.names_version != self._names.version:
            self._name_again(tracked, at_ns)
        if grown:
            tracked.add(grown)
        is_same_tick = at_ns == tracked.at_ns and bool(tracked.values)
        tracked.values = _summed(tracked.values, values) if self.view.is_summed and is_same_tick else values
        if not is_same_tick:
            tracked.spacing_ns = at_ns - tracked.at_ns
            tracked.at_ns = at_ns
        interval_ns = self.interval_ns
        if interval_ns is not None and (is_final or at_ns // interval_ns != tracked.slot) and not self.view.is_summed:
            self.tell(tracked, at_ns, is_final=is_final)
        if is_final:
            self.end(tracked, at_ns + 1_000_000)

    def tell(self, tracked: Tracked, at_ns: int, *, is_final: bool = False) -> None:
        """Note the samples of an entity, once in an interval."""
        assert self.interval_ns is not None
        slot = at_ns // self.interval_ns
        if slot == tracked.slot and not is_final:
            return
        tracked.slot = slot
        values = tuple(self.value(tracked, place) for place in range(len(self._places)))
        present = frozenset(place for place, value in enumerate(values) if value is not None)
        stale = tuple(sorted(tracked.sent - present))
        tracked.sent = present
        if present or stale:
            self.points.append(SeriesPoint(self.view, tracked.labels, at_ns, tracked.created_ns, values, stale))

    def tell_tick(self, at_ns: int) -> None:
        """Note the samples of all entities of this time, where several rows make one value."""
        if self.interval_ns is not None:
            for tracked in self.entities.values():
                if tracked.at_ns == at_ns:
                    self.tell(tracked, at_ns)

    def value(self, tracked: Tracked, place: int) -> "Number | SketchColumns | None":
        """The present value of one metric. *Absent:* None where the last row had none; a counter that was never read."""
        grows, at, per = self._places[place]
        if grows:
            held: object = tracked.counts[at] if tracked.counts else None
        else:
            held = tracked.values[at] if tracked.values else None
        if held is None or isinstance(held, SketchColumns):
            return held
        if held is True or held is False:
            return int(held)
        assert isinstance(held, int | float)
        return held if per == 1 else held / per

    def end(self, tracked: Tracked, at_ns: int) -> None:
        """Its series end."""
        self._end_sent(tracked, at_ns)
        self._budget.used -= tracked.size
        self._taken.pop(tracked.labels.pairs, None)
        del self.entities[tracked.key]

    def end_others(self, at_ns: int) -> None:
        """End each entity that has no row of this time."""
        for tracked in [tracked for tracked in self.entities.values() if tracked.at_ns != at_ns]:
            self.end(tracked, at_ns)

    def end_last(self, at_ns: int) -> bool:
        """End the entity that came last; False: there is none."""
        tracked = next(reversed(self.entities.values()), None)
        if tracked is None:
            return False
        self.end(tracked, at_ns)
        self._budget.leave_out(self.view.name, self.view.table, tracked.key, tracked.size, at_ns)
        return True

    def settle(self, now_ns: int) -> None:
        """End what is over, and count the series that there really are."""
        for tracked in list(self.entities.values()):
            if not self.view.is_lasting and tracked.is_over(now_ns):
                self.end(tracked, now_ns)
                continue
            if tracked.names_version != self._names.version:
                self._name_again(tracked, now_ns)
            size = sum(metric.weight for place, metric in enumerate(self.view.metrics) if self.value(tracked, place) is not None)
            self._budget.used += size - tracked.size
            tracked.size = size

    def samples(self, places: list[int]) -> Iterator[tuple[Tracked, int, "Number | SketchColumns"]]:
        """The present samples of some metrics: of each entity, with the metric's place."""
        for place in places:
            for tracked in self.entities.values():
                value = self.value(tracked, place)
                if value is not None:
                    yield tracked, place, value

    def hold(self, tracked: Tracked) -> None:
        """Take an entity back, as it was."""
        self.entities[tracked.key] = tracked
        self._taken[tracked.labels.pairs] = tracked.key
        self._budget.used += tracked.size

    def _identity_of(self, key: Key) -> SeriesLabels:
        """The labels of a key, with the names that are known now; never those of another key."""
        pairs = self._pairs_of(key)
        if self._taken.get(pairs, key) != key:
            pairs = tuple(sorted((*pairs, ("duplicate", mark_of(repr(key))))))
        self._taken[pairs] = key
        return SeriesLabels(pairs)

    def _pairs_of(self, key: Key) -> Pairs:
        view = self.view
        of_column = dict(zip(view.key, key, strict=True))
        pairs: dict[str, str] = {}
        for name, column in view.labels:
            value = of_column[column]
            if value is not None:
                pairs[name] = label_text(value)
            elif view.others:
                pairs[name] = view.others
        unit, container = of_column.get(view.unit), of_column.get(view.container)
        if isinstance(unit, str) and (pod := self._names.pod(unit)) is not None:
            pairs |= {"namespace": label_text(pod.namespace)} if pod.namespace else {}
            pairs |= {"pod": label_text(pod.name)} if pod.name else {}
        if isinstance(container, str) and (named := self._names.container(container)) is not None:
            pairs["container"] = label_text(named.name)
        return tuple(sorted(pairs.items()))

    def _admitted(self, key: Key, at_ns: int, elapsed_ns: int | None) -> Tracked | None:
        key = bounded_key(key)
        if (known := self.entities.get(key)) is not None:
            return known
        if not self._budget.has_room(self._size_max) and not self._make_room(self.view, self._size_max):
            self._budget.leave_out(self.view.name, self.view.table, key, self._size_max, at_ns)
            return None
        self._budget.found_room(self.view.name, key)
        if elapsed_ns is not None:
            created_ns = at_ns - elapsed_ns
        else:
            created_ns = at_ns if self.before_ns is None else min(at_ns, self.before_ns)
        tracked = Tracked(key, self._identity_of(key), self._names.version, created_ns)
        tracked.size = self._size_max
        self._budget.used += tracked.size
        self.entities[key] = tracked
        return tracked

    def _name_again(self, tracked: Tracked, at_ns: int) -> None:
        """A name became known, or another one."""
        tracked.names_version = self._names.version
        held = tracked.labels
        self._taken.pop(held.pairs, None)
        identity = self._identity_of(tracked.key)
        if identity.pairs != held.pairs:
            self._end_sent(tracked, at_ns)
            tracked.labels, tracked.slot = identity, -1

    def _end_sent(self, tracked: Tracked, at_ns: int) -> None:
        if tracked.sent:
            nothing = (None,) * len(self._places)
            stale = tuple(sorted(tracked.sent))
            self.points.append(SeriesPoint(self.view, tracked.labels, at_ns, tracked.created_ns, nothing, stale))
            tracked.sent = frozenset()


def _summed(held: Values, added: Values) -> Values:
    return tuple(
        one if other is None else other if one is None else one + other  # type: ignore[operator]  # columns of numbers
        for one, other in zip(held, added, strict=True)
    )
