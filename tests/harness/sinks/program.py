"""A real program of a test's own, to which exports go: started, killed, started again on the same port and data, ended.

`scripts/lab/sinks package NAME` makes the programs once on a machine; a test of one that is not made is skipped.
"""

import os
import re
import signal
import ssl
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Self

import pytest
from harness import proc
from harness.sinks.loopback_port import LOOPBACK, LoopbackPort
from harness.waiting import DEADLINE_SECONDS, SLOWNESS, NotInTime, wait_until

SINKS = Path(__file__).parents[3] / "scripts" / "lab" / "sinks"
# sysexits.h, EX_UNAVAILABLE: as the script ends where a program is not made.
_NOT_MADE = 69
_ANSWER_SECONDS = 5.0 * SLOWNESS
_VERSION = re.compile(r"-v?(\d+(?:\.\d+)+)")
# The kernel kills the program when the thread that started it ends, however that comes.
_MORTAL = ("setpriv", "--pdeathsig", "KILL", "--")


@cache
def _found(name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SINKS, "find", name], capture_output=True, text=True, check=False)


def sink_folder(name: str) -> Path:
    """The folder with the programs of a component of scripts/lab/sinks. Skips the test where it is not made."""
    found = _found(name)
    if found.returncode == _NOT_MADE:
        pytest.skip(found.stderr.strip())
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip())


def get(port: int, target: str, *, address: str = LOOPBACK, tls: bool = False) -> tuple[int, bytes]:
    """Status and body of one GET, as `ask`."""
    return ask(port, "GET", target, address=address, tls=tls)


def ask(port: int, method: str, target: str, body: bytes = b"", *, address: str = LOOPBACK, tls: bool = False) -> tuple[int, bytes]:
    """Status and body of the answer to one request, by a connection of its own, which believes any certificate.

    *Raises:* OSError, HTTPException.
    """
    if tls:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection(address, port, timeout=_ANSWER_SECONDS, context=trusting)
    else:
        connection = HTTPConnection(address, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request(method, target, body or None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class SinkProgram(ABC):
    """One process in a session of its own. Use it as a context: leaving it kills it, and asserts that no process of it is left.

    What it keeps and what it prints (`output`) lies in `folder`, a private one that the test gives. Its ports stay the same over
    `kill` and `start`. Start it in the thread of the test: it dies with the thread that started it.
    """

    # As scripts/lab/sinks calls the component.
    component: str

    def __init__(self, folder: Path) -> None:
        # First of all: a test that is skipped has taken nothing.
        self.programs = self.find_programs()
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._ports: list[LoopbackPort] = []
        # The address on which it listens, and the words in front of its own that start it elsewhere: see lossy_network.
        self.address = LOOPBACK
        self.prefix: tuple[str, ...] = ()

    def find_programs(self) -> Path:
        """The folder with the programs of the component. Skips the test where it is not made."""
        return sink_folder(self.component)

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The words that start it; all that they name is there."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it takes what is sent to it. *Raises:* OSError and HTTPException mean that it does not."""

    @property
    def version(self) -> str:
        """Of the program, as the folder that it was made in says; of a package without one the name of that."""
        found = _VERSION.search(self.programs.name)
        return found[1] if found else self.programs.name

    def take_port(self) -> int:
        """A port for as long as this object is used."""
        self._ports.append(LoopbackPort.take())
        return self._ports[-1].number

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        left = self._end()
        if kind is None:
            assert left == [], f"{self.component} has left {left}"

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> str:
        """What it has printed, over all its starts."""
        return (self.folder / "output").read_text(errors="replace")

    def start(self) -> None:
        """Start it, and wait until it is ready. *Raises:* AssertionError with its output where it ends or is not in time."""
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*self.prefix, *_MORTAL, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
                # Some read settings from variables, and some would use a proxy to reach each other.
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder)},
            )
        try:
            wait_until(self._is_up, f"{self.component} is ready")
        except NotInTime as late:
            late.add_note(self.output)
            raise

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.component} ended with {self.process.returncode}:\n{self.output}"
        with suppress(OSError, HTTPException):
            return self.is_ready()
        return False

    def kill(self) -> None:
        """SIGKILL, as a crash or the kernel's OOM killer; gives when it is gone."""
        self.stop(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and give its exit code; it may be started again."""
        assert self.process is not None
        # Not only its own pid: some start others. Before it is waited for, the number cannot be another's.
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self.process.wait(DEADLINE_SECONDS)

    def pause(self) -> None:
        """SIGSTOP: its connections stay and get no answer, until `resume`."""
        os.killpg(self.pid, signal.SIGSTOP)
        wait_until(lambda: proc.is_stopped(self.pid), f"{self.component} is stopped")

    def resume(self) -> None:
        """SIGCONT."""
        os.killpg(self.pid, signal.SIGCONT)

    def _end(self) -> list[int]:
        for port in self._ports:
            port.release()
        self._ports.clear()
        if self.process is None:
            return []
        self.kill()
        return [pid for pid in proc.all_pids() if _session_of(pid) == self.process.pid]


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
