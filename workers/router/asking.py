"""Questions under way: each is an agentctl of its own, a few at a time, with a deadline. May import os and subprocess.

What is read may be much, and Arrow takes what it needs: a question that is over gives everything back, and one that takes too long
or too much ends alone. The worker's loop waits for none.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from subprocess import DEVNULL, PIPE, Popen

from msgspec import Struct

import workers
from agent.model.errors import ExitCode
from agent.model.timebase import S
from agent.ports import Interest

OUTPUT_BYTES_MAX = 16 << 20
PROBLEM_BYTES_MAX = 4096
CHUNK_BYTES = 256 << 10
# It ends by itself at its own deadline; so much later it is ended.
PATIENCE_NS = 2 * S
# It gives way to everything that is measured, and may not take more memory than it was given.
PROGRAM = (
    "import os, resource, sys; os.nice(10); most = int(sys.argv.pop(1)); resource.setrlimit(resource.RLIMIT_DATA, (most, most)); "
    "from agent.cli.main import main; sys.exit(main())"
)
TOO_LATE = "it took too long; ask for a shorter time"
_MEMORY = "it needs more memory than router.memory allows; ask for a shorter time, or for fewer lines"


class AskTerms(Struct, frozen=True):
    """How questions are asked. `words`: behind those of each question; `variables`: settings, as environment variables.

    `program`: Python that takes as words the bytes of memory it may take, and the question.
    """

    at_once: int
    waiting_max: int
    timeout_ns: int
    memory_bytes: int
    words: tuple[str, ...]
    variables: Mapping[str, str] = {}
    program: str = PROGRAM


class AskEnd(Struct, frozen=True):
    """How a question ended: its output; else the sentence why there is none. `code` is that of agentctl, or FAILED."""

    output: bytes
    code: int = 0
    sentence: str = ""


Done = Callable[[AskEnd, int], None]


class _WaitingAsk(Struct, frozen=True, eq=False):
    words: Sequence[str]
    done: Done


class _Child:
    """One agentctl."""

    def __init__(self, process: "Popen[bytes]", done: Done, until_ns: int) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.done = done
        self.until_ns = until_ns
        # An end of file can come before the end of a process, and an end without one.
        self.death = os.pidfd_open(process.pid)
        self.streams = (process.stdout, process.stderr)
        self.outputs = {stream.fileno(): bytearray() for stream in self.streams}
        for descriptor in self.outputs:
            os.set_blocking(descriptor, False)
        self.open = set(self.outputs)

    def read(self, descriptor: int, *, is_over: bool) -> None:
        """Take what a pipe holds; of an ended process all."""
        kept = self.outputs[descriptor]
        while descriptor in self.open:
            try:
                data = os.read(descriptor, CHUNK_BYTES)
            except BlockingIOError:
                return
            kept += data[: max(OUTPUT_BYTES_MAX + 1 - len(kept), 0)]
            if not data:
                self.open.discard(descriptor)
            elif not is_over:
                return

    def end(self) -> tuple[bytes, bytes]:
        """Give everything back; its output and what it said on standard error."""
        self.process.wait()
        output, told = (bytes(self.outputs[stream.fileno()]) for stream in self.streams)
        for stream in self.streams:
            stream.close()
        os.close(self.death)
        return output, told


class Asking:
    """Runs agentctl. `asked`, `failed` and `refused` count questions so far."""

    def __init__(self, terms: AskTerms) -> None:
        self._terms = terms
        self._waiting: deque[_WaitingAsk] = deque()
        self._children: list[_Child] = []
        self.asked = self.failed = self.refused = 0

    @property
    def under_way(self) -> int:
        """How many questions are being answered."""
        return len(self._children)

    @property
    def waiting(self) -> int:
        """How many wait for that."""
        return len(self._waiting)

    @property
    def rounds_ahead(self) -> int:
        """How many questions come one after the other until the next one is answered, itself included, at most."""
        return (len(self._children) + len(self._waiting)) // self._terms.at_once + 1

    def ask(self, words: Sequence[str], done: Done, now_ns: int) -> bool:
        """`done(end, now_ns)` is called once, later. False: too many wait."""
        if len(self._children) >= self._terms.at_once and len(self._waiting) >= self._terms.waiting_max:
            self.refused += 1
            return False
        self._waiting.append(_WaitingAsk(words, done))
        self._start_next(now_ns)
        return True

    def forget(self, done: Done) -> None:
        """Nobody waits for this answer any more."""
        self._waiting = deque(each for each in self._waiting if each.done is not done)
        for child in self._children:
            if child.done is done:
                child.process.kill()

    def interests(self) -> tuple[Interest, ...]:
        """What to wait for."""
        return tuple(Interest(each) for child in self._children for each in (child.death, *child.open))

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do."""
        return min((child.until_ns for child in self._children), default=None)

    def on_timer(self, now_ns: int) -> None:
        """End those that take too long."""
        for child in [each for each in self._children if each.until_ns <= now_ns]:
            child.process.kill()
            self._end(child, AskEnd(b"", ExitCode.TRY_AGAIN, TOO_LATE), now_ns)

    def on_readable(self, descriptor: int, now_ns: int) -> bool:
        """Whether the descriptor was one of these."""
        child = next((each for each in self._children if descriptor == each.death or descriptor in each.open), None)
        if child is None:
            return False
        # Asked before reading, so that the output of an ended process is read in whole.
        code = child.process.poll()
        for each in tuple(child.open) if code is not None else (descriptor,):
            if each in child.open:
                child.read(each, is_over=code is not None)
        if code is not None:
            self._end(child, None, now_ns)
        return True

    def close(self) -> None:
        """End what is under way; nobody is told."""
        self._waiting.clear()
        for child in self._children:
            child.process.kill()
            child.end()
        self._children = []

    def _start_next(self, now_ns: int) -> None:
        while self._waiting and len(self._children) < self._terms.at_once:
            asked = self._waiting.popleft()
            self.asked += 1
            try:
                process = Popen(self._command(asked.words), stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=self._environment())
            except OSError as refused:
                self.failed += 1
                asked.done(AskEnd(b"", ExitCode.TRY_AGAIN, f"no process can be started ({refused.strerror})"), now_ns)
                continue
            self._children.append(_Child(process, asked.done, now_ns + self._terms.timeout_ns + PATIENCE_NS))

    def _command(self, words: Sequence[str]) -> list[str]:
        terms = self._terms
        seconds = f"--timeout={terms.timeout_ns / S:g}"
        return [sys.executable, "-P", "-c", terms.program, str(terms.memory_bytes), *words, *terms.words, seconds]

    def _end(self, child: _Child, end: AskEnd | None, now_ns: int) -> None:
        self._children.remove(child)
        output, told = child.end()
        found = end or _end_of(child.process.returncode, output, told)
        self.failed += found.code != 0
        child.done(found, now_ns)
        self._start_next(now_ns)

    def _environment(self) -> dict[str, str]:
        # The packages of this very agent, whether installed, editable or a checkout: -P keeps the working folder out.
        root = os.path.dirname(os.path.dirname(os.path.abspath(workers.__file__)))
        former = os.environ.get("PYTHONPATH")
        own = {name: value for name, value in os.environ.items() if not name.startswith("EVERGAUGE_")}
        return {
            **own,
            **self._terms.variables,
            "PYTHONPATH": f"{root}{os.pathsep}{former}" if former else root,
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "OMP_NUM_THREADS": "1",
        }


def _end_of(code: int, output: bytes, told: bytes) -> AskEnd:
    if code == 0 and len(output) <= OUTPUT_BYTES_MAX:
        return AskEnd(output)
    if code == 0:
        return AskEnd(b"", ExitCode.MISUSE, "the answer is too large; ask for fewer lines or a shorter time")
    text = told[-PROBLEM_BYTES_MAX:].decode(errors="replace")
    if code < 0:
        return AskEnd(b"", ExitCode.TRY_AGAIN, f"its process was ended by signal {-code}; ask again, or for a shorter time")
    if "MemoryError" in text or "malloc" in text:
        return AskEnd(b"", ExitCode.MISUSE, _MEMORY)
    lines = text.strip().splitlines()
    sentence = lines[-1].removeprefix("agentctl: ") if lines else f"agentctl ended with {code}"
    return AskEnd(b"", code, sentence)
