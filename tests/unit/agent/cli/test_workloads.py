"""How workloads are shown."""

import pytest

from agent.cli.workloads import COLUMNS, cells_of, limits_of
from agent.model.control.document import decode
from agent.model.control.workload import WorkloadRow

# What one that has ended has not is null.
NOTHING = dict.fromkeys(name for name in WorkloadRow.__annotations__)
ENDED = {
    **NOTHING, "name": "job", "state": "ended", "restart": "no", "restarts": 0, "command": "true", "environment": ["PORT"],
    "labels": {"b": "2", "a": "1"}, "user": "root", "gpus": [], "source": "command", "has_changed": False, "adopted": False,
    "in_force": {}, "ended": "2024-01-31T03:12:40Z", "ended_how": "exit code 7", "exit_code": 7, "oom_kills": 0,
}  # fmt: skip
UNLIMITED = {
    "cpu.max": "max 100000",
    "cpu.weight": "100",
    "memory.max": "max",
    "memory.high": "max",
    "pids.max": "max",
    "io.max": "",
}


@pytest.mark.parametrize(
    ("in_force", "shown"),
    [
        ({}, ""),
        (UNLIMITED, ""),
        ({"cpu.max": "200000 100000"}, "cpu 200%"),
        ({"cpu.max": "12500 50000", "cpu.weight": "50"}, "cpu 25%, weight 50"),
        ({"memory.max": "4294967296", "memory.high": "1073741824", "pids.max": "100"}, "memory 4.0 GiB, high 1.0 GiB, pids 100"),
        ({"io.max": "8:0 rbps=max wbps=1048576 riops=max wiops=max"}, "io 8:0 wbps=1048576"),
        # What a kernel may write one day.
        ({"cpu.max": "", "memory.max": "much", "pids.max": "max"}, ""),
        ({"cpu.max": "5 0"}, ""),
    ],
)
def test_limits_are_what_the_kernel_holds(in_force: dict[str, str], shown: str) -> None:
    """What limits nothing is not shown."""
    assert limits_of(in_force) == shown


def _cells(**changed: object) -> dict[str, str]:
    row = decode(WorkloadRow, {**ENDED, **changed}, "list-workloads", "")
    return dict(zip((column.title for column in COLUMNS), cells_of(row), strict=True))


def test_a_line_has_a_cell_for_each_column_and_says_how_it_ended() -> None:
    """What one that has ended has not is absent; of its variables only the names are shown."""
    cells = _cells()
    assert cells["STATE"] == "ended"
    assert cells["ENDED"] == "exit code 7 at 2024-01-31T03:12:40Z"
    assert (cells["PID"], cells["MEMORY"], cells["RETRY"], cells["RESTARTS"]) == ("-", "-", "-", "-")
    assert (cells["LABELS"], cells["VARIABLES"]) == ("a=1,b=2", "PORT")


def test_what_differs_from_the_file_or_was_found_running_is_marked() -> None:
    """So that a person sees why a setting has no effect."""
    cells = _cells(state="running", pid=7, has_changed=True, adopted=True, birth="stub", restarts=3)
    assert (cells["STATE"], cells["BORN"], cells["RESTARTS"]) == ("running (changed)", "stub (adopted)", "3")
