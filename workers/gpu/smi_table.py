"""What nvidia-smi prints as CSV: one line for each device or process, and words where it has no number. PURE, and light.

*Source:* nvidia-smi(1), `--query-gpu`, `--query-compute-apps`, `--format=csv,noheader,nounits`.
"""

from typing import Any

MIB, MHZ = 1 << 20, 1_000_000
# Its field, our column, and what one of its units is in ours.
_FIELDS = (
    ("utilization.gpu", "busy_time", 0.01),
    ("utilization.memory", "memory_busy_time", 0.01),
    ("memory.total", "memory_total_bytes", MIB),
    ("memory.used", "memory_used_bytes", MIB),
    ("memory.reserved", "memory_reserved_bytes", MIB),
    ("power.draw", "power_milliwatts", 1000),
    ("enforced.power.limit", "power_limit_milliwatts", 1000),
    ("temperature.gpu", "temperature_celsius", 1),
    ("clocks.gr", "clock_graphics_hz", MHZ),
    ("clocks.mem", "clock_memory_hz", MHZ),
    ("ecc.errors.corrected.volatile.total", "ecc_corrected", 1),
    ("ecc.errors.uncorrected.volatile.total", "ecc_uncorrected", 1),
)
_WHOLE = frozenset(column for _, column, _ in _FIELDS) - {"busy_time", "memory_busy_time", "temperature_celsius"}
_HEAD = ("uuid", "index", "name", "pci.bus_id")
DEVICE_QUERY = ",".join((*_HEAD, *(field for field, _, _ in _FIELDS)))
PROCESS_QUERY = "gpu_uuid,pid,used_memory"

_UNSUPPORTED = ("[N/A]", "N/A", "[Not Supported]", "[Not Found]")


class NoTableError(ValueError):
    """The text is no table of this query."""


def parse_devices(text: str) -> list[dict[str, Any]]:
    """Readings of devices, as a collector says them. *Raises:* NoTableError."""
    return [_device(cells) for cells in _lines(text, len(_HEAD) + len(_FIELDS))]


def parse_processes(text: str) -> dict[str, list[tuple[int, int | None]]]:
    """Processes by UUID of their device. *Absent:* memory that it does not know. *Raises:* NoTableError."""
    found: dict[str, list[tuple[int, int | None]]] = {}
    for device, pid, used in _lines(text, 3):
        if not pid.isascii() or not pid.isdigit():
            raise NoTableError(f"«{pid[:20]}» is no process")
        number = _number(used)
        found.setdefault(device, []).append((int(pid), None if number is None else int(number * MIB)))
    return found


def _lines(text: str, count: int) -> list[list[str]]:
    lines = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]
    for cells in lines:
        if len(cells) != count:
            raise NoTableError(f"a line of {len(cells)} cells instead of {count}")
    return lines


def _device(cells: list[str]) -> dict[str, Any]:
    uuid, index, name, pci = cells[: len(_HEAD)]
    if not index.isascii() or not index.isdigit():
        raise NoTableError(f"«{index[:20]}» is no number of a device")
    values: dict[str, Any] = {}
    absent: dict[str, str] = {"throttle_reasons": "unsupported"}
    for (_, column, scale), cell in zip(_FIELDS, cells[len(_HEAD) :], strict=True):
        number = _number(cell)
        if number is None:
            absent[column] = "unsupported" if cell in _UNSUPPORTED else "error"
        else:
            values[column] = round(number * scale) if column in _WHOLE else number * scale
    identity = {"device": uuid, "index": int(index), "name": name, "pci": pci}
    return {"identity": identity, "values": values, "absent": absent, "samples_absent": "unsupported"}


def _number(cell: str) -> float | None:
    """*Absent:* any of its words for none: [N/A], [Not Supported], [Unknown Error], ERR!."""
    try:
        number = float(cell)
    except ValueError:
        return None
    # `float` reads nan and inf too.
    return number if 0 <= number < float("inf") else None
