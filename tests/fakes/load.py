"""Real loads of a host: small programs with names of their own, which end with the block that started them."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOURCE = Path(__file__).with_name("load.c")
# Above the tests beside it, so that a load gets the CPU that it is about.
NICE = -10


class Loads:
    """Builds the program once, in a folder of the test's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = folder / "load"
        subprocess.run(
            ["gcc", "-O2", "-Wall", "-Werror", "-pthread", "-o", str(self._program), str(SOURCE)], check=True, capture_output=True
        )

    def program(self, name: str) -> Path:
        """The program under a name of at most 15 bytes, which the kernel keeps whole."""
        path = self._folder / name
        if not path.exists():
            shutil.copy(self._program, path)
        return path

    @contextmanager
    def running(self, name: str, *words: str, nice: int = 0) -> Iterator["subprocess.Popen[bytes]"]:
        """A load under a name; it is killed with the block."""
        with started([str(self.program(name)), *words], nice=nice) as process:
            yield process

    def script(self, name: str, text: str) -> Path:
        """A shell script under a name."""
        path = self._folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return path


@contextmanager
def only_storm() -> Iterator[None]:
    """One fork storm of the tests at a time, also of those that run side by side: top names the largest one."""
    with open(Path(tempfile.gettempdir()) / "evergauge-test-storm.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _favour(pid: int, nice: int) -> None:
    """Put a session before others: where the kernel shares the CPU among sessions first, nice values count within one only.

    *Source:* sched(7), "The autogroup feature".
    """
    os.setpriority(os.PRIO_PROCESS, pid, nice)
    with suppress(FileNotFoundError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


@contextmanager
def started(line: list[str], *, nice: int = 0) -> Iterator["subprocess.Popen[bytes]"]:
    """A program; it is killed with the block, and its children with it."""
    # The whole session would outlive a killed test; its first process, a shell with a loop as well, ends with the test.
    line = ["setpriv", "--pdeathsig", "KILL", *line]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        if nice:
            _favour(process.pid, nice)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(20)
