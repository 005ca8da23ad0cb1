"""Asks agentctl what only it can answer: stored files of the past, and who made whom slow.

Each question is a short-lived process that reads the state folder, one at a time: Arrow and DuckDB, which it needs, would cost the
gateway a hundred MiB for good. May import os and subprocess.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from subprocess import DEVNULL, PIPE, Popen

from msgspec import Struct

import workers
from agent.model.timebase import S
from agent.ports import Interest
from agent.store.layout import DATA_FOLDER

OUTPUT_BYTES_MAX = 16 << 20
PROBLEM_BYTES_MAX = 4096
CHUNK_BYTES = 64 << 10
# Reading an hour of a busy node takes seconds; a day some more.
COMMAND_NS_MAX = 40 * S
# Who comes when so many wait is told to come back.
WAITING_MAX = 8
# It gives way to everything that is measured.
_PROGRAM = "import os, sys; os.nice(10); from agent.cli.main import main; sys.exit(main())"


class CommandEnd(Struct, frozen=True):
    """How a question ended: its output, or why there is none."""

    output: bytes
    problem: str


class _WaitingQuestion(Struct, frozen=True):
    arguments: Sequence[str]
    done: Callable[[CommandEnd, int], None]


class CommandRunner:
    """Runs one agentctl after the other, and waits for none."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._waiting: deque[_WaitingQuestion] = deque()
        self._asked: _WaitingQuestion | None = None
        self._process: Popen[bytes] | None = None
        self._death = -1
        self._outputs: dict[int, bytearray] = {}
        self._until_ns = 0

    @property
    def is_busy(self) -> bool:
        """Whether a question is under way."""
        return self._process is not None

    def ask(self, arguments: Sequence[str], done: Callable[[CommandEnd, int], None], now_ns: int) -> bool:
        """`done(end, now_ns)` is called once, later. False: too many wait."""
        if len(self._waiting) >= WAITING_MAX:
            return False
        self._waiting.append(_WaitingQuestion(arguments, done))
        if self._process is None:
            self._start_next(now_ns)
        return True

    def has_files(self) -> bool:
        """Whether there are sealed files at all: a young agent has none, and need not be asked about them."""
        try:
            with os.scandir(os.path.join(self._state_dir, DATA_FOLDER)) as entries:
                return any(True for _ in entries)
        except OSError:
            return False

    def interests(self) -> tuple[Interest, ...]:
        """What to wait for."""
        return () if self._process is None else (Interest(self._death), *map(Interest, self._outputs))

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do."""
        return self._until_ns if self._process is not None else None

    def on_timer(self, now_ns: int) -> None:
        """End one that takes too long."""
        if self._process is not None and self._until_ns <= now_ns:
            self._process.kill()
            self._end("it took too long", now_ns)

    def on_readable(self, descriptor: int, now_ns: int) -> bool:
        """Whether the descriptor was one of these."""
        if self._process is None or (descriptor != self._death and descriptor not in self._outputs):
            return False
        # Asked before reading, so that the output of an ended process is read in whole.
        code = self._process.poll()
        for each in (descriptor,) if code is None else tuple(self._outputs):
            self._read(each, is_over=code is not None)
        if code is not None:
            self._end("" if code == 0 else f"agentctl ended with {code}", now_ns)
        return True

    def close(self) -> None:
        """End what is under way; nobody is told."""
        self._waiting.clear()
        if self._process is not None:
            self._process.kill()
            self._asked = None
            self._end("", 0)

    def _start_next(self, now_ns: int) -> None:
        while self._waiting:
            asked = self._waiting.popleft()
            try:
                process = Popen(self._command(asked.arguments), stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=_environment())
                self._death = os.pidfd_open(process.pid)
            except OSError as refused:
                asked.done(CommandEnd(b"", f"no process can be started ({refused.strerror})"), now_ns)
                continue
            assert process.stdout is not None
            assert process.stderr is not None
            self._process, self._asked, self._until_ns = process, asked, now_ns + COMMAND_NS_MAX
            self._outputs = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
            for descriptor in self._outputs:
                os.set_blocking(descriptor, False)
            return

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-P", "-c", _PROGRAM, *arguments, "--state-dir", self._state_dir]

    def _read(self, descriptor: int, *, is_over: bool) -> None:
        kept = self._outputs.get(descriptor)
        if kept is None:
            return
        # A turn takes what a full pipe holds; of an ended process all.
        while True:
            try:
                data = os.read(descriptor, CHUNK_BYTES)
            except BlockingIOError:
                return
            kept += data[: max(OUTPUT_BYTES_MAX - len(kept), 0)]
            if not data or not is_over:
                return

    def _end(self, problem: str, now_ns: int) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        output, told = (bytes(self._outputs[each.fileno()]) for each in (self._process.stdout, self._process.stderr))
        self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()
        os.close(self._death)
        asked, self._process, self._asked, self._outputs = self._asked, None, None, {}
        if problem:
            lines = told[-PROBLEM_BYTES_MAX:].decode(errors="replace").strip().splitlines()
            problem = lines[-1] if lines else problem
        elif len(output) >= OUTPUT_BYTES_MAX:
            problem = "the answer is too large; ask for a shorter time"
        if asked is not None:
            asked.done(CommandEnd(b"" if problem else output, problem), now_ns)
        self._start_next(now_ns)


def _environment() -> dict[str, str]:
    # The packages of this very gateway, whether installed, editable or a checkout: -P keeps the working folder out.
    root = os.path.dirname(os.path.dirname(os.path.abspath(workers.__file__)))
    former = os.environ.get("PYTHONPATH")
    own = {name: value for name, value in os.environ.items() if not name.startswith("EVERGAUGE_")}
    return {
        **own,
        "PYTHONPATH": f"{root}{os.pathsep}{former}" if former else root,
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "OMP_NUM_THREADS": "1",
        "AGENTCTL_MEMORY_LIMIT": "384MiB",
    }
