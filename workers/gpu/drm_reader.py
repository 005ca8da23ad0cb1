"""Asks the DRM drivers of the kernel in a collector: amdgpu's sysfs, kfd's processes, and the clients of any driver in fdinfo.

Reading such a file may ask the hardware, and take as long as that likes.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from workers.gpu.amdgpu_file import parse_clock, parse_errors, parse_properties, parse_whole
from workers.gpu.drm_fdinfo import TEXT_BYTES_MAX, DrmClient, parse_fdinfo
from workers.gpu.drm_usage import DrmCounters, DrmUse
from workers.gpu.file_sign import NO_GPU
from workers.gpu.limit import DEVICES_MAX, PROCESSES_MAX
from workers.gpu.proc_view import ProcView

AMDGPU = "amdgpu"
# The first render node.
_RENDER_LEAST = 128
# Descriptors of all processes are looked through in turn, so many processes per answer; those that hold a device, each time.
PIDS_PER_ANSWER, DESCRIPTORS_MAX = 256, 4096
_DRI = "/dev/dri/"
_VALUES: tuple[tuple[str, str, Callable[[str], float | None]], ...] = (
    ("busy_time", "gpu_busy_percent", lambda text: _scaled(text, 0.01)),
    ("memory_busy_time", "mem_busy_percent", lambda text: _scaled(text, 0.01)),
    ("memory_total_bytes", "mem_info_vram_total", parse_whole),
    ("memory_used_bytes", "mem_info_vram_used", parse_whole),
    ("clock_graphics_hz", "pp_dpm_sclk", parse_clock),
    ("clock_memory_hz", "pp_dpm_mclk", parse_clock),
)
# In the folder hwmon/hwmonN: microwatts and thousandths of a degree. The first that is there counts.
_SENSORS: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("power_milliwatts", ("power1_average", "power1_input"), 0.001),
    ("power_limit_milliwatts", ("power1_cap", "power1_max"), 0.001),
    ("temperature_celsius", ("temp1_input",), 0.001),
)
_NEVER = ("memory_reserved_bytes", "throttle_reasons")


class DrmReader:
    """`root` holds /sys; processes are those of `proc`."""

    def __init__(self, root: str, proc: ProcView) -> None:
        self._root = root
        self._proc = proc
        self._counters = DrmCounters()
        self._holders: set[int] = set()
        self._place = 0

    def read(self) -> dict[str, Any]:
        """An answer."""
        nodes = list(self._nodes())[:DEVICES_MAX]
        use = self._counters.use(self._clients(), time.monotonic_ns())
        compute = self._kfd()
        devices = [self._device(node, folder, driver, use, compute) for node, folder, driver in nodes]
        return {"source": "drm", "devices": devices, "processes": self._proc.told()}

    def _nodes(self) -> Iterator[tuple[int, str, str]]:
        folder = os.path.join(self._root, "sys/class/drm")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            device = os.path.join(folder, name, "device")
            number = parse_whole(name.removeprefix("renderD")) if name.startswith("renderD") else None
            driver = _link(os.path.join(device, "driver"))
            if number is not None and driver and driver not in NO_GPU:
                yield number, os.path.realpath(device), driver

    def _device(self, node: int, folder: str, driver: str, use: Any, compute: dict[int, dict[int, int]]) -> dict[str, Any]:
        pci = os.path.basename(folder)
        name = _text(os.path.join(folder, "product_name")).strip()
        identity = {"device": pci, "index": node - _RENDER_LEAST, "name": name or driver, "pci": pci}
        values, absent = self._values(folder)
        return {
            "identity": identity,
            "values": values,
            "absent": absent,
            **self._processes(use.get(pci, {}), compute.get(node, {})),
        }

    def _values(self, folder: str) -> tuple[dict[str, Any], dict[str, str]]:
        values: dict[str, Any] = {}
        absent = dict.fromkeys(_NEVER, "unsupported")
        found: list[tuple[str, float | None, str]] = []
        for column, name, parse in _VALUES:
            text, why = _read(os.path.join(folder, name))
            found.append((column, parse(text), why))
        sensors = _first_folder(os.path.join(folder, "hwmon"))
        for column, names, scale in _SENSORS:
            texts = [_read(os.path.join(sensors, name)) for name in names]
            text, why = next((each for each in texts if not each[1]), texts[0])
            found.append((column, _scaled(text, scale), why))
        text, why = _read(os.path.join(folder, "ras/umc_err_count"))
        for column, count in zip(("ecc_corrected", "ecc_uncorrected"), parse_errors(text), strict=True):
            found.append((column, count, why))
        for column, value, why in found:
            if value is None:
                absent[column] = why or "unavailable"
            else:
                values[column] = value
        return values, absent

    def _processes(self, use: dict[int, DrmUse], compute: dict[int, int]) -> dict[str, Any]:
        """The same memory may be in both sources: the maximum counts. Of compute no source says how long it ran."""
        memory: dict[int, int | None] = {pid: each.memory_bytes for pid, each in use.items()}
        for pid, held in compute.items():
            memory[pid] = max(held, memory.get(pid) or 0)
        processes = list(memory.items())[:PROCESSES_MAX]
        for pid, _ in processes:
            self._proc.look(pid)
        found: dict[str, Any] = {"processes": processes, "samples_absent": ""}
        if compute:
            return {**found, "samples_absent": "unsupported"}
        if any(each.busy is None for each in use.values()):
            return {**found, "samples_absent": "first_tick"}
        now_us = self._proc.wall_us()
        return {**found, "samples": [(pid, 100 * each.busy, now_us) for pid, each in use.items() if each.busy]}

    # ---- processes ---------------------------------------------------------------------------------

    def _kfd(self) -> dict[int, dict[int, int]]:
        """Bytes by render node and process of those that compute."""
        base = os.path.join(self._root, "sys/class/kfd/kfd")
        nodes: dict[str, int] = {}
        for number in _names(os.path.join(base, "topology/nodes"))[:DEVICES_MAX]:
            folder = os.path.join(base, "topology/nodes", number)
            identifier = _text(os.path.join(folder, "gpu_id")).strip()
            minor = parse_properties(_text(os.path.join(folder, "properties"))).get("drm_render_minor")
            if minor and identifier not in ("", "0"):
                nodes[identifier] = minor
        found: dict[int, dict[int, int]] = {}
        for name in _names(os.path.join(base, "proc"))[:PROCESSES_MAX]:
            pid = parse_whole(name)
            for identifier, minor in nodes.items():
                held = parse_whole(_text(os.path.join(base, "proc", name, f"vram_{identifier}")))
                if pid is not None and held is not None:
                    found.setdefault(minor, {})[pid] = held
        return found

    def _clients(self) -> Iterator[tuple[int, DrmClient]]:
        pids = sorted(pid for name in _names(self._proc.root) if (pid := parse_whole(name)) is not None)
        start = self._place if self._place < len(pids) else 0
        self._place = start + PIDS_PER_ANSWER
        looked = dict.fromkeys([*sorted(self._holders), *pids[start : self._place]])
        self._holders = set()
        for pid in looked:
            for client in self._clients_of(pid):
                self._holders.add(pid)
                yield pid, client

    def _clients_of(self, pid: int) -> Iterator[DrmClient]:
        folder = f"{self._proc.root}/{pid}"
        for number in _names(f"{folder}/fd")[:DESCRIPTORS_MAX]:
            if _link(f"{folder}/fd/{number}", whole=True).startswith(_DRI):
                client = parse_fdinfo(_text(f"{folder}/fdinfo/{number}"))
                if client is not None:
                    yield client


def _scaled(text: str, scale: float) -> float | None:
    number = parse_whole(text)
    return None if number is None else number * scale


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _first_folder(folder: str) -> str:
    return os.path.join(folder, min(_names(folder), default="none"))


def _link(path: str, *, whole: bool = False) -> str:
    try:
        target = os.readlink(path)
    except OSError:
        return ""
    return target if whole else os.path.basename(target)


def _text(path: str) -> str:
    return _read(path)[0]


def _read(path: str) -> tuple[str, str]:
    """The text of a file, and the reason why it is empty."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return "", "unsupported"
    except PermissionError:
        return "", "no_permission"
    except OSError:
        return "", "error"
    try:
        return os.read(descriptor, TEXT_BYTES_MAX).decode(errors="replace"), ""
    except OSError:
        # The device is not there any more, or sleeps.
        return "", "unavailable"
    finally:
        os.close(descriptor)
