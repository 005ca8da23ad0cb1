"""The writer's side of a sealer: starts the process, waits for it without blocking, tells what came of it."""

import os
import sys
from subprocess import DEVNULL, PIPE, Popen
from typing import Protocol

import workers
from agent.model.errors import EvergaugeError, FormatError, StorageError, exit_code_name
from workers.writer.folder import storage_error
from workers.writer.report import REPORT_BYTES_MAX, SealReport, decode_report

_PROBLEM_BYTES_MAX = 4096
_CHUNK_BYTES = 64 << 10


class Sealing(Protocol):
    """One sealer at work. `descriptors` are readable when `poll` may have news."""

    def descriptors(self) -> tuple[int, ...]:
        """What to wait on."""
        ...

    def poll(self) -> SealReport | EvergaugeError | None:
        """The end, or None while it works. After an end everything is given back."""
        ...

    def kill(self) -> None:
        """End it at once; `poll` tells of it soon."""
        ...

    def close(self) -> None:
        """End it at once and give everything back, instead of `poll`."""
        ...


class SealerProcess:
    """A Sealing in a process of its own."""

    def __init__(self, process: "Popen[bytes]", segment_path: str) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._segment_path = segment_path
        # The kernel's word that it ended: an end of file can come before, from a process that only closed its output.
        self._death = os.pidfd_open(process.pid)
        self._outputs = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        self._open = set(self._outputs)
        for descriptor in self._outputs:
            os.set_blocking(descriptor, False)

    def descriptors(self) -> tuple[int, ...]:
        return (self._death, *self._open)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._give_back()

    def poll(self) -> SealReport | EvergaugeError | None:
        # Asked before reading, so that the last words of an ended process are read in whole.
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

    def _end(self, code: int) -> SealReport | EvergaugeError:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        report = bytes(self._outputs[self._process.stdout.fileno()])
        words = bytes(self._outputs[self._process.stderr.fileno()][-_PROBLEM_BYTES_MAX:]).decode(errors="replace").strip()
        self._give_back()
        if code == 0:
            try:
                return decode_report(report)
            except FormatError as failure:
                return failure
        reason = f"signal {-code}" if code < 0 else exit_code_name(code)
        last_line = words.splitlines()[-1] if words else "no words"
        return StorageError(self._segment_path, f"sealing ended with {reason}: {last_line}", "it is kept and sealed later")

    def _give_back(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()
        os.close(self._death)


def start_sealer(segment_path: str, state_directory: str, forms_from: str, reader_gid: int | None = None) -> Sealing:
    """Start the process. *Raises:* StorageError when the system refuses one."""
    # The packages of this very writer, whether installed, editable or a checkout: -P keeps the working folder out.
    root = os.path.dirname(os.path.dirname(os.path.abspath(workers.__file__)))
    former = os.environ.get("PYTHONPATH")
    # Arrow's own allocators keep freed memory, and one thread of its pool per core costs memory for no gain here.
    environment = {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{former}" if former else root,
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "OMP_NUM_THREADS": "1",
    }
    options = ["--parent", str(os.getpid()), "--forms-from", forms_from]
    if reader_gid is not None:
        options += ["--reader-gid", str(reader_gid)]
    command = [sys.executable, "-P", "-m", "workers.writer.sealer", segment_path, state_directory, *options]
    try:
        process = Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment)
    except OSError as cause:
        raise storage_error(sys.executable, cause) from cause
    return SealerProcess(process, segment_path)
