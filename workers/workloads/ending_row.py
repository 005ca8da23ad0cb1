"""The row of table `unit_event` that says how a start of a workload ended. PURE."""

from agent.model.absence import Absence
from agent.model.cgroup_path import unit_of
from agent.model.rule import UnitKind
from agent.model.table import Row, Value
from workers.keeper.protocol import WorkloadRecord
from workers.unit.schema import UNIT_EVENT


def unit_path(cgroup: str) -> str:
    """The identity of a workload in the tables: the path of its cgroup, as the cgroup tree shows it."""
    path = cgroup if cgroup.startswith("/") else f"/{cgroup}"
    unit = unit_of(path)
    return path if unit is None else unit.uid


def ending_row(record: WorkloadRecord) -> Row:
    """One row. The sequence is the number of the start, so that a row that is sent again after a crash has the same key.

    *Absent:* code and signal, where nobody saw the end; the cgroup of one that had none is its name.
    """
    ending = record.ending
    assert ending is not None, record.spec.name
    cgroup = record.cgroup or record.spec.name
    values: dict[str, Value] = {
        "timestamp": ending.at_wall_ns,
        "unit": unit_path(record.cgroup) if record.cgroup else record.spec.name,
        "kind": str(UnitKind.WORKLOAD),
        "cgroup": cgroup,
        "sequence": record.incarnation,
        "event": "ended",
        "exit_code": ending.code,
        "signal": ending.signal,
        "absent": str(Absence.NOT_SEEN) if ending.code is None and ending.signal is None else None,
    }
    assert values.keys() <= set(UNIT_EVENT.column_names)
    return tuple(values.get(name) for name in UNIT_EVENT.column_names)
