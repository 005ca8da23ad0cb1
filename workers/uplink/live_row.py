"""What the rows of samplers need to have for the live state, and what is made of one of them. PURE."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from agent.fleet.live import NAME_CHARACTERS_MAX, GpuRow
from agent.model.foreign import readable
from workers.uplink.rounding import mib, permille

Row = Mapping[str, Any]
CPUS_MAX = 1 << 20
# Without these a row says nothing that could be taken; other columns may be missing in rows of another version.
NEEDED = {
    "host": ("timestamp",),
    "host_network": ("timestamp",),
    "unit": ("timestamp", "unit", "kind", "container", "cgroup", "is_final"),
    "unit_event": ("timestamp", "unit", "kind", "container", "cgroup", "event"),
    "unit_model": ("unit", "container"),
    "unit_engine": ("timestamp", "unit"),
    "gpu": ("timestamp", "device"),
    "gpu_process": ("timestamp", "device", "unit"),
    "occupancy": ("timestamp", "pod_uid"),
}


class GpuShare(Struct, frozen=True):
    """What one unit has of the GPUs that it uses. *Units:* bytes; busy time as a share; `free` of the one with the most room."""

    memory: float | None = None
    busy: float | None = None
    free: float | None = None


def gpu_row(device: str, row: Row) -> GpuRow:
    """One GPU as a hub shows it."""
    busy = row.get("busy_time")
    name = row.get("name")
    return GpuRow(
        readable(device, NAME_CHARACTERS_MAX),
        None if name is None else readable(name, NAME_CHARACTERS_MAX),
        mib(row.get("memory_total_bytes")),
        mib(row.get("memory_used_bytes")),
        None if busy is None else permille(busy, 1.0, 10),
        row.get("stuck_since_timestamp") is not None,
    )


def counted(found: int | None) -> int | None:
    """*Absent:* None for None, and for what is no count."""
    return None if found is None or not 0 <= found < 1 << 62 else found


def summed(first: Any, second: Any) -> Any:
    """The sum of what is known of both; None: nothing is."""
    if first is None or second is None:
        return second if first is None else first
    return first + second
