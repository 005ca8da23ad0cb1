"""Asks NVML for everything, in a collector: each call may never return, may be missing, and may say anything.

It is small: no module of the agent but light ones, because a process of its own holds it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from workers.gpu import problem
from workers.gpu.limit import DEVICES_MAX, PROCESSES_MAX
from workers.gpu.nvml_word import (
    DRIVER_NOT_LOADED,
    FUNCTION_NOT_FOUND,
    LIBRARY_NOT_FOUND,
    LOST,
    NO_PERMISSION,
    NOT_FOUND,
    VERSION_MISMATCH,
    held_back_words,
    reason_of,
)
from workers.gpu.proc_view import ProcView
from workers.gpu.process_list import ProcessRow, merged, why_refused
from workers.gpu.share import UtilizationSample, last_seen_us

MIB, MHZ = 1 << 20, 1_000_000
_XID = 0x8
# Per answer; what is left is taken with the next one.
_EVENTS_MAX = 64
_PROBLEMS = {
    LIBRARY_NOT_FOUND: problem.NO_LIBRARY,
    DRIVER_NOT_LOADED: problem.NO_DRIVER,
    VERSION_MISMATCH: problem.MISMATCH,
    NO_PERMISSION: problem.NOT_ALLOWED,
    FUNCTION_NOT_FOUND: problem.TOO_OLD,
}
# With the version in the name: from the newest on, until one is there and can be believed.
_LISTS = ("Compute", "Graphics", "MPSCompute")
_VERSIONS = ("_v3", "_v2")


class LostError(Exception):
    """The driver has lost the device: nothing more is asked of it."""


class Handle:
    """A device or slice while the library is open."""

    def __init__(self, handle: Any, identity: dict[str, Any], *, is_slice: bool = False) -> None:
        self.handle = handle
        self.identity = identity
        self.is_slice = is_slice
        self.is_lost = False
        self.last_seen_us = 0
        self.has_samples = False
        self.xid: int | None = None


class NvmlReader:
    """`nvml` is module `pynvml`. *Raises:* its NVMLError only from `open`."""

    def __init__(self, nvml: Any, proc: ProcView) -> None:
        self._nvml = nvml
        self._proc = proc
        self._handles: dict[int, Handle] = {}
        self._slices: dict[str, Handle] = {}
        self._events: Any = None
        self._total_bytes: int | None = None
        self._refused = 0

    def open(self) -> str:
        """Open the library, and give the driver's version; it stays open, because loading a driver is slow."""
        self._nvml.nvmlInit()
        try:
            return str(self._nvml.nvmlSystemGetDriverVersion())
        except self._nvml.NVMLError:
            return ""

    def problem_of(self, failure: Any) -> str:
        """The word for a failed `open` or listing."""
        return _PROBLEMS.get(int(failure.value), problem.FAILED)

    def read(self) -> dict[str, Any]:
        """An answer. *Raises:* NVMLError when the devices cannot be listed."""
        self._refused = 0
        count = self._nvml.nvmlDeviceGetCount()
        self._take_events()
        devices: list[dict[str, Any]] = []
        for index in range(min(count, DEVICES_MAX)):
            devices += self._device(index)
        answer: dict[str, Any] = {"devices": devices[:DEVICES_MAX], "processes": self._proc.told(), "refused": self._refused}
        return answer if count else {**answer, "problem": problem.NO_DEVICE}

    def _device(self, index: int) -> Iterator[dict[str, Any]]:
        try:
            held = self._open_device(index)
        except (LostError, self._nvml.NVMLError) as failure:
            code = min(LOST) if isinstance(failure, LostError) else int(failure.value)
            known = self._handles.get(index)
            yield _lost({"device": f"nvidia-{index}", "index": index} if known is None else known.identity, code)
            return
        try:
            is_cut = self._is_cut(held)
            # Processes of a device that is cut are told with its slices.
            yield self._reading(held, with_processes=not is_cut)
            if is_cut:
                yield from self._slices_of(held)
        except LostError:
            held.is_lost = True
            yield _lost(held.identity, min(LOST))

    def _open_device(self, index: int) -> Handle:
        known = self._handles.get(index)
        if known is not None and not known.is_lost:
            return known
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        held = Handle(handle, self._identity(handle, f"nvidia-{index}", index))
        self._handles[index] = held
        self._listen(held)
        return held

    def _identity(self, handle: Any, otherwise: str, index: int | None, parent: str | None = None) -> dict[str, Any]:
        pci = self._try(self._nvml.nvmlDeviceGetPciInfo, handle)
        uuid = self._try(self._nvml.nvmlDeviceGetUUID, handle)
        address = None if pci is None else _text(pci.busId)
        return {
            "device": _text(uuid) or address or otherwise,
            "parent": parent,
            "index": index,
            "name": _text(self._try(self._nvml.nvmlDeviceGetName, handle)),
            "pci": address,
        }

    def _is_cut(self, held: Handle) -> bool:
        mode = self._try(self._nvml.nvmlDeviceGetMigMode, held.handle)
        return mode is not None and mode[0] == 1

    def _slices_of(self, held: Handle) -> Iterator[dict[str, Any]]:
        for number in range(min(self._try(self._nvml.nvmlDeviceGetMaxMigDeviceCount, held.handle) or 0, DEVICES_MAX)):
            try:
                handle = self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(held.handle, number)
            except self._nvml.NVMLError:
                # The places of a device that are not cut out have no slice.
                continue
            parent = held.identity["device"]
            identity = self._identity(handle, f"{parent}/{number}", number, parent)
            known = self._slices.setdefault(identity["device"], Handle(handle, identity, is_slice=True))
            known.handle = handle
            yield self._reading(known, with_processes=True)

    # ---- values ------------------------------------------------------------------------------------

    def _reading(self, held: Handle, *, with_processes: bool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        absent: dict[str, str] = {}
        for columns, call in self._calls():
            try:
                found = call(held.handle)
            except self._nvml.NVMLError as failure:
                self._raise_if_lost(failure)
                absent.update(dict.fromkeys(columns, reason_of(int(failure.value))))
            else:
                for column, value in zip(columns, found, strict=True):
                    if value is None:
                        absent[column] = "unavailable"
                    else:
                        values[column] = value
        if held.xid is not None:
            values["xid"] = held.xid
        total = values.get("memory_total_bytes")
        self._total_bytes = total if isinstance(total, int) else None
        reading: dict[str, Any] = {"identity": held.identity, "values": values, "absent": absent}
        return reading | (self._of_processes(held) if with_processes else {"processes_absent": "", "samples_absent": ""})

    def _calls(self) -> tuple[tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]], ...]:
        nvml = self._nvml
        ecc = nvml.nvmlDeviceGetTotalEccErrors
        return (
            (("busy_time", "memory_busy_time"), self._busy),
            (("memory_total_bytes", "memory_used_bytes", "memory_reserved_bytes"), self._memory),
            (("power_milliwatts",), lambda handle: (nvml.nvmlDeviceGetPowerUsage(handle),)),
            (("power_limit_milliwatts",), lambda handle: (nvml.nvmlDeviceGetEnforcedPowerLimit(handle),)),
            (("temperature_celsius",), lambda handle: (nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),)),
            (("clock_graphics_hz",), lambda handle: (nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_GRAPHICS) * MHZ,)),
            (("clock_memory_hz",), lambda handle: (nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM) * MHZ,)),
            (("throttle_reasons",), self._held_back),
            (("ecc_corrected",), lambda handle: (ecc(handle, nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, nvml.NVML_VOLATILE_ECC),)),
            (("ecc_uncorrected",), lambda handle: (ecc(handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC),)),
        )

    def _busy(self, handle: Any) -> tuple[float, float]:
        found = self._nvml.nvmlDeviceGetUtilizationRates(handle)
        return found.gpu / 100, found.memory / 100

    def _memory(self, handle: Any) -> tuple[int, int, int | None]:
        try:
            found = self._nvml.nvmlDeviceGetMemoryInfo(handle, self._nvml.nvmlMemory_v2)
        except self._nvml.NVMLError as failure:
            if int(failure.value) != FUNCTION_NOT_FOUND:
                raise
            # Drivers before R510 have the first version alone. Its `used` counts the reserved only with later ones.
            found = self._nvml.nvmlDeviceGetMemoryInfo(handle)
            return found.total, found.used, None
        return found.total, found.used, found.reserved

    def _held_back(self, handle: Any) -> tuple[str]:
        try:
            bits = self._nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
        except self._nvml.NVMLError as failure:
            if int(failure.value) != FUNCTION_NOT_FOUND:
                raise
            # Its name before R535.
            bits = self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        return (held_back_words(bits),)

    # ---- processes ---------------------------------------------------------------------------------

    def _of_processes(self, held: Handle) -> dict[str, Any]:
        lists: list[list[ProcessRow]] = []
        why = ""
        for kind in _LISTS:
            rows, reason = self._list(held.handle, kind)
            if rows is not None:
                lists.append(rows)
            elif reason == "contradicted" or kind == _LISTS[0]:
                # MPS and graphics are not there on every device; without the first list nothing is known.
                why = reason
        if why:
            return {"processes_absent": why, "samples_absent": why}
        processes = dict(list(merged(lists).items())[:PROCESSES_MAX])
        for pid in processes:
            self._proc.look(pid)
        return {"processes": list(processes.items()), "processes_absent": "", **self._samples(held)}

    def _list(self, handle: Any, kind: str) -> tuple[list[ProcessRow] | None, str]:
        """The rows of the newest version that can be believed, else why there are none."""
        why = "not_in_driver"
        for version in _VERSIONS:
            try:
                found = getattr(self._nvml, f"nvmlDeviceGet{kind}RunningProcesses{version}")(handle)
            except self._nvml.NVMLError as failure:
                self._raise_if_lost(failure)
                if int(failure.value) == FUNCTION_NOT_FOUND:
                    continue
                return None, reason_of(int(failure.value))
            rows = [(int(row.pid), row.usedGpuMemory) for row in found[: PROCESSES_MAX + 1]]
            if not why_refused(rows, self._total_bytes, self._proc.exists):
                return rows, ""
            self._refused += 1
            why = "contradicted"
        return None, why

    def _samples(self, held: Handle) -> dict[str, Any]:
        if held.is_slice:
            return {"samples_absent": "unsupported"}
        try:
            found = self._nvml.nvmlDeviceGetProcessUtilization(held.handle, held.last_seen_us)
        except self._nvml.NVMLError as failure:
            self._raise_if_lost(failure)
            # Nobody was active since then, which is an answer.
            if int(failure.value) == NOT_FOUND:
                held.has_samples = True
                return {"samples": [], "samples_absent": ""}
            return {"samples_absent": reason_of(int(failure.value))}
        samples: list[UtilizationSample] = [
            (int(each.pid), int(each.smUtil), int(each.timeStamp)) for each in found[:PROCESSES_MAX]
        ]
        until_us = self._proc.wall_us() + 60_000_000
        held.last_seen_us = last_seen_us([each for each in samples if 0 <= each[2] <= until_us], held.last_seen_us)
        if not held.has_samples:
            # The first answer reaches back over the driver's whole buffer: it is a mean of the past.
            held.has_samples = True
            return {"samples_absent": "first_tick"}
        for pid, _, _ in samples:
            self._proc.look(pid)
        return {"samples": samples, "samples_absent": ""}

    # ---- Xid ---------------------------------------------------------------------------------------

    def _listen(self, held: Handle) -> None:
        """Have the driver keep Xid errors for us; without that there are none."""
        if self._events is None:
            self._events = self._try(self._nvml.nvmlEventSetCreate)
        if self._events is not None:
            self._try(self._nvml.nvmlDeviceRegisterEvents, held.handle, _XID, self._events)

    def _take_events(self) -> None:
        for _ in range(_EVENTS_MAX if self._events is not None else 0):
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
            except self._nvml.NVMLError:
                # Nothing has happened, or nothing more can be heard.
                return
            if event.eventType == _XID:
                for held in self._handles.values():
                    if _address(held.handle) == _address(event.device):
                        held.xid = int(event.eventData)

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What it gives; None where it fails, or the library lacks it."""
        try:
            return call(*arguments)
        except self._nvml.NVMLError as failure:
            self._raise_if_lost(failure)
            return None

    def _raise_if_lost(self, failure: Any) -> None:
        if int(failure.value) in LOST:
            raise LostError from failure


def _address(handle: Any) -> int:
    from ctypes import c_void_p, cast

    return cast(handle, c_void_p).value or 0


def _text(value: Any) -> str | None:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return text or None


def _lost(identity: dict[str, Any], code: int) -> dict[str, Any]:
    reason = reason_of(code)
    return {
        "identity": identity,
        "is_lost": code in LOST,
        "absent": {"": reason},
        "processes_absent": reason,
        "samples_absent": reason,
    }
