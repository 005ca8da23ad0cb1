"""Rows of `gpu` and `gpu_process` from what a collector said: what cannot be true is absent, and nothing unknown is zero. PURE."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agent.model.absence import Absence
from agent.model.foreign import readable
from agent.model.table import Row
from workers.gpu.limit import PROCESSES_MAX, TEXT_CHARACTERS_MAX
from workers.gpu.reading import DeviceIdentity, DeviceReading, GpuAnswer, GpuProcessIdentity, Number
from workers.gpu.schema import GPU
from workers.gpu.share import believed, busy_shares

# The values of a device, in the order of their columns.
_VALUES = GPU.column_names[GPU.column_names.index("stuck_since_timestamp") + 1 : -1]
# What the largest device could have. A number beyond it is garbage: of a record that changed with the driver, or of its failure.
_MOST: Mapping[str, float] = {
    "busy_time": 1.0,
    "memory_busy_time": 1.0,
    "memory_total_bytes": 1 << 50,
    "memory_used_bytes": 1 << 50,
    "memory_reserved_bytes": 1 << 50,
    "power_milliwatts": 10_000_000,
    "power_limit_milliwatts": 10_000_000,
    "temperature_celsius": 200.0,
    "clock_graphics_hz": 100_000_000_000,
    "clock_memory_hz": 100_000_000_000,
    "ecc_corrected": (1 << 63) - 1,
    "ecc_uncorrected": (1 << 63) - 1,
    "xid": 1 << 31,
}
_RATIOS = frozenset({"busy_time", "memory_busy_time", "temperature_celsius"})
# A clock of another computer, or garbage, would have samples later than this from now.
_AHEAD_US = 60_000_000


class UnitPlace(NamedTuple):
    """The unit and container that a cgroup belongs to."""

    unit: str | None
    container: str | None


UnitPlaceOf = Callable[[str], UnitPlace]


def device_row(reading: DeviceReading, source: str, wall_ns: int) -> Row:
    """One row of `gpu`."""
    state = "lost" if reading.is_lost else "ok"
    values, absent = _checked(reading)
    reasons = _reasons(reading, absent)
    return (*_head(reading.identity, source, wall_ns), state, None, *(values.get(column) for column in _VALUES), reasons)


def unanswered_row(identity: DeviceIdentity, source: str, wall_ns: int, *, stuck_since_wall_ns: int | None) -> Row:
    """The row of a device of which nothing can be known: its driver does not answer, or (None) does not name it any more."""
    state, reason = ("lost", Absence.DEVICE_LOST) if stuck_since_wall_ns is None else ("stuck", Absence.NOT_ANSWERED)
    return (*_head(identity, source, wall_ns), state, stuck_since_wall_ns, *([None] * len(_VALUES)), reason.value)


def process_rows(
    reading: DeviceReading, answer: GpuAnswer, earlier: frozenset[int], place_of: UnitPlaceOf, wall_ns: int
) -> Sequence[Row]:
    """Rows of `gpu_process` of one device; `earlier` are the processes that it had at the answer before."""
    if reading.processes is None:
        return ()
    memory = dict(reading.processes[:PROCESSES_MAX])
    pids = (
        memory.keys() | earlier | {int(pid) for pid, found in answer.processes.items() if found.pid is not None and pid.isdigit()}
    )
    samples = None if reading.samples is None else believed(reading.samples, pids, wall_ns // 1000 + _AHEAD_US)
    busy_time = _checked(reading)[0].get("busy_time")
    shares = None if samples is None else busy_shares(samples, busy_time if isinstance(busy_time, float) else None)
    # One that ran and has ended belongs to the sum.
    ran = [pid for pid in (shares or {}) if pid not in memory]
    why_no_share = reading.samples_absent or Absence.UNAVAILABLE.value
    rows = []
    for pid in (*memory, *ran):
        identity = answer.processes.get(str(pid), GpuProcessIdentity(absent=Absence.VANISHED.value))
        absent = [f"pid:{identity.absent}"] if identity.absent else []
        held = memory.get(pid)
        if held is None:
            absent.append(f"memory_bytes:{Absence.UNAVAILABLE.value if pid in memory else Absence.VANISHED.value}")
        share = None if shares is None else shares.get(pid, 0.0)
        if share is None:
            absent.append(f"busy_share:{why_no_share}")
        place = UnitPlace(None, None) if identity.cgroup is None else place_of(identity.cgroup)
        rows.append(
            (
                wall_ns,
                _short(reading.identity.device),
                answer.source,
                identity.pid,
                pid,
                None if identity.comm is None else readable(identity.comm, TEXT_CHARACTERS_MAX),
                place.unit,
                place.container,
                held,
                share,
                ",".join(absent) or None,
            )
        )
    return rows


def _head(identity: DeviceIdentity, source: str, wall_ns: int) -> tuple[int | str | None, ...]:
    parent, name, pci = (None if text is None else _short(text) for text in (identity.parent, identity.name, identity.pci))
    return wall_ns, _short(identity.device), parent, identity.index, name, pci, source


def _short(text: str) -> str:
    return readable(text, TEXT_CHARACTERS_MAX)


def _checked(reading: DeviceReading) -> tuple[dict[str, Number], dict[str, str]]:
    values: dict[str, Number] = {}
    absent = dict(reading.absent)
    for column in _VALUES:
        value = reading.values.get(column)
        if value is None:
            continue
        if column == "throttle_reasons":
            values[column] = _short(str(value))
        elif not isinstance(value, int | float) or not 0 <= value <= _MOST[column]:
            absent[column] = Absence.CONTRADICTED.value
        else:
            values[column] = float(value) if column in _RATIOS else int(value)
    total, used = values.get("memory_total_bytes"), values.get("memory_used_bytes")
    if isinstance(total, int) and isinstance(used, int) and used > total:
        del values["memory_total_bytes"], values["memory_used_bytes"]
        values.pop("memory_reserved_bytes", None)
        columns = ("memory_total_bytes", "memory_used_bytes", "memory_reserved_bytes")
        absent |= dict.fromkeys(columns, Absence.CONTRADICTED.value)
    return values, absent


def _reasons(reading: DeviceReading, absent: Mapping[str, str]) -> str | None:
    """By column; one word where it holds for all of them."""
    if "" in absent:
        return _short(absent[""])
    reasons = [f"{column}:{absent[column]}" for column in _VALUES if column in absent]
    if reading.processes is None and reading.processes_absent:
        reasons.append(f"processes:{reading.processes_absent}")
    return ",".join(reasons) or None
