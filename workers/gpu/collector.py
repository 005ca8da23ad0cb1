"""The program of a collector: it asks a driver whatever the sampler wants to know, and may be stuck in that for ever.

It is a process of its own, started with a pipe of questions (0), one of answers (1) and one for what it prints (2); descriptor 3 is
a lock that it only holds: while any process has it, no second collector is started. It ends when the questions do, or by itself
after an answer that says why there is nothing. Signals do not end it (docs/decisions/0057-an-abandoned-collector.md).
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from agent.capability import keep_only
from agent.model.self_ending import SELF_ENDING
from workers.gpu import problem
from workers.gpu.file_sign import NVIDIA, smi_path
from workers.gpu.limit import ANSWER_BYTES_MAX
from workers.gpu.nvml_word import LIBRARY_NOT_FOUND
from workers.gpu.proc_view import ProcView

LOCK = 3
_PR_SET_NAME = 15
Read = Callable[[], dict[str, Any]]


def main() -> None:
    """`collector SET PROC_ROOT ROOT`: answer until nobody asks."""
    name, proc_root, root = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_NAME, f"{SELF_ENDING}gpu-{name}".encode()[:15], 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    answers = os.dup(1)
    # A foreign library that prints must not print into the answers.
    os.dup2(2, 1)
    read: Read | None = None
    while os.read(0, 64):
        read = read or _reader(name, ProcView(proc_root), root)
        answer = read()
        _write(answers, answer)
        if answer.get("problem"):
            return


def _reader(name: str, proc: ProcView, root: str) -> Read:
    if name == NVIDIA:
        # NVIDIA's library needs no capability, and gets none.
        keep_only(())
        return _nvidia(proc)
    from workers.gpu.drm_reader import DrmReader

    return DrmReader(root, proc).read


def _nvidia(proc: ProcView) -> Read:
    try:
        import pynvml
    except ImportError:
        return _smi(proc) or (lambda: {"source": "nvml", "problem": problem.NO_BINDING})
    from workers.gpu.nvml_reader import NvmlReader

    reader = NvmlReader(pynvml, proc)
    opened: list[str] = []

    def read() -> dict[str, Any]:
        try:
            if not opened:
                opened.append(reader.open())
            return {"source": "nvml", "driver": opened[0], **reader.read()}
        except pynvml.NVMLError as failure:
            if failure.value == LIBRARY_NOT_FOUND and (last_resort := _smi(proc)) is not None:
                return last_resort()
            return {"source": "nvml", "problem": reader.problem_of(failure), "detail": f"{failure}, NVML code {failure.value}"}

    return read


def _smi(proc: ProcView) -> Read | None:
    """*Absent:* there is no nvidia-smi either."""
    path = smi_path(os.environ)
    if path is None:
        return None
    from workers.gpu.smi_reader import SmiReader

    return SmiReader(path, proc, LOCK).read


def _write(descriptor: int, answer: dict[str, Any]) -> None:
    line = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
    if len(line) > ANSWER_BYTES_MAX:
        shorter = {**answer, "devices": [], "processes": {}, "problem": problem.FAILED, "detail": "its answer is too long"}
        line = json.dumps(shorter).encode() + b"\n"
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]
