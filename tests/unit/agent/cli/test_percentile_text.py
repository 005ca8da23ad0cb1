"""An answer of percentiles, as lines and as JSON."""

from datetime import UTC
from typing import Any

import pytest
from fakes.stored_sketches import WINDOW_NS, sketch_row

from agent.cli.percentile_text import amount_of, coverage_lines, group_document, key_texts, percentile_table, time_of
from agent.cli.sketch_merge import SketchMerge
from agent.cli.time_bounds import EVERYTHING
from agent.model.table import Row
from workers.process.schema import PROCESS_SKETCH

BEGIN = 1_700_000_040 * 10**9
P = (("50", 0.5), ("99", 0.99))
SHARED = (None, None)


def merge_of(*rows: Row, by: tuple[str, ...] = (), pods: frozenset[str] = frozenset()) -> SketchMerge:
    merge = SketchMerge(EVERYTHING, by, (lambda pod, command: pod in pods) if pods else None)
    named: list[dict[str, Any]] = [dict(zip(PROCESS_SKETCH.column_names, row, strict=True)) for row in rows]
    merge.take(named)
    return merge


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ns"),
        (850, "850 ns"),
        (1_500, "1.5 us"),
        (12_345_678, "12.3 ms"),
        (999e6, "999 ms"),
        (2.5e9, "2.5 s"),
        (9e12, "9000 s"),
    ],
)
def test_a_time_has_the_unit_that_suits_it(value: float, text: str) -> None:
    """Three digits of it are within the error."""
    assert time_of(value) == text


def test_memory_is_in_binary_units() -> None:
    """And absent where there is none."""
    assert (amount_of("rss", 3 << 20), amount_of("cpu", None)) == ("3.0 MiB", "-")


def test_the_largest_line_is_first() -> None:
    """Names of pods where they are known; those that share a sketch are in a line of their own."""
    merge = merge_of(
        sketch_row(BEGIN, [0] * 98 + [5_000_000] * 2),
        sketch_row(BEGIN, [80_000_000], key=("u-db", "post\x1bgres")),
        sketch_row(BEGIN, [1_000], key=(None, "sshd")),
        sketch_row(BEGIN, [1], key=SHARED, keys=9),
        by=("pod", "command"),
    )
    columns, lines = percentile_table("cpu", P, ("pod", "command"), merge, {"u-web": "shop/web"})
    assert [column.title for column in columns] == ["POD", "COMMAND", "VALUES", "WINDOWS", "P50", "P99", "MAX", "ERROR"]
    assert lines == [
        ("u-db", "post\\x1bgres", "1", "1", "80 ms", "80 ms", "80 ms", "0.54 %"),
        ("shop/web", "nginx", "100", "1", "0 ns", "5 ms", "5 ms", "0.54 %"),
        ("no pod", "sshd", "1", "1", "1 us", "1 us", "1 us", "0.54 %"),
        ("further pods and commands, up to 9 at once", "-", "1", "1", "1 ns", "1 ns", "1 ns", "0.54 %"),
    ]


def test_the_time_that_is_covered_is_said() -> None:
    """In full, nothing else is."""
    merge = merge_of(sketch_row(BEGIN, [1]), sketch_row(BEGIN + WINDOW_NS, [1]))
    assert coverage_lines("cpu", merge, UTC, is_chosen=False) == [
        "CPU time of a process in a tick; 2 windows from 2023-11-14 22:14:00 to 2023-11-14 22:16:00"
    ]


def test_what_is_missing_is_said() -> None:
    """Windows with fewer ticks, without rows, and with shared sketches where something is chosen."""
    merge = merge_of(
        sketch_row(BEGIN, [1]),
        sketch_row(BEGIN + 3 * WINDOW_NS, [1], ticks=5),
        sketch_row(BEGIN, [1], key=SHARED, keys=4),
        pods=frozenset({"u-web"}),
    )
    lines = coverage_lines("rss", merge, UTC, is_chosen=True)
    assert lines[0].startswith("resident memory of a process at a tick; 2 windows from ")
    assert lines[1:] == [
        "1 window has fewer ticks than the fullest, which has 60",
        "2 windows in between without rows: the agent or the sampler did not run",
        "in 1 window some units and commands share a sketch: values of the chosen ones may be missing there",
    ]
    merge.take([dict(zip(PROCESS_SKETCH.column_names, sketch_row(BEGIN + WINDOW_NS, [1], ticks=7), strict=True))])
    assert coverage_lines("rss", merge, UTC, is_chosen=False)[1] == "2 windows have fewer ticks than the fullest, which has 60"


def test_a_line_as_json_has_exact_numbers_beside_estimates() -> None:
    """Uid and name of the pod, and the error."""
    merge = merge_of(sketch_row(BEGIN, [0, 7]), sketch_row(BEGIN, [3], key=SHARED, keys=4), by=("pod", "command"))
    documents = [group_document(key, ("pod", "command"), group, P, {"u-web": "shop/web"}) for key, group in merge.groups.items()]
    assert documents[0] == {
        "pod": "u-web", "pod_name": "shop/web", "command": "nginx", "is_further": False, "values": 2, "windows": 1,
        "percentiles": {"50": 0.0, "99": 0.0}, "relative_error": pytest.approx(0.005415, rel=1e-3), "sum": 7, "min": 0, "max": 7,
    }  # fmt: skip
    assert (documents[1]["is_further"], "pod" in documents[1]) == (True, False)


def test_a_process_of_no_pod_has_no_namespace() -> None:
    """An unknown command is a dash, which is another thing."""
    assert key_texts((None, None, None), ("namespace", "pod", "command"), {}, 0) == ("no namespace", "no pod", "-")
    assert key_texts(("shop", "u", "x"), ("namespace", "pod", "command"), {"u": "shop/web"}, 0) == ("shop", "shop/web", "x")
