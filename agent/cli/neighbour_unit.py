"""What the judge of `agentctl neighbours` is handed: units of one node, and their columns second by second. PURE."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.cli.neighbour_series import Series

# Rates and levels, by second. Those of the first line are parts of the second, 0..1.
PRESSURE_CPU, PRESSURE_MEMORY, PRESSURE_IO, THROTTLED = "pressure_cpu", "pressure_memory", "pressure_io", "throttled"
CPU, IO_BYTES, IO_OPERATIONS = "cpu_cores", "io_bytes_per_second", "io_operations_per_second"
MEMORY, MEMORY_LIMIT, MEMORY_EVENTS = "memory_current_bytes", "memory_limit_bytes", "memory_events"
LLC, BANDWIDTH = "llc_occupancy_bytes", "mbm_total_bytes_per_second"


class JudgedUnit(Struct, frozen=True):
    """A unit: its identity, kind, and the path of its cgroup. `group` is its resctrl group; None: it has none."""

    uid: str
    kind: str
    cgroup: str
    group: str | None = None


class UnitWindow(Struct, frozen=True):
    """The columns of a unit in the seconds of a window. A column that nobody measured is not there."""

    unit: JudgedUnit
    columns: Mapping[str, Series]


class HostWindow(Struct, frozen=True):
    """The host in the same seconds. *Absent:* None where the host has no rows.

    `disk_busy` is the part of the time in which the busiest disk had a request.
    """

    cores: float | None = None
    cpu_cores: Series | None = None
    memory_total_bytes: float | None = None
    memory_available_bytes: Series | None = None
    disk_busy: Series | None = None


class NodeWindow(Struct, frozen=True):
    """All units of a node from second `begin_s` (unix time) on."""

    begin_s: int
    seconds: int
    units: Sequence[UnitWindow]
    host: HostWindow = HostWindow()


def are_related(one: JudgedUnit, other: JudgedUnit) -> bool:
    """Whether one lies in the other: what a unit uses its slice uses too."""
    return one.uid == other.uid or _holds(one.cgroup, other.cgroup) or _holds(other.cgroup, one.cgroup)


def _holds(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def parents_of(units: Sequence[JudgedUnit]) -> list[int | None]:
    """The place of the innermost unit that each lies in. *Absent:* None where it lies in none."""
    places = {unit.cgroup: place for place, unit in enumerate(units)}
    return [_parent(unit.cgroup, places) for unit in units]


def _parent(cgroup: str, places: Mapping[str, int]) -> int | None:
    path = cgroup
    # As many steps as the path has names.
    while path:
        path = path.rpartition("/")[0]
        if path in places:
            return places[path]
    return None
