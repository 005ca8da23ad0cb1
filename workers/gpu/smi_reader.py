"""Asks nvidia-smi, where the driver's library cannot be used: the last resort. A collector waits for it, or is given up."""

import os
import subprocess
from typing import Any

from workers.gpu import problem
from workers.gpu.limit import DEVICES_MAX, PROCESSES_MAX
from workers.gpu.proc_view import ProcView
from workers.gpu.process_list import why_refused
from workers.gpu.smi_table import DEVICE_QUERY, PROCESS_QUERY, NoTableError, parse_devices, parse_processes

SOURCE = "nvidia-smi"
_OUTPUT_CHARACTERS_MAX = 1 << 20
_FORMAT = "--format=csv,noheader,nounits"


class SmiError(Exception):
    """It ended with a failure; the text is its own."""


class SmiReader:
    """Runs the program at `path`. `lock` is handed on: as long as it hangs, no other collector is started."""

    def __init__(self, path: str, proc: ProcView, lock: int | None) -> None:
        self._path = path
        self._proc = proc
        self._lock = () if lock is None else (lock,)

    def read(self) -> dict[str, Any]:
        """An answer."""
        try:
            devices = parse_devices(self._run(f"--query-gpu={DEVICE_QUERY}"))[:DEVICES_MAX]
            if not devices:
                return {"source": SOURCE, "problem": problem.NO_DEVICE}
            processes = parse_processes(self._run(f"--query-compute-apps={PROCESS_QUERY}"))
        except NoTableError as failure:
            return {"source": SOURCE, "problem": problem.SMI_GARBAGE, "detail": str(failure)}
        except (SmiError, OSError) as failure:
            return {"source": SOURCE, "problem": problem.SMI_FAILED, "detail": str(failure)}
        refused = sum(self._add_processes(device, processes) for device in devices)
        return {"source": SOURCE, "devices": devices, "processes": self._proc.told(), "refused": refused}

    def _add_processes(self, device: dict[str, Any], processes: dict[str, list[tuple[int, int | None]]]) -> bool:
        rows = processes.get(device["identity"]["device"], [])[:PROCESSES_MAX]
        is_refused = bool(why_refused(rows, device["values"].get("memory_total_bytes"), self._proc.exists))
        device["processes_absent"] = "contradicted" if is_refused else ""
        if not is_refused:
            device["processes"] = rows
            for pid, _ in rows:
                self._proc.look(pid)
        return is_refused

    def _run(self, query: str) -> str:
        # C: other locales write numbers with commas.
        environment = {**os.environ, "LC_ALL": "C"}
        command = [self._path, query, _FORMAT]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, pass_fds=self._lock, check=False
        )
        text = done.stdout[:_OUTPUT_CHARACTERS_MAX].decode(errors="replace")
        if done.returncode:
            words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            raise SmiError(f"code {done.returncode}{f': {words[0][:200]}' if words else ''}")
        return text
