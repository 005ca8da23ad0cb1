"""Points for remote write: one sample of a series in an interval, and an end for each series that ends."""

from typing import Any

from fakes.known_names import KnownNames
from fakes.series_rows import at, made, process_batch, sketch_batch, unit_batch
from fakes.stored_batch import stored

from agent.model.timebase import S
from workers.export.series.table import SeriesTable
from workers.export.series.tracked import SeriesPoint
from workers.process.schema import PROCESS_TAIL


def pids(points: list[SeriesPoint]) -> list[tuple[str, float, object]]:
    """Of the metric evergauge_unit_pids: (unit, seconds, value); an end is "end"."""
    found: list[tuple[str, float, object]] = []
    for point in points:
        for place, metric in enumerate(point.view.metrics):
            if metric.name == "evergauge_unit_pids":
                value: object = "end" if place in point.stale else point.values[place]
                if value is not None:
                    found.append((dict(point.labels.pairs)["unit"], (point.at_ns - at(0)) / S, value))
    return found


def writing(interval: int = 15, names: KnownNames | None = None) -> SeriesTable:
    """A table that notes points."""
    return made(names=names, interval_ns=interval * S)


def test_the_first_row_of_each_interval_is_told() -> None:
    """Counters lose nothing by it: their sums go on."""
    table = writing()
    for second in range(40):
        table.take(unit_batch(second, "/a", pids=second))
    # 1.7e9 is a multiple of 10 and not of 15.
    assert pids(table.take_points()) == [("/a", 0, 0), ("/a", 10, 10), ("/a", 25, 25)]
    assert table.take_points() == []


def test_every_row_is_told_where_that_is_wanted() -> None:
    """An interval of a second."""
    table = writing(1)
    for second in range(3):
        table.take(unit_batch(second, "/a", pids=second))
    assert [value for _, _, value in pids(table.take_points())] == [0, 1, 2]


def test_the_last_row_is_told_and_ends_the_series() -> None:
    """Whatever the interval; the end comes a millisecond later."""
    table = writing()
    table.take(unit_batch(0, "/a", pids=1))
    table.take(unit_batch(1, "/a", pids=2, is_final=True))
    assert pids(table.take_points()) == [("/a", 0, 1), ("/a", 1, 2), ("/a", 1.001, "end")]


def test_a_unit_without_rows_ends() -> None:
    """By the time of the rows of others."""
    table = writing()
    table.take(unit_batch(0, "/a", pids=1))
    for second in (40, 66, 90):
        table.take(unit_batch(second, "/b", pids=1))
    assert pids(table.take_points()) == [("/a", 0, 1), ("/b", 40, 1), ("/b", 66, 1), ("/a", 66, "end"), ("/b", 90, 1)]


def test_a_value_that_is_absent_ends_its_series_and_may_come_back() -> None:
    """A limit that was lifted."""
    table = writing(1)
    for second, value in enumerate((1, None, None, 2)):
        table.take(unit_batch(second, "/a", pids=value))
    assert pids(table.take_points()) == [("/a", 0, 1), ("/a", 1, "end"), ("/a", 3, 2)]


def test_a_name_that_becomes_known_ends_the_series_without_it() -> None:
    """Two series of one unit would count twice."""
    names = KnownNames()
    table = writing(names=names)
    table.take(unit_batch(0, "uid-1", pids=1))
    names.learn("uid-1", "shop", "web-0")
    table.take(unit_batch(1, "uid-1", pids=2))
    points = table.take_points()
    assert pids(points) == [("uid-1", 0, 1), ("uid-1", 1, "end"), ("uid-1", 1, 2)]
    assert "pod" not in dict(points[1].labels.pairs)
    assert dict(points[2].labels.pairs)["pod"] == "web-0"


def test_a_command_that_leaves_its_rank_ends() -> None:
    """Ranks are told when an interval is over."""
    table = writing(10)
    table.take(process_batch(0, ("a", 1, 100, 0, 0), ("b", 2, 50, 0, 0)))
    table.take(process_batch(10, ("b", 2, 100, 0, 0)))
    assert [(dict(point.labels.pairs)["command"], point.stale) for point in table.take_points()] == [("a", ()), ("b", ())]
    table.take(process_batch(20, ("b", 2, 100, 0, 0)))
    points = [(dict(point.labels.pairs), point.stale, (point.at_ns - at(0)) // S) for point in table.take_points()]
    assert points == [
        ({"command": "b", "rank": "1"}, (), 10),
        ({"command": "a", "rank": "1"}, (0,), 10),
        ({"command": "b", "rank": "2"}, (0,), 10),
    ]


def test_parts_of_a_unit_are_told_as_one_value() -> None:
    """A sum is told when all of its rows were seen, and each time has its own."""
    table = writing(1)
    for second in range(2):
        rows: list[dict[str, Any]] = [
            {"timestamp": at(second), "pod_uid": "/a", "command": name, "commands": 1, "processes": 1, "cpu_ns": S}
            for name in "xyz"
        ]
        table.take(stored(PROCESS_TAIL, rows))
    assert [(point.values[0], point.values[2]) for point in table.take_points()] == [(3.0, 3), (6.0, 3)]


def test_each_window_of_a_sketch_is_told() -> None:
    """Windows follow each other; each is a histogram of its own."""
    table = writing()
    for minute in (1, 2):
        table.take(sketch_batch(60 * minute, "/a", "x", "rss", [minute]))
    values = [point.values[0] for point in table.take_points()]
    assert [getattr(value, "sum", None) for value in values] == [1, 2]


def test_a_unit_without_parts_at_a_time_has_no_sample_of_it() -> None:
    """What others have then says nothing of it once more."""
    table = writing(1)
    for second, units in enumerate((("/a", "/b"), ("/b",))):
        rows: list[dict[str, Any]] = [
            {"timestamp": at(second), "pod_uid": unit, "command": "x", "commands": 1, "processes": 1, "cpu_ns": S} for unit in units
        ]
        table.take(stored(PROCESS_TAIL, rows))
    found = [(dict(point.labels.pairs)["unit"], (point.at_ns - at(0)) // S) for point in table.take_points()]
    assert found == [("/a", 0), ("/b", 0), ("/b", 1)]
