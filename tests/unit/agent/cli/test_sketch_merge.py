"""Sketches of many windows and keys in one answer, and what of the time is missing."""

from collections.abc import Sequence
from typing import Any

import pytest
from fakes.stored_sketches import WINDOW_NS, sketch_row

from agent.cli import sketch_merge
from agent.cli.sketch_merge import Coverage, SketchMerge
from agent.cli.time_bounds import EVERYTHING, TimeBounds
from agent.model.errors import MisuseError
from agent.model.sketch import Sketch
from agent.model.table import Row
from workers.process.schema import PROCESS_SKETCH

BEGIN = 1_700_000_040 * 10**9
WEB, API, DB, SHARED = ("u-web", "nginx"), ("u-web", "api"), ("u-db", "postgres"), (None, None)


def named(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(zip(PROCESS_SKETCH.column_names, row, strict=True)) for row in rows]


def sketch_of(*values: int) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def test_hosts_are_told_apart_where_that_is_asked_for() -> None:
    """A line for each, with the sketch that its keys share; of one host alone; windows are missing of each host by itself."""
    rows = named(
        [sketch_row(BEGIN, [1], key=WEB), sketch_row(BEGIN, [2], key=SHARED), sketch_row(BEGIN + 2 * WINDOW_NS, [3], key=WEB)]
    )
    other = named([sketch_row(BEGIN + WINDOW_NS, [9], key=WEB)])
    merge = SketchMerge(EVERYTHING, ("host",), None)
    merge.take([{**row, "host": "a"} for row in rows] + [{**row, "host": "b"} for row in other])
    assert {key: group.sketch.count for key, group in merge.groups.items()} == {("a",): 3, ("b",): 1}
    covered = merge.coverage()
    assert (covered.windows, covered.missing, covered.first_ns, covered.behind_ns) == (3, 1, BEGIN, BEGIN + 3 * WINDOW_NS)
    merge = SketchMerge(EVERYTHING, (), None, hosts=frozenset({"b"}))
    merge.take([{**row, "host": "a"} for row in rows] + [{**row, "host": "b"} for row in other])
    assert merge.groups[()].sketch == sketch_of(9)


def test_without_a_choice_everything_is_one_sketch() -> None:
    """All units, commands and windows, and the row of those that share one."""
    merge = SketchMerge(EVERYTHING, (), None)
    merge.take(named([sketch_row(BEGIN, [1, 2], key=WEB), sketch_row(BEGIN, [3], key=SHARED, keys=7)]))
    merge.take(named([sketch_row(BEGIN + WINDOW_NS, [400], key=DB)]))
    assert list(merge.groups) == [()]
    assert merge.groups[()].sketch == sketch_of(1, 2, 3, 400)
    assert merge.groups[()].windows == {BEGIN, BEGIN + WINDOW_NS}


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        (("pod",), {("u-web",), ("u-db",), None}),
        (("command",), {("nginx",), ("api",), ("postgres",), None}),
        (("command", "pod"), {("nginx", "u-web"), ("api", "u-web"), ("postgres", "u-db"), None}),
    ],
)
def test_an_answer_is_split_by_parts_of_the_key(by: tuple[str, ...], keys: set[tuple[str, ...] | None]) -> None:
    """In the order that is asked for; those that share a sketch have a line of their own."""
    merge = SketchMerge(EVERYTHING, by, None)
    merge.take(named([sketch_row(BEGIN, [1], key=key) for key in (WEB, API, DB, WEB, SHARED)]))
    assert merge.groups.keys() == keys
    assert sum(group.sketch.count for group in merge.groups.values()) == 5


def test_a_host_process_is_no_shared_row() -> None:
    """It has a command, and no unit."""
    merge = SketchMerge(EVERYTHING, ("pod",), None)
    merge.take(named([sketch_row(BEGIN, [1], key=(None, "sshd")), sketch_row(BEGIN, [1], key=SHARED, keys=3)]))
    assert {key: group.keys for key, group in merge.groups.items()} == {(None,): 1, None: 3}


def test_what_is_not_chosen_does_not_count() -> None:
    """Nor does a shared row, in which the chosen may be; its windows are told."""
    merge = SketchMerge(EVERYTHING, (), lambda pod, command: pod == "u-web")
    merge.take(named([sketch_row(BEGIN, [1], key=WEB), sketch_row(BEGIN, [2], key=DB), sketch_row(BEGIN, [3], key=SHARED)]))
    assert merge.groups[()].sketch == sketch_of(1)
    assert merge.shared_windows == {BEGIN}


def test_windows_that_overlap_the_time_count_as_a_whole() -> None:
    """Others do not, though their rows were read."""
    merge = SketchMerge(TimeBounds(BEGIN + 1, BEGIN + WINDOW_NS + 1), (), None)
    merge.take(named([sketch_row(BEGIN + number * WINDOW_NS, [number + 1]) for number in range(-1, 3)]))
    assert merge.groups[()].sketch == sketch_of(1, 2)


def test_rows_that_hold_no_sketch_are_counted() -> None:
    """Damaged ones, and those of other programs."""
    good, *bad = named([sketch_row(BEGIN, [5])] * 4)
    bad[0]["count"], bad[1]["window_start"], bad[2]["counts"] = 7, None, None
    merge = SketchMerge(EVERYTHING, (), None)
    merge.take([good, *bad])
    assert (merge.damaged, merge.groups[()].sketch) == (3, sketch_of(5))


def test_different_scales_are_merged_at_the_coarser_one() -> None:
    """The error of the answer is that of it."""
    values = [1 << power for power in range(0, 60, 2)]
    merge = SketchMerge(EVERYTHING, (), None)
    merge.take(named([sketch_row(BEGIN, [7]), sketch_row(BEGIN, values, key=DB, buckets_max=16)]))
    sketch = merge.groups[()].sketch
    assert (sketch.scale, sketch.count) == (-2, 31)


def test_too_many_lines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do, before the memory is gone."""
    monkeypatch.setattr(sketch_merge, "GROUPS_MAX", 2)
    merge = SketchMerge(EVERYTHING, ("command",), None)
    with pytest.raises(MisuseError, match="more than 2 lines; choose some"):
        merge.take(named([sketch_row(BEGIN, [1], key=(None, f"c{number}")) for number in range(3)]))


def test_the_coverage_says_what_is_missing() -> None:
    """Windows without rows, and those with fewer ticks; one that a restart cut in two is whole with both parts."""
    rows = [
        sketch_row(BEGIN, [1], ticks=60),
        sketch_row(BEGIN, [1], ticks=60, key=DB),
        sketch_row(BEGIN + WINDOW_NS, [1], ticks=20),
        sketch_row(BEGIN + WINDOW_NS, [1], ticks=40),
        sketch_row(BEGIN + 4 * WINDOW_NS, [1], ticks=13),
    ]
    merge = SketchMerge(EVERYTHING, (), None)
    merge.take(named(rows))
    assert merge.coverage() == Coverage(3, 1, 2, 60, BEGIN, BEGIN + 5 * WINDOW_NS)


def test_without_rows_nothing_is_covered() -> None:
    """And nothing is missing."""
    assert SketchMerge(EVERYTHING, (), None).coverage() == Coverage(0, 0, 0, 0, None, None)
