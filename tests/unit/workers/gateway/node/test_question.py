"""Questions to stored data in words of agentctl, and its answers as documents."""

import json

import pytest

from agent.model.errors import FormatError
from workers.gateway.node import question
from workers.gateway.node.document import GapSpan


def name(uid: str, cgroup: str) -> str:
    """What a unit is called."""
    return f"{uid}@{cgroup}"


@pytest.mark.parametrize(("seconds", "step"), [(1, 1), (450, 1), (451, 2), (3600, 8), (21_600, 50), (86_400, 200)])
def test_a_value_covers_so_many_seconds(seconds: int, step: int) -> None:
    """A round number of them beyond ten."""
    assert question.step_of(1_000, 1_000 + seconds) == step


def test_the_command_asks_for_the_time_and_nothing_else() -> None:
    """In nanoseconds, in one line, as JSON."""
    words = question.series_arguments(100, 3700)
    assert words[0] == "query"
    assert "timestamp >= 100000000000 AND timestamp < 3700000000000" in words[1]
    assert "\n" not in words[1]
    assert "// 8 * 8 + 100" in words[1]
    assert "timestamp > 98000000000 AND timestamp < 102000000000" in question.processes_arguments(100)[1]
    assert question.neighbours_arguments("a", "b")[:5] == ["neighbours", "--since", "a", "--until", "b"]


def test_an_answer_becomes_lists_of_steps() -> None:
    """Steps without a row are unknown, and a gap where others are around them."""
    rows = [
        {"id": "", "kind": "", "cgroup": "", "s": 100, "cpu": 1.0, "memory": 2.0},
        {"id": "u", "kind": "", "cgroup": "", "s": 100, "cache": 5.0},
        {"id": "u", "kind": "pod", "cgroup": "/c", "s": 101, "cpu": 0.5, "pressure": None},
        {"id": "", "kind": "", "cgroup": "", "s": 105, "cpu": 3.0},
        {"id": "", "kind": "", "cgroup": "", "s": 107, "cpu": 3.0},
        {"id": "", "kind": "", "cgroup": "", "s": 900, "cpu": 3.0},
        {"id": "v", "kind": "pod", "cgroup": "/d", "s": 107, "cpu": 0.25},
        {"id": "v", "kind": "pod", "cgroup": "/d", "s": 108, "cpu": 0.25},
        {"id": "v", "kind": "pod", "cgroup": "/d", "s": 109, "cpu": 0.25},
    ]
    gaps = [GapSpan(0, 50, "other"), GapSpan(103, 104, "frozen")]
    found = question.series_answer(json.dumps(rows).encode(), 100, 110, gaps, name)
    assert (found.since, found.until, found.step) == (100, 110, 1)
    assert found.host["cpu"] == [1.0, None, None, None, None, 3.0, None, 3.0, None, None]
    assert found.host["pressure_io"] == [None] * 10
    assert found.gaps == [GapSpan(102, 105, "frozen"), GapSpan(106, 107, "")]
    assert [(unit.id, unit.name, unit.kind, sorted(unit.values)) for unit in found.units] == [
        ("u", "u@/c", "pod", ["cache", "cpu"]),
        ("v", "v@/d", "pod", ["cpu"]),
    ]
    assert found.units[0].values["cache"][0] == 5.0
    assert question.series_answer(b"[]", 0, 5, (), name).gaps == []


def test_processes_of_a_moment() -> None:
    """In the order of the answer."""
    row = {"t": 5_500_000_000, "pid": 1, "command": "a", "unit": "u", "state": "R", "cpu": 0.5, "memory": 9, "io": 0, "threads": 2}
    found = question.processes_answer(json.dumps([row, row | {"pid": 2, "unit": None}]).encode(), name)
    assert found.t == 5.5
    assert [(each.pid, each.unit_name) for each in found.processes] == [(1, "u@u"), (2, "")]
    assert question.processes_answer(b"[]", name).t is None


def test_neighbours_are_handed_on() -> None:
    """As agentctl says them."""
    found = question.neighbours_answer(b'{"looked": {"units": 1}, "victims": [{"unit": "u"}]}')
    assert (found.looked, found.victims) == ({"units": 1}, [{"unit": "u"}])


@pytest.mark.parametrize("output", [b"", b"no JSON", b"{}", b'[{"id": 1}]', b"\xff"])
def test_what_is_no_answer_is_a_failure(output: bytes) -> None:
    """With a sentence."""
    with pytest.raises(FormatError, match="agentctl"):
        question.series_answer(output, 0, 10, (), name)
