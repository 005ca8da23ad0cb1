"""Stored batches in, seconds of the page out."""

from typing import Any

import pytest
from fakes.page_story import story_table
from fakes.stored_batch import stored, stored_bytes

from agent.model.rule import Assignment, Unit, UnitKind, canonical
from agent.model.rule_state import RuleState
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.store.record import form_of
from workers.export.assigned_names import AssignedNames
from workers.gateway.node import board as board_module
from workers.gateway.node.board import GAPS_MAX, PROCESSES_MAX, NodeBoard
from workers.gateway.node.document import GapSpan, HostPoint, UnitPoint

BEGIN = 1_700_000_000


def batch(table: str, second: float, *rows: dict[str, Any]) -> StoredBatch:
    """Rows of a table in one second."""
    return stored(story_table(table), [{"timestamp": int((BEGIN + second) * S)} | row for row in rows])


def unit_row(unit: str = "/a.service", **columns: Any) -> dict[str, Any]:
    """A row of table unit."""
    head = {"unit": unit, "kind": "service", "cgroup": unit, "is_final": False, "elapsed_ns": S}
    return head | columns


def made(rules: RuleState | None = None) -> tuple[NodeBoard, AssignedNames]:
    """A board, and the names that it uses."""
    names = AssignedNames()
    names.refresh(rules)
    return NodeBoard(names), names


def is_changed(board: NodeBoard) -> bool:
    """Whether there are processes that nobody has asked for."""
    return board.processes_changed


def test_a_second_of_the_host_is_told() -> None:
    """Rates by the time that the row covers; shares are at most 1."""
    board, _ = made()
    row = {
        "elapsed_ns": 2 * S, "cores": 8, "cpu_ns": 3 * S, "memory_total_bytes": 100, "memory_available_bytes": 30,
        "read_in_bytes": 10, "written_out_bytes": 20, "pressure_cpu_some_ns": 3 * S, "pressure_io_some_ns": S // 2,
    }  # fmt: skip
    board.take(batch("host", 1, row))
    (tick,) = board.ticks()
    assert tick.host == HostPoint(cpu=1.5, memory=70.0, io=15.0, pressure_cpu=1.0, pressure_memory=None, pressure_io=0.25)
    assert (tick.t, tick.has_units, tick.units, tick.gone) == (BEGIN + 1, False, [], [])
    assert (board.size.cores, board.size.memory_bytes, board.newest) == (8.0, 100.0, BEGIN + 1)
    assert board.ticks() == []


def test_what_a_host_does_not_know_is_no_zero() -> None:
    """A first tick covers no time, and an old kernel has no pressure."""
    board, _ = made()
    board.take(batch("host", 0, {"cpu_ns": 5, "elapsed_ns": 0, "memory_total_bytes": 7}))
    (tick,) = board.ticks()
    assert tick.host is None
    assert board.last_tick() is not None
    assert made()[0].last_tick() is None


def test_a_second_of_units_is_told_when_their_rows_come() -> None:
    """Of a whole unit only, and not of slices; the worst pressure counts."""
    board, _ = made()
    row = unit_row(
        cpu_cores=0.5, memory_current_bytes=9, io_read_bytes_per_second=1.0, io_write_bytes_per_second=2.0,
        pressure_cpu_some_ns=S // 10, pressure_memory_some_ns=S // 2,
    )  # fmt: skip
    slices = [unit_row("/s.slice", kind="slice", cpu_cores=1.0), unit_row(container="c", cpu_cores=0.1)]
    board.take(batch("unit", 1, row, *slices))
    (tick,) = board.ticks()
    assert tick.units == [UnitPoint(id="/a.service", name="a.service", kind="service", cpu=0.5, memory=9.0, io=3.0, pressure=0.5)]
    assert tick.has_units


def test_a_unit_without_a_row_did_nothing() -> None:
    """Its rates are zero where others were looked at, and it holds what it held; elsewhere nothing is known."""
    board, _ = made()
    board.take(batch("unit", 1, unit_row(cpu_cores=0.5, memory_current_bytes=9), unit_row("/b.service", cpu_cores=1.0)))
    board.take(batch("unit", 2, unit_row("/b.service", cpu_cores=1.0)))
    board.take(batch("host", 4, {"elapsed_ns": S, "cpu_ns": 1}))
    board.take(batch("unit", 5, unit_row("/b.service", cpu_cores=1.0)))
    unit = board.units["/a.service"]
    assert [board.value(unit, BEGIN + second, 0) for second in (0, 1, 2, 3, 4, 5)] == [None, 0.5, 0.0, None, None, 0.0]
    assert board.value(unit, BEGIN + 5, 1) == 9.0
    assert board.value(unit, BEGIN + 5, 4) is None
    last = board.last_tick()
    assert last is not None
    assert [(each.id, each.cpu, each.memory) for each in last.units] == [("/a.service", 0.0, 9.0), ("/b.service", 1.0, None)]
    # A row that comes later says something about its own second; what was held before it is not guessed.
    board.take(batch("unit", 8, unit_row(cpu_cores=0.1)))
    assert board.value(unit, BEGIN + 5, 1) is None


