"""The row of an end."""

import pytest
from fakes.keeper_model import KeeperModel
from fakes.row_problem import problem_of_row
from msgspec.structs import replace

from workers.keeper.protocol import SpawnWorkload, WorkloadRecord, WorkloadSpec
from workers.unit.schema import UNIT_EVENT
from workers.workloads.event_row import ending_row, unit_path


def _ended(code: int | None, signal: int | None) -> WorkloadRecord:
    keeper = KeeperModel()
    keeper.answer(SpawnWorkload(1, WorkloadSpec("a", ("x",))))
    return keeper.end("a", code, signal).record


@pytest.mark.parametrize(("code", "signal", "absent"), [(3, None, None), (None, 9, None), (None, None, "not_seen")])
def test_an_end_says_code_or_signal_or_why_neither(code: int | None, signal: int | None, absent: str | None) -> None:
    """Its unit is the one of the other tables."""
    record = _ended(code, signal)
    row = ending_row(record)
    assert problem_of_row(UNIT_EVENT, row) is None
    found = {name: value for name, value in zip(UNIT_EVENT.column_names, row, strict=True) if value is not None}
    assert record.ending is not None
    told = {"exit_code": code, "signal": signal, "absent": absent}
    assert found == {
        "timestamp": record.ending.at_wall_ns, "unit": "/evergauge-workloads/a.workload", "kind": "workload", "sequence": 1,
        "cgroup": "/evergauge-workloads/a.workload", "event": "ended", **{k: v for k, v in told.items() if v is not None},
    }  # fmt: skip


def test_one_without_a_cgroup_has_its_name() -> None:
    """There is nothing else to call it by."""
    row = ending_row(replace(_ended(0, None), cgroup=""))
    found = dict(zip(UNIT_EVENT.column_names, row, strict=True))
    assert (found["unit"], found["cgroup"]) == ("a", "a")


def test_a_unit_is_known_by_its_path() -> None:
    """Under systemd and elsewhere."""
    service = "/system.slice/evergauge-workloads.service/a.workload"
    assert [unit_path(service), unit_path(service[1:]), unit_path("/elsewhere")] == [service, service, "/elsewhere"]
