"""Reads that may never return, done where a stuck one costs a thread and nobody's time.

Some files of `/proc/PID` take the memory lock of the process that they describe, and a process that waits for a dead file
system can hold that lock for ever. Such files are read in a thread beside the caller: it gets the whole list in one
hand-over, and the caller waits only as long as the thread gets on. A thread that does not is left behind, and another one
serves the rest. What it was reading is not asked again before it has come back.

A thread that is only kept from a CPU, as all are on a busy or stopped machine, is not left behind: the kernel tells it from one
that waits.

The thread sleeps without a timeout between hand-overs. Waiting for a memory lock ends with SIGKILL since Linux 5.3, so a
stuck thread does not outlive its process.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from agent.kernel_file import read_whole
from agent.model.errors import KernelFormatError
from agent.model.proc_stat import STAT_BYTES_MAX
from agent.model.timebase import S
from agent.process_stat import read_stat

T = TypeVar("T")

# A read of /proc takes some 10 us.
PATIENCE_SECONDS = 0.08
# For so long it is looked whether a thread is kept from a CPU; and so often at most one call waits on for that: a second in all.
LOOK_SECONDS = 0.01
STARVED_ROUNDS_MAX = 12
# So often at most a call waits that long, however many reads stick: what is left is not read this time.
ROUNDS_MAX = 3
# A long list gets one more round for each this many reads.
READS_PER_ROUND = 80
# Each stuck read costs one thread.
STUCK_MAX = 16


class Unanswered(Enum):
    """Why there is no answer."""

    STUCK = "stuck"
    """The read has not come back."""
    NOT_ASKED = "not asked"
    """Too many others have not come back."""


class Scheduling(NamedTuple):
    """What the kernel says of a thread: its state, how long it ran, and how often it was given a CPU."""

    state: str
    ran_ns: int
    slices: int


def scheduling_of(thread_id: int) -> Scheduling | None:
    """Of a thread of this process. *Absent:* it has ended, or the kernel does not tell.

    *Source:* proc_pid_stat(5); linux/Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat".
    """
    folder = f"/proc/self/task/{thread_id}"
    try:
        ran, _, slices = read_whole(f"{folder}/schedstat", STAT_BYTES_MAX).split()
        return Scheduling(read_stat(folder).state, int(ran), int(slices))
    except (OSError, ValueError, KernelFormatError):
        return None


def is_starved(before: Scheduling | None, after: Scheduling | None) -> bool:
    """Whether a thread was kept from a CPU between two looks: it can run, or was just let run, and has not run for most of it."""
    if before is None or after is None or after.ran_ns - before.ran_ns > LOOK_SECONDS * S / 2:
        return False
    # T: everything stands still, by SIGSTOP.
    return after.state in "RT" or after.slices != before.slices


class SideReader(Generic[T]):
    """Reads whole lists of paths with `read`, which may be stuck in one of them for ever.

    `beat` is called while it waits. `wait` waits for the end of a list, and says whether it has come; tests replace it, and
    `scheduling`, which asks the kernel about a thread.
    """

    def __init__(
        self,
        read: Callable[[str], T],
        *,
        beat: Callable[[], None] = lambda: None,
        wait: Callable[[threading.Event], bool] = lambda finished: finished.wait(PATIENCE_SECONDS),
        scheduling: Callable[[int], Scheduling | None] = scheduling_of,
        stuck_max: int = STUCK_MAX,
    ) -> None:
        self._read = read
        self._beat = beat
        self._wait = wait
        self._scheduling = scheduling
        self._stuck_max = stuck_max
        # How often the present call may still wait on.
        self._starved_rounds = 0
        self._helper: _Helper[T] | None = None
        self._stuck: dict[Hashable, _Helper[T]] = {}

    @property
    def stuck(self) -> int:
        """How many reads have not come back."""
        self._forget_returned()
        return len(self._stuck)

    def read_all(self, asks: Sequence[tuple[Hashable, str]]) -> dict[Hashable, T | OSError | Unanswered]:
        """The answer to each of `(key, path)`, by key; keys are unique, and one that is stuck is not asked again."""
        self._forget_returned()
        answers: dict[Hashable, T | OSError | Unanswered] = {}
        left = list(asks)
        if self._stuck:
            answers = {key: Unanswered.STUCK for key, _ in asks if key in self._stuck}
            left = [ask for ask in asks if ask[0] not in self._stuck]
        rounds = ROUNDS_MAX + len(left) // READS_PER_ROUND
        self._starved_rounds = STARVED_ROUNDS_MAX
        while left and rounds > 0 and len(self._stuck) < self._stuck_max:
            work = self._hand_over(left)
            rounds = self._await(work, rounds)
            answers.update(zip([key for key, _ in left], work.answers, strict=False))
            left = left[len(work.answers) :]
            if left:
                key = left.pop(0)[0]
                answers[key] = Unanswered.STUCK
                assert self._helper is not None
                self._stuck[key], self._helper = self._helper, None
        answers.update((key, Unanswered.NOT_ASKED) for key, _ in left)
        return answers

    def close(self) -> None:
        """End the thread that waits for work; those that are stuck end with their read or with the process."""
        if self._helper is not None:
            self._helper.take(None)
            self._helper = None

    def _hand_over(self, asks: list[tuple[Hashable, str]]) -> "_Work[T]":
        if self._helper is None:
            self._helper = _Helper(self._read)
        work: _Work[T] = _Work([path for _, path in asks])
        self._helper.take(work)
        return work

    def _await(self, work: "_Work[T]", rounds: int) -> int:
        """Wait as long as reads come back; gives the rounds that are left."""
        seen = 0
        while True:
            is_finished = self._wait(work.finished)
            self._beat()
            if is_finished:
                if work.bug is not None:
                    raise work.bug
                return rounds
            if self._starved_rounds and self._is_starved(work):
                self._starved_rounds -= 1
                continue
            rounds -= 1
            is_over = rounds <= 0
            if work.is_left_behind(None if is_over else seen):
                return rounds
            seen = len(work.answers)

    def _is_starved(self, work: "_Work[T]") -> bool:
        """Whether the thread would get on if it had a CPU; also where it was through meanwhile."""
        assert self._helper is not None
        before = self._scheduling(self._helper.thread_id)
        return work.finished.wait(LOOK_SECONDS) or is_starved(before, self._scheduling(self._helper.thread_id))

    def _forget_returned(self) -> None:
        for key in [key for key, helper in self._stuck.items() if not helper.is_alive]:
            del self._stuck[key]


class _Work(Generic[T]):
    """One list of paths, and the answers so far in the same order."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        self.answers: list[T | OSError] = []
        self.finished = threading.Event()
        self.bug: Exception | None = None
        self._lock = threading.Lock()
        self._is_left_behind = False

    def add(self, answer: T | OSError) -> bool:
        """By the thread; False: its caller has gone on without it."""
        with self._lock:
            if not self._is_left_behind:
                self.answers.append(answer)
            return not self._is_left_behind

    def is_left_behind(self, seen: int | None) -> bool:
        """By the caller: leave the thread behind, unless it has come further than `seen` or is through (None: in any case)."""
        with self._lock:
            if len(self.answers) < len(self.paths) and seen in (None, len(self.answers)):
                self._is_left_behind = True
            return self._is_left_behind


class _Helper(Generic[T]):
    """One thread. It ends when it is told to, or when it comes back to a caller that has gone on."""

    def __init__(self, read: Callable[[str], T]) -> None:
        self._read = read
        self._work: _Work[T] | None = None
        self._wake = threading.Semaphore(0)
        # A daemon: the interpreter does not wait for it when the process ends.
        self._thread = threading.Thread(target=self._serve, name="side-reader", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def thread_id(self) -> int:
        return self._thread.native_id or 0

    def take(self, work: _Work[T] | None) -> None:
        self._work = work
        self._wake.release()

    def _serve(self) -> None:
        while True:
            self._wake.acquire()
            work = self._work
            if work is None or not self._read_through(work):
                return
            work.finished.set()

    def _read_through(self, work: _Work[T]) -> bool:
        for path in work.paths:
            try:
                answer: T | OSError = self._read(path)
            except OSError as failure:
                answer = failure
            except Exception as bug:  # noqa: BLE001  it is the caller's, who raises it in its own thread
                work.bug = bug
                break
            if not work.add(answer):
                return False
        return True