def test_a_unit_that_is_gone_is_told_once_and_has_nothing_more() -> None:
    """Its last row is its last second."""
    board, _ = made()
    board.take(batch("unit", 1, unit_row(cpu_cores=0.5, is_final=True), unit_row("/b.service", cpu_cores=1.0)))
    (tick,) = board.ticks()
    assert tick.gone == ["/a.service"]
    board.take(batch("unit", 2, unit_row("/b.service", cpu_cores=1.0)))
    (tick,) = board.ticks()
    assert tick.gone == []
    assert board.value(board.units["/a.service"], BEGIN + 2, 0) is None
    last = board.last_tick()
    assert last is not None
    assert [each.id for each in last.units] == ["/b.service"]
    board.take(batch("unit", 3, unit_row(cpu_cores=0.5)))
    assert not board.units["/a.service"].gone


def test_cache_and_bandwidth_join_their_unit() -> None:
    """Whichever row comes first; its kind is that of its row in table unit."""
    board, _ = made()
    head = {"resctrl_group": "/g", "llc_occupancy_bytes": 5, "mbm_total_bytes_per_second": 7.0, "llc_size_bytes": 50}
    board.take(batch("occupancy", 1, head | {"pod_uid": "u1", "pod_name": "web-0", "pod_namespace": "shop"}))
    board.take(batch("occupancy", 1, head | {"pod_uid": "u2", "llc_size_bytes": None}))
    board.take(batch("unit", 1, unit_row("u1", kind="pod", cgroup="/k", cpu_cores=0.5)))
    (tick,) = board.ticks()
    assert [(each.id, each.kind, each.cpu, each.cache, each.bandwidth) for each in tick.units] == [
        ("u1", "pod", 0.5, 5.0, 7.0),
        ("u2", "", 0.0, 5.0, 7.0),
    ]
    assert board.size.cache_bytes == 50.0


def test_the_past_is_not_told_as_it_comes() -> None:
    """What was read at first is there, and no event."""
    board, _ = made()
    board.take(batch("unit", 1, unit_row(is_final=True)))
    board.forget_changes()
    assert board.ticks() == []


def test_the_processes_are_those_of_the_newest_tick() -> None:
    """Those with the most CPU first, however many batches they come in; a late one changes nothing."""
    board, _ = made()
    assert board.processes().t is None
    board.take(batch("unit", 1, unit_row()))
    head = {"start_ticks": 1, "chosen_for": "cpu", "state": "S", "comm": "b"}

    def process(pid: int, **columns: Any) -> dict[str, Any]:
        return head | {"pid": pid} | columns

    board.take(batch("process", 1, process(9, comm="old", cpu_share=9.0)))
    board.take(batch("process", 2, process(1, comm="a", cpu_share=0.1, pod_uid="/a.service", threads=3, state="R")))
    board.take(batch("process", 2, process(2, cpu_share=0.5, read_bytes=1, write_bytes=2, pod_uid="/z/q.service")))
    board.take(batch("process", 1.5, process(8, comm="late")))
    assert board.processes_changed
    found = board.processes()
    assert not is_changed(board)
    assert found.t == BEGIN + 2
    assert [(each.pid, each.command, each.unit_name, each.io, each.threads, each.state) for each in found.processes] == [
        (2, "b", "q.service", 3.0, None, "S"),
        (1, "a", "a.service", None, 3, "R"),
    ]
    many = [process(pid, cpu_share=1.0) for pid in range(PROCESSES_MAX + 5)]
    board.take(batch("process", 3, *many))
    assert len(board.processes().processes) == PROCESSES_MAX


def test_gaps_with_both_ends_are_kept_up_to_a_bound() -> None:
    """The newest of them."""
    board, _ = made()

    def gap(begin: int | None) -> dict[str, Any]:
        since = None if begin is None else (BEGIN + begin) * S
        return {
            "worker": "w",
            "run": "r",
            "epoch": 1,
            "reason": "frozen",
            "from_timestamp": since,
            "until_timestamp": (BEGIN + 9) * S,
        }

    board.take(batch("gap", 9, gap(3), gap(None)))
    assert board.gaps == [GapSpan(BEGIN + 3, BEGIN + 9, "frozen")]
    board.take(batch("gap", 9, *(gap(1) for _ in range(GAPS_MAX + 10))))
    assert len(board.gaps) == GAPS_MAX


def test_there_is_a_most_of_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was seen longest ago goes."""
    monkeypatch.setattr(board_module, "UNITS_MAX", 2)
    board, _ = made()
    for second, name in enumerate(("/a.service", "/b.service", "/a.service", "/c.service")):
        board.take(batch("unit", second, unit_row(name)))
    assert set(board.units) == {"/a.service", "/c.service"}
    # A change of a unit that had to go is told without it.
    assert [[each.id for each in tick.units] for tick in board.ticks()] == [["/a.service"], [], ["/a.service"], ["/c.service"]]


def test_names_that_become_known_are_used() -> None:
    """A runtime may report a pod after its first row."""
    board, names = made()
    board.take(batch("unit", 1, unit_row("u1", kind="pod", cgroup="/k"), unit_row("u2", kind="pod", cgroup="/k")))
    rules = RuleState()
    rules.put("pod/u1", canonical(Assignment(Unit("u1", UnitKind.POD, "/k", namespace="shop", name="web-0"), None, None, 1)))
    names.refresh(rules)
    board.rename()
    assert [unit.name for unit in board.units.values()] == ["shop/web-0", "u2"]


def test_what_cannot_be_read_is_counted_and_other_tables_are_passed_over() -> None:
    """Nothing is raised."""
    board, _ = made()
    board.take(stored_bytes("unit", form_of(story_table("unit")), b"no rows", 1))
    board.take(batch("diag", 1))
    assert (board.unreadable, board.ticks()) == (1, [])
