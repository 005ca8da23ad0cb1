"""The rows of table `unit_event` that say that a workload has started, and how it ended. PURE."""

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


def starting_row(record: WorkloadRecord) -> Row:
    """The row of a start: it is there as soon as the workload runs, and not with the next tick of a sampler."""
    return _row(record, {"timestamp": record.started_wall_ns, "event": "started"})


def ending_row(record: WorkloadRecord) -> Row:
    """The row of an end. *Absent:* code and signal, where nobody saw the end."""
    ending = record.ending
    assert ending is not None, record.spec.name
    is_unseen = ending.code is None and ending.signal is None
    return _row(
        record,
        {
            "timestamp": ending.at_wall_ns,
            "event": "ended",
            "exit_code": ending.code,
            "signal": ending.signal,
            "absent": str(Absence.NOT_SEEN) if is_unseen else None,
        },
    )


def _row(record: WorkloadRecord, of_event: dict[str, Value]) -> Row:
    """One row. The sequence is the number of the start, so that a row that is sent again after a crash has the same key.

    *Absent:* the cgroup of one that had none is its name.
    """
    values: dict[str, Value] = {
        "unit": unit_path(record.cgroup) if record.cgroup else record.spec.name,
        "kind": str(UnitKind.WORKLOAD),
        "cgroup": record.cgroup or record.spec.name,
        "sequence": record.incarnation,
        **of_event,
    }
    assert values.keys() <= set(UNIT_EVENT.column_names)
    return tuple(values.get(name) for name in UNIT_EVENT.column_names)
