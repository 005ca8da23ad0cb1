"""How many series there may be, and how many found no room. PURE."""

from agent.model.table import Value

# More that found no room are counted as one only while they are remembered.
REMEMBERED_MAX = 20_000


class Budget:
    """Room for `series_max` series, shared by all views. Who wants room asks for it before it holds anything.

    `left_out_total` counts the series that found no room, by table; `left_out` says how many there are now.
    """

    def __init__(self, series_max: int) -> None:
        self.series_max = series_max
        self.used = 0
        self.left_out_total: dict[str, int] = {}
        # By view: the hash of each key that found no room, and its series and when it last asked.
        self._without_room: dict[str, dict[int, tuple[int, int]]] = {}

    def has_room(self, series: int) -> bool:
        """Whether so many more fit."""
        return self.used + series <= self.series_max

    def leave_out(self, view: str, table: str, key: tuple[Value, ...], series: int, at_ns: int) -> None:
        """An entity found no room at this time; it is counted once until it is forgotten."""
        of_view = self._without_room.setdefault(view, {})
        known = hash(key)
        if known not in of_view:
            self.left_out_total[table] = self.left_out_total.get(table, 0) + series
            if len(of_view) >= REMEMBERED_MAX:
                del of_view[next(iter(of_view))]
        of_view[known] = (series, at_ns)

    def found_room(self, view: str, key: tuple[Value, ...]) -> None:
        """It is no longer left out."""
        if (of_view := self._without_room.get(view)) is not None:
            of_view.pop(hash(key), None)

    def forget(self, before_ns: int) -> None:
        """Entities that have not asked since are gone."""
        for of_view in self._without_room.values():
            for known in [known for known, (_, at_ns) in of_view.items() if at_ns < before_ns]:
                del of_view[known]

    def left_out(self) -> dict[str, int]:
        """How many series have no room at present, by view; views without any are not in it."""
        counts = {view: sum(series for series, _ in of_view.values()) for view, of_view in self._without_room.items()}
        return {view: count for view, count in counts.items() if count}
