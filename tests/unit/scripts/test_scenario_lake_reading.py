"""A lake in a folder as scenarios read it: which files count, what its marks say, what a broker's mark counts."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.judgement import Judgement
from scenarios.judging import judge
from scenarios.lake_reading import lake_entry, live_files
from scenarios.store_evidence import CommitCount, CursorMark, MarkMoment, StoreEvidence, mark_moments


def test_files_count_from_the_commit_that_adds_them_to_the_one_that_removes_them() -> None:
    """A compaction removes what it has merged."""
    first = lake_entry(1, {"adds": [{"path": "a"}, {"path": "b"}], "offsets": {"t/0": {"base": 0, "next": 5}}})
    second = lake_entry(2, {"adds": [{"path": "c"}], "removes": ["a"], "marks": {"process": {"h": [7, 1, "w", 2]}}})
    assert (live_files([]), live_files([first]), live_files([first, second])) == ([], ["a", "b"], ["b", "c"])
    assert (first.has_offsets, second.has_offsets, second.marks) == (True, False, {("process", "h"): 7})


def test_a_mark_is_held_against_the_rows_that_count_then() -> None:
    """Those before it: here and in the files of its commit and of those before. Tables that are not compared are passed over."""
    times = {"process": {"a": [1, 2, 3], "b": [4], "c": [3, 2, 1, 4]}}
    commits: list[tuple[int, list[str], list[str], dict[str, int]]] = [
        (1, ["a"], [], {"process": 4, "host": 9}),
        (2, [], [], {"process": 5}),
        (3, ["c", "b"], ["a", "b"], {"process": 5}),
    ]
    assert mark_moments(commits, times, {"process": [4, 3, 2, 1]}) == [
        MarkMoment(1, "process", 4, 3, 3),
        MarkMoment(2, "process", 5, 4, 3),
        MarkMoment(3, "process", 5, 4, 4),
    ]
    assert mark_moments(commits[:1], {}, {"process": [1]}) == [MarkMoment(1, "process", 4, 1, 0)]


def _judged(name: str, stores: StoreEvidence, **limits: float) -> list[Judgement]:
    return judge([ValidatorChoice(name, None, limits)], Evidence(0, 1, 1, stores=stores))


def _bad(name: str, stores: StoreEvidence, **limits: float) -> list[str]:
    return [each.what for each in _judged(name, stores, **limits) if not each.is_good]


def test_a_mark_that_is_ahead_of_its_rows_is_found() -> None:
    """And a commit of rows without their offsets, and marks in too few commits."""
    good = MarkMoment(1, "process", 4, 3, 3)
    held = StoreEvidence(marks=[good], commits=CommitCount(1, 0))
    assert _bad("marks", held, commits_least=1) == []
    assert _bad("marks", held, commits_least=2) == ["commits with marks"]
    ahead = StoreEvidence(marks=[good, MarkMoment(2, "process", 5, 4, 3)], commits=CommitCount(1, 1))
    assert _bad("marks", ahead, commits_least=1) == ["marks ahead of their rows", "commits of rows without offsets"]
    assert "commit 2 lacks 1 rows of process" in _judged("marks", ahead, commits_least=1)[0].evidence


@pytest.mark.parametrize("nothing", [{}, {"marks": [MarkMoment(1, "process", 4, 3, 3)]}, {"commits": CommitCount(1, 0)}])
def test_without_marks_or_commits_nothing_is_judged_good(nothing: dict[str, Any]) -> None:
    """What was not measured is no success."""
    assert _bad("marks", StoreEvidence(**nothing), commits_least=1) == ["marks of commits"]


def test_a_mark_that_counts_other_rows_than_the_topics_have_is_found() -> None:
    """In either direction; and too few transactions, and none at all."""
    assert _bad("cursor", StoreEvidence(cursors=[CursorMark("kafka", 10, 50, 50, 3)]), transactions_least=10) == []
    off = StoreEvidence(cursors=[CursorMark("kafka", 10, 49, 50, 0)])
    assert _bad("cursor", off, transactions_least=11) == ["rows that mark and topics of kafka differ by", "transactions of kafka"]
    assert _bad("cursor", StoreEvidence(), transactions_least=1) == ["mark in the topics"]
