"""Tables and snapshots of other versions: what is not known is passed over, and the rest goes on."""

import msgspec
from fakes.series_rows import made, process_batch, shown, sketch_batch, unit_batch
from fakes.stored_batch import stored
from msgspec.structs import replace

from workers.export.series.ranking import Ranking
from workers.export.series.sketch_rows import take_sketches
from workers.export.series.snapshot import decoded, encoded
from workers.unit.schema import UNIT


def test_rows_without_the_columns_of_a_ranking_are_not_ranked() -> None:
    """A table of an older version had no bytes written."""
    ranking = Ranking(has_pids=False)
    ranking.take(("timestamp", "comm"), [(5, "x")])
    assert not ranking.has_rows


def test_sketches_of_another_form_or_metric_are_passed_over() -> None:
    """A later version may sketch something else."""
    take_sketches(("timestamp", "metric"), [(5, "rss")], ())
    table = made()
    table.take(sketch_batch(0, "/a", "x", "of_tomorrow", [1]))
    assert list(table.families()) == []
    table.take(sketch_batch(0, "/a", "x", "rss", [1]))
    assert len(shown(table, "evergauge_process_memory_bytes")) == 1


def test_a_batch_without_rows_changes_nothing() -> None:
    """Nor its time."""
    table = made()
    table.take(stored(UNIT, []))
    assert (table.newest_ns, list(table.families())) == (0, [])


def test_a_snapshot_with_other_views_is_taken_as_far_as_it_goes() -> None:
    """A view that it has not begins with nothing, and so does one with other metrics."""
    table = made()
    table.take(unit_batch(0, "/a", pids=7))
    table.take(process_batch(0, ("x", 1, 5, 5, 5)))
    held = decoded(table.snapshot())
    others = [view for view in held.views if view.name != "unit"]
    changed = [replace(view, metrics="other") if view.name == "unit" else view for view in held.views]
    for views in (others, changed):
        again = made()
        again.restore(encoded(replace(held, views=views)))
        assert (shown(again, "evergauge_unit_pids"), again.newest_ns) == ({}, table.newest_ns)
    whole = made()
    whole.restore(msgspec.msgpack.encode(held))
    assert len(shown(whole, "evergauge_unit_pids")) == 1


def test_a_smaller_budget_ends_what_comes_last() -> None:
    """With the next settling, one entity after the other."""
    table = made()
    table.take(unit_batch(0, "/a", "/b", pids=7))
    table.settle(table.newest_ns)
    table.budget.series_max = 1
    table.settle(table.newest_ns)
    assert table.budget.used <= 1
