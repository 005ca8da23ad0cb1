"""A node never has more series than it was told, and what finds no room is counted."""

from typing import Any

from fakes.known_names import KnownNames
from fakes.series_rows import at, made, shown, sketch_batch, unit_batch
from fakes.stored_batch import stored

from workers.export.series.budget import REMEMBERED_MAX, Budget
from workers.export.series.catalogue_unit import UNIT as UNIT_VIEW
from workers.export.series.identity import LABEL_LENGTH_MAX, label_text
from workers.host.schema import HOST_DISK

SIZE = len(UNIT_VIEW.metrics)


def test_what_finds_no_room_is_counted_once() -> None:
    """A unit asks for room with each of its rows."""
    table = made(series_max=2 * SIZE)
    for second in range(5):
        table.take(unit_batch(second, "/a", "/b", "/c", pids=1))
    assert len(shown(table, "evergauge_unit_pids")) == 2
    assert table.budget.left_out_total == {"unit": SIZE}
    assert table.budget.left_out() == {"unit": SIZE}


def test_room_that_becomes_free_is_given_away() -> None:
    """Values that are absent need no room; neither do units that have gone."""
    table = made(series_max=2 * SIZE)
    table.take(unit_batch(0, "/a", "/b", "/c", pids=1))
    table.settle(at(0))
    assert table.budget.used == 2
    table.take(unit_batch(1, "/c", pids=1))
    assert len(shown(table, "evergauge_unit_pids")) == 3
    assert table.budget.left_out() == {}
    assert table.budget.left_out_total == {"unit": SIZE}


def test_what_comes_first_takes_the_room_of_what_comes_after() -> None:
    """Disks and units come before histograms."""
    table = made(series_max=SIZE + 8)
    table.take(sketch_batch(0, "/a", "x", "rss", [1]))
    table.take(sketch_batch(0, "/a", "y", "rss", [1]))
    table.take(unit_batch(1, "/a", pids=1))
    table.take(stored(HOST_DISK, [{"timestamp": at(1), "device": "sda", "devices": 1, "reads": 1}]))
    assert len(shown(table, "evergauge_unit_pids")) == 1
    assert len(shown(table, "evergauge_disk_reads_total")) == 1
    assert shown(table, "evergauge_process_memory_bytes") == {}
    assert set(table.budget.left_out_total) == {"process_sketch"}
    assert table.budget.used <= table.budget.series_max


def test_values_that_appear_later_stay_within_the_budget() -> None:
    """A unit whose counters could not be read at first has more series afterwards."""
    table = made(series_max=SIZE + 2)
    table.take(unit_batch(0, "/a", "/b", pids=1))
    table.settle(at(0))
    table.take(unit_batch(1, "/b", pids=1))
    every: dict[str, Any] = {metric.column: 1 for metric in UNIT_VIEW.metrics}
    table.take(unit_batch(2, "/a", "/b", **every))
    table.settle(at(2))
    assert table.budget.used <= SIZE + 2
    assert list(shown(table, "evergauge_unit_pids")) == ['kind="service",unit="/a"']


def test_left_out_units_are_forgotten_when_they_are_gone() -> None:
    """Nothing grows with the units that ever were."""
    table = made(series_max=0)
    for second in range(300):
        table.take(unit_batch(second, f"/u{second}", pids=1))
        table.settle(at(second))
    assert 60 <= sum(table.budget.left_out().values()) / SIZE <= 70
    assert table.budget.left_out_total == {"unit": 300 * SIZE}


HOSTILE = ["a\nb", "a\\nb", 'q"uote', "\x1b[2J", "x" * 65_536, "x" * 65_535, "\udcff", "\\xff", "", "ü\u2028", "a{b}", "\x00"]


def test_hostile_names_stay_harmless_and_apart() -> None:
    """Each is one line of bounded valid text, and no two units become one series."""
    texts = [label_text(name) for name in HOSTILE]
    assert len(set(texts)) == len(HOSTILE)
    assert all(text.isprintable() and len(text.encode()) <= 4 * LABEL_LENGTH_MAX + 16 for text in texts)
    table = made()
    for name in (name for name in HOSTILE if "\udcff" not in name):
        for second in range(2):
            table.take(unit_batch(second, name, pids=1))
    assert len(shown(table, "evergauge_unit_pids")) == len(HOSTILE) - 1
    assert len(table.snapshot()) < 20_000


def test_two_keys_with_the_same_labels_are_two_series() -> None:
    """A disk may have the name that stands for all others."""
    table = made()
    rows = [{"timestamp": at(0), "device": name, "devices": 1, "reads": number} for number, name in enumerate([None, "(others)"])]
    table.take(stored(HOST_DISK, rows))
    found = shown(table, "evergauge_disk_reads_total")
    assert sorted(found.values()) == [0, 1]
    assert 'device="(others)"' in found


def test_a_second_pod_of_the_same_name_is_a_series_of_its_own() -> None:
    """A pod that was made again has another uid."""
    names = KnownNames()
    names.learn("uid-1", "shop", "web-0")
    names.learn("uid-2", "shop", "web-0")
    table = made(names=names)
    table.take(unit_batch(0, "uid-1", "uid-2", kind="pod", pids=1))
    assert len(shown(table, "evergauge_unit_pids")) == 2


def test_what_found_no_room_is_remembered_up_to_a_bound() -> None:
    """The one that asked first is forgotten, and counted again when it comes back."""
    budget = Budget(0)
    for number in range(REMEMBERED_MAX + 1):
        budget.leave_out("unit", "unit", (number,), 1, 5)
    assert budget.left_out() == {"unit": REMEMBERED_MAX}
    budget.leave_out("unit", "unit", (0,), 1, 6)
    assert budget.left_out_total == {"unit": REMEMBERED_MAX + 2}


def test_a_truth_is_a_word_of_prometheus() -> None:
    """In lower case, as its own labels are."""
    assert [label_text(value) for value in (True, False, 7, None)] == ["true", "false", "7", "None"]
