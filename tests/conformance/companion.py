"""A real process that does on command what the kernel's rules are about."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.proc import stat_of
from harness.waiting import wait_until

PROGRAM = Path(__file__).with_name("companion_program.py")


class Companion:
    """A process with one thread at first. Every order returns when it has been carried out."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", str(PROGRAM)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._hear() == self.pid

    @property
    def pid(self) -> int:
        return self._process.pid

    def thread(self, *, by: int | None = None) -> int:
        """The id of a new thread, made by the leader or by thread `by`."""
        return int(self._order("thread", by=by))

    def end_thread(self, thread_id: int) -> None:
        self._order("end", by=thread_id)
        wait_until(lambda: thread_id not in self.threads(), f"thread {thread_id} has ended")

    def end_leader(self) -> None:
        """The first thread ends, the others live on."""
        self._order("end_main")
        wait_until(lambda: (stat := stat_of(self.pid)) and stat.state == "Z", "the leader has ended")

    def fork(self, *, by: int | None = None) -> int:
        return int(self._order("fork", by=by))

    def let_go(self, pid: int) -> None:
        """A child ends and becomes a zombie."""
        self._order("let_go", pid)

    def reap(self, pid: int) -> None:
        self._order("reap", pid)

    def run_again(self, *, by: int | None = None) -> None:
        """exec of the same program: one thread again."""
        self._tell("exec", by)
        assert self._hear() == self.pid

    def write(self, path: str, text: str, *, by: int | None = None) -> str:
        """`ok`, or the kernel's word for the errno."""
        return str(self._order("write", path, text, by=by))

    def become(self, real: int, effective: int, saved: int) -> None:
        self._order("become", real, effective, saved)

    def be_busy(self, on: bool = True) -> None:
        """One thread that moves memory about; it is new, hence of the leader's group, on the first call."""
        self._order("busy", on)

    def threads(self) -> set[int]:
        return {int(entry.name) for entry in Path(f"/proc/{self.pid}/task").iterdir()}

    def _order(self, what: str, *arguments: Any, by: int | None = None) -> Any:
        self._tell(what, by, *arguments)
        return self._hear()

    def _tell(self, what: str, by: int | None, *arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, "in": by, "with": arguments}) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        """End it, and what it has forked with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
            raise
        finally:
            self._process.stdout.close()


@contextmanager
def companion() -> Iterator[Companion]:
    started = Companion()
    try:
        yield started
    finally:
        started.stop()
