"""A short-lived process of a worker, as the worker sees it: started, watched without waiting, ended.

The writer's sealer is such a process. Each dies with its worker, so that of a restarted one's there is never more than one, says
its end in one line on standard output and its failure in one sentence on standard error.
"""

import os
import sys
from collections.abc import Callable, Sequence
from signal import Signals
from subprocess import DEVNULL, PIPE, Popen
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

import workers
from agent.model.errors import EvergaugeError, FormatError, StorageError, exit_code_name

# Of 256 files of some 300 bytes each.
REPORT_BYTES_MAX = 256 << 10
_PROBLEM_BYTES_MAX = 4096
_CHUNK_BYTES = 64 << 10

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class RunningChild(Protocol[R_co]):
    """One process at work. `descriptors` are readable when `poll` may have news."""

    def descriptors(self) -> tuple[int, ...]:
        """What to wait on."""
        ...

    def poll(self) -> R_co | EvergaugeError | None:
        """Its report or its failure; None while it works. After an end everything is given back."""
        ...

    def kill(self) -> None:
        """End it at once; `poll` reports it soon."""
        ...

    def close(self) -> None:
        """End it at once and give everything back, instead of `poll`."""
        ...


class ChildTask(Struct, frozen=True):
    """What a process does, in the words of its failure: `sealing` of `subject` ended, and the remedy."""

    name: str
    subject: str
    remedy: str


class ChildProcess(Generic[R]):
    """A RunningChild that is a process of its own. `decode` makes its report of its line. *Raises:* FormatError."""

    def __init__(self, process: "Popen[bytes]", task: ChildTask, decode: Callable[[bytes], R]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._task = task
        self._decode = decode
        # The kernel says when it ended: an end of file can come before, from a process that only closed its output.
        self._death = os.pidfd_open(process.pid)
        self._outputs = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        self._open = set(self._outputs)
        for descriptor in self._outputs:
            os.set_blocking(descriptor, False)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def descriptors(self) -> tuple[int, ...]:
        return (self._death, *self._open)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._give_back()

    def poll(self) -> R | EvergaugeError | None:
        # Asked before reading, so that the output of an ended process is read in whole.
        code = self._process.poll()
        for descriptor in tuple(self._open):
            self._read(descriptor)
        return None if code is None else self._end(code)

    def _read(self, descriptor: int) -> None:
        kept = self._outputs[descriptor]
        try:
            # A full pipe and a report of the largest size; whatever is beyond comes at the next call.
            for _ in range(REPORT_BYTES_MAX // _CHUNK_BYTES + 1):
                data = os.read(descriptor, _CHUNK_BYTES)
                if not data:
                    self._open.discard(descriptor)
                    return
                kept += data[: max(REPORT_BYTES_MAX - len(kept), 0)]
        except BlockingIOError:
            return

    def _end(self, code: int) -> R | EvergaugeError:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        report = bytes(self._outputs[self._process.stdout.fileno()])
        stderr = bytes(self._outputs[self._process.stderr.fileno()][-_PROBLEM_BYTES_MAX:]).decode(errors="replace").strip()
        self._give_back()
        if code == 0:
            try:
                return self._decode(report)
            except FormatError as failure:
                return failure
        ended = f"{self._task.name} {_killed_by(-code) if code < 0 else f'ended with {exit_code_name(code)}'}"
        last_line = stderr.splitlines()[-1] if stderr else ""
        return StorageError(self._task.subject, f"{ended}: {last_line}" if last_line else ended, self._task.remedy)

    def _give_back(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()
        os.close(self._death)


def _killed_by(number: int) -> str:
    """As a person looks for it: nearly always the kernel, which says in its log that memory was short."""
    known = {signal.value: signal.name for signal in Signals}
    return f"was killed by {known.get(number, f'signal {number}')}"


def start_child(module: str, arguments: Sequence[str], task: ChildTask, decode: Callable[[bytes], R]) -> ChildProcess[R]:
    """Start `python -m module arguments --parent PID`. *Raises:* StorageError when the system refuses a process."""
    # The packages of this very worker, whether installed, editable or a checkout: -P keeps the working folder out.
    root = os.path.dirname(os.path.dirname(os.path.abspath(workers.__file__)))
    former = os.environ.get("PYTHONPATH")
    # Arrow's own allocators keep freed memory, and one thread of its pool per core costs memory for no gain here.
    environment = {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{former}" if former else root,
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-P", "-m", module, *arguments, "--parent", str(os.getpid())]
    try:
        process = Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment)
    except OSError as cause:
        raise StorageError(sys.executable, f"no process can be started ({cause.strerror})", task.remedy) from cause
    return ChildProcess(process, task, decode)
