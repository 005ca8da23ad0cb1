"""A collector as the sampler sees it: started, asked, listened to, and left alone. Nothing here waits.

Refused: Popen, which warns of a child that is left alone; a fork of the worker, which has threads; PR_SET_PDEATHSIG and SIGKILL,
because a collector may be inside a driver (docs/decisions/0057-an-abandoned-collector.md).
"""

import fcntl
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import msgspec
from msgspec import Struct

from agent.process_stat import read_stat
from workers.gpu.collector import LOCK
from workers.gpu.limit import ANSWER_BYTES_MAX
from workers.gpu.reading import DeviceIdentity

_PRINTED_BYTES_MAX = 2048
_RECORD_BYTES_MAX = 64 << 10
# The most that an unprivileged process may have (pipe(7)); an answer must fit, or it would be written in turns of the reader.
_PIPE_BYTES = 1 << 20
_CODE = "import sys; sys.path[:] = {path!r}; from workers.gpu.collector import main; main()"


class Debris(Struct, frozen=True):
    """A collector that another worker started and that is still there, as its lock's file records it.

    *Absent:* `since_wall_ns` where it was not given up: it may just be ending.
    """

    pid: int
    since_wall_ns: int | None = None
    devices: list[DeviceIdentity] = []
    source: str = "nvml"


class Collector(Protocol):
    """One process that asks a driver."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def ask(self) -> None:
        """Ask for everything; at most one question is open."""
        ...

    def take(self) -> bytes | None:
        """An answer that has arrived, without its end of line. *Absent:* none has."""
        ...

    def ended(self) -> str | None:
        """How it ended, with its last words. *Absent:* it is there."""
        ...

    def state(self) -> str:
        """The kernel's letter for what it does; `?` where that is not known."""
        ...

    def record(self, debris: Debris) -> None:
        """Leave word for a later worker, should this one end first."""
        ...

    def close(self) -> None:
        """Leave it alone: it ends when the driver lets it."""
        ...


class StartCollector(Protocol):
    """Starts the collector of a set of GPUs. *Raises:* OSError."""

    def __call__(self, name: str) -> "Collector | Debris":
        """The collector, or what is in its way."""
        ...


class CollectorProcess:
    """A `Collector` that is a process of its own."""

    def __init__(self, pid: int, ends: tuple[int, int, int], lock: int) -> None:
        self.pid = pid
        self._questions, self._answers, self._printed = ends
        self._lock = lock
        self._data = bytearray()
        self._words = bytearray()
        self._is_closed = False
        for descriptor in ends:
            os.set_blocking(descriptor, False)

    def ask(self) -> None:
        # A collector that has just ended is noticed by `ended`.
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._questions, b"\n")

    def take(self) -> bytes | None:
        self._read(self._answers, self._data, ANSWER_BYTES_MAX + 1)
        line, end, rest = self._data.partition(b"\n")
        if end:
            self._data = bytearray(rest)
            return bytes(line)
        assert len(self._data) <= ANSWER_BYTES_MAX, "a collector bounds its answers"
        return None

    def ended(self) -> str | None:
        self._read(self._printed, self._words, 1 << 20)
        del self._words[:-_PRINTED_BYTES_MAX]
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 0
        if pid == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        self._read(self._printed, self._words, 1 << 20)
        lines = self._words.decode(errors="replace").strip().splitlines()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"{how}: {lines[-1]}" if lines else how

    def state(self) -> str:
        try:
            return read_stat(f"/proc/{self.pid}").state
        except (OSError, ValueError):
            return "?"

    def record(self, debris: Debris) -> None:
        with suppress(OSError):
            _write_record(self._lock, debris)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            for descriptor in (self._questions, self._answers, self._printed, self._lock):
                os.close(descriptor)

    def _read(self, descriptor: int, into: bytearray, bytes_max: int) -> None:
        with suppress(BlockingIOError):
            while len(into) < bytes_max and (data := os.read(descriptor, min(64 << 10, bytes_max - len(into)))):
                into += data


def start_collector(
    name: str, *, folder: str, proc_root: str, root: str = "/", environment: Mapping[str, str] | None = None
) -> Collector | Debris:
    """Start the collector of a set of GPUs, unless one is there: its lock is in `folder`. *Raises:* OSError.

    `environment`: other variables than those of this process.
    """
    lock = os.open(os.path.join(folder, f"gpu-{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return _read_record(lock)
        finally:
            os.close(lock)
    except OSError:
        os.close(lock)
        raise
    opened = [lock]
    try:
        pipes = [os.pipe() for _ in range(3)]
        opened += [end for pipe in pipes for end in pipe]
        (asked, ask), (answers, answer), (printed, printer) = pipes
        with suppress(OSError):
            fcntl.fcntl(answers, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        pid = _spawn([name, proc_root, root], (asked, answer, printer, lock), os.environ if environment is None else environment)
        _write_record(lock, Debris(pid))
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    for descriptor in (asked, answer, printer):
        os.close(descriptor)
    return CollectorProcess(pid, (ask, answers, printed), lock)


def _spawn(arguments: list[str], ends: tuple[int, int, int, int], environment: Mapping[str, str]) -> int:
    """Without `site`: what it searches for costs time and memory, and is known. An empty entry stands for the present folder."""
    code = _CODE.format(path=[entry for entry in sys.path if entry])
    # The lock comes last, because its number may be that of an end.
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for end, number in zip(ends, (0, 1, 2, LOCK), strict=True)]
    command = [sys.executable, "-S", "-P", "-c", code, *arguments]
    return os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsigmask=(), setsigdef=(signal.SIGPIPE,))


def _write_record(lock: int, debris: Debris) -> None:
    data = msgspec.json.encode(debris)[:_RECORD_BYTES_MAX]
    os.ftruncate(lock, 0)
    os.pwrite(lock, data, 0)


def _read_record(lock: int) -> Debris:
    try:
        return msgspec.json.decode(os.pread(lock, _RECORD_BYTES_MAX, 0), type=Debris)
    except (OSError, msgspec.MsgspecError):
        return Debris(0)
