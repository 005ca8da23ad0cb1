"""Reads aside: what sticks costs one thread and nobody's answer. Each thread stands where the test lets it stand."""

import errno
import threading
from collections.abc import Iterator

import pytest

from agent.side_reader import (
    ROUNDS_MAX,
    STARVED_ROUNDS_MAX,
    STUCK_MAX,
    Scheduling,
    SideReader,
    Unanswered,
    is_starved,
    scheduling_of,
)


class Paths:
    """Files in memory; a path that begins with `stuck` is held until it is let go. Waits for threads, never for time."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.threads: set[int] = set()
        self.reader: SideReader[str] | None = None
        self._held: dict[str, threading.Event] = {}
        self._standing: set[str] = set()

    def read(self, path: str) -> str:
        """The content; an error for a path that begins with `no`."""
        self.reads.append(path)
        self.threads.add(threading.get_ident())
        if path.startswith("stuck"):
            gate = self._held.setdefault(path, threading.Event())
            self._standing.add(path)
            gate.wait(30)
            self._standing.discard(path)
        if path.startswith("no"):
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        if path == "bug":
            raise ValueError("a bug")
        return path.upper()

    def wait(self, finished: threading.Event) -> bool:
        """Until the list is through, or a thread stands before a closed gate and the reader does not know it yet."""
        assert self.reader is not None
        while not finished.wait(0.001):
            if len(self._standing) > len(self.reader._stuck):
                return False
        return True

    def let_go(self, path: str) -> None:
        """Open the gate of one path."""
        self._held.setdefault(path, threading.Event()).set()

    def let_all_go(self) -> None:
        """Open every gate."""
        for gate in self._held.values():
            gate.set()


@pytest.fixture
def paths() -> Iterator[Paths]:
    """All gates are open in the end, so that no thread stays."""
    made = Paths()
    yield made
    made.let_all_go()


def _reader(paths: Paths, *, stuck_max: int = STUCK_MAX) -> SideReader[str]:
    # Who stands before a gate is stuck, also where this machine had no CPU for the last step to it.
    paths.reader = SideReader(paths.read, wait=paths.wait, scheduling=lambda _thread_id: None, stuck_max=stuck_max)
    return paths.reader


def _asks(*paths: str) -> list[tuple[str, str]]:
    return [(path, path) for path in paths]


def _wait_returned(reader: SideReader[str], stuck: int) -> None:
    pause = threading.Event()
    for _ in range(5000):
        if reader.stuck == stuck:
            return
        pause.wait(0.001)
    raise AssertionError(f"{reader.stuck} are stuck, not {stuck}")


def test_all_answers_come_in_one_hand_over_from_one_thread(paths: Paths) -> None:
    """A second list is read by the same thread."""
    reader = _reader(paths)
    assert reader.read_all(_asks("a", "b")) == {"a": "A", "b": "B"}
    assert reader.read_all(_asks("c")) == {"c": "C"}
    assert len(paths.threads) == 1
    reader.close()


def test_nothing_to_read_starts_no_thread(paths: Paths) -> None:
    """An idle reader costs nothing."""
    reader = _reader(paths)
    assert reader.read_all([]) == {}
    assert reader._helper is None
    reader.close()


def test_a_failure_is_an_answer(paths: Paths) -> None:
    """Of this path alone."""
    reader = _reader(paths)
    answers = reader.read_all(_asks("no", "b"))
    assert (type(answers["no"]), answers["b"]) == (FileNotFoundError, "B")
    reader.close()


def test_one_that_is_stuck_costs_only_its_own_answer(paths: Paths) -> None:
    """Those before and behind it are read, and it is not asked again before it has come back."""
    reader = _reader(paths)
    expected = {"a": "A", "stuck": Unanswered.STUCK, "b": "B"}
    assert reader.read_all(_asks("a", "stuck", "b")) == expected
    assert reader.read_all(_asks("a", "stuck", "b")) == expected
    assert (paths.reads.count("stuck"), reader.stuck) == (1, 1)
    paths.let_go("stuck")
    _wait_returned(reader, 0)
    assert reader.read_all(_asks("a", "stuck"))["stuck"] == "STUCK"
    reader.close()


def test_a_thread_that_was_left_behind_reads_no_further(paths: Paths) -> None:
    """What it was to read has been read by its successor."""
    reader = _reader(paths)
    reader.read_all(_asks("stuck", "b"))
    paths.let_go("stuck")
    _wait_returned(reader, 0)
    assert paths.reads == ["stuck", "b"]
    reader.close()


def test_so_many_may_be_stuck_and_then_nobody_is_asked(paths: Paths) -> None:
    """No further thread, until one has come back."""
    reader = _reader(paths, stuck_max=2)
    answers = reader.read_all(_asks("stuck1", "stuck2", "a"))
    assert list(answers.values()) == [Unanswered.STUCK, Unanswered.STUCK, Unanswered.NOT_ASKED]
    assert reader.read_all(_asks("a")) == {"a": Unanswered.NOT_ASKED}
    paths.let_go("stuck1")
    _wait_returned(reader, 1)
    assert reader.read_all(_asks("a")) == {"a": "A"}
    reader.close()


def test_many_new_ones_cost_a_call_only_so_many_waits(paths: Paths) -> None:
    """The rest of the list waits for the next call, which begins where this one stopped."""
    reader = _reader(paths)
    waits: list[int] = []
    reader._beat = lambda: waits.append(0)
    names = [f"stuck{number}" for number in range(2 * ROUNDS_MAX)]
    answers = list(reader.read_all(_asks(*names, "a")).values())
    assert answers == [Unanswered.STUCK] * ROUNDS_MAX + [Unanswered.NOT_ASKED] * (ROUNDS_MAX + 1)
    assert len(waits) == ROUNDS_MAX
    again = reader.read_all(_asks(*names[:ROUNDS_MAX], "a"))
    assert again["a"] == "A"
    reader.close()


def test_slow_reads_that_come_back_are_waited_for(paths: Paths) -> None:
    """Progress is what counts: a wait that ends with some more answers is no reason to leave the thread behind."""
    reader = _reader(paths)
    seen: list[bool] = []

    def wait(finished: threading.Event) -> bool:
        if not seen:
            # The patience is over just when the first answer is there and the second read has begun.
            while "stuck" not in paths.reads:
                finished.wait(0.001)
            seen.append(True)
            return False
        paths.let_go("stuck")
        return finished.wait(30)

    reader._wait = wait
    assert reader.read_all(_asks("a", "stuck", "b")) == {"a": "A", "stuck": "STUCK", "b": "B"}
    assert reader.stuck == 0
    reader.close()


def test_a_thread_that_is_kept_from_a_cpu_is_waited_for(paths: Paths) -> None:
    """It stands where it stands because nobody lets it run; that is over after three looks."""
    looks = iter([Scheduling("R", 0, 1)] * 2 + [Scheduling("T", 0, 1)] * 2 + [Scheduling("S", 0, 1), Scheduling("S", 0, 2)])
    waits: list[int] = []

    def wait(finished: threading.Event) -> bool:
        waits.append(0)
        if len(waits) > 3:
            paths.let_go("stuck")
            return finished.wait(30)
        return False

    reader = SideReader(paths.read, wait=wait, scheduling=lambda _thread_id: next(looks))
    assert reader.read_all(_asks("a", "stuck", "b")) == {"a": "A", "stuck": "STUCK", "b": "B"}
    assert (len(waits), reader.stuck) == (4, 0)
    reader.close()


def test_nobody_is_waited_for_for_ever(paths: Paths) -> None:
    """Threads that get no CPU cost a call a second in all, and then their values, as those that are stuck."""
    waits: list[int] = []

    def wait(_finished: threading.Event) -> bool:
        waits.append(0)
        return False

    reader = SideReader(paths.read, wait=wait, scheduling=lambda _thread_id: Scheduling("R", 0, 1))
    assert set(reader.read_all(_asks("stuck1", "stuck2")).values()) == {Unanswered.STUCK}
    assert len(waits) == STARVED_ROUNDS_MAX + 2
    reader.read_all(_asks("stuck3"))
    assert len(waits) == 2 * STARVED_ROUNDS_MAX + 3, "each call may wait on"
    reader.close()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Scheduling("D", 5, 1), Scheduling("D", 5, 1), False),
        (Scheduling("S", 5, 1), Scheduling("S", 5, 1), False),
        (Scheduling("R", 5, 1), Scheduling("R", 5, 1), True),
        (Scheduling("D", 5, 1), Scheduling("D", 9, 2), True),
        # It has a CPU, and what it reads takes long.
        (Scheduling("R", 0, 1), Scheduling("R", 9_000_000, 1), False),
        (None, Scheduling("R", 5, 1), False),
        (Scheduling("R", 5, 1), None, False),
    ],
)
def test_who_waits_is_told_from_who_is_kept_from_a_cpu(before: Scheduling | None, after: Scheduling | None, expected: bool) -> None:
    """By what the kernel says of the thread."""
    assert is_starved(before, after) is expected


def test_the_kernel_is_asked_about_threads() -> None:
    """Of this one, which runs; one that is not there is absent."""
    found = scheduling_of(threading.get_native_id())
    assert found is not None
    assert found.state == "R"
    assert found.slices > 0
    assert scheduling_of(0) is None


def test_a_bug_in_a_read_is_the_callers(paths: Paths) -> None:
    """It is raised where it can be seen, and the reader goes on."""
    reader = _reader(paths)
    with pytest.raises(ValueError, match="a bug"):
        reader.read_all(_asks("bug", "a"))
    assert reader.read_all(_asks("a")) == {"a": "A"}
    reader.close()


def test_the_thread_ends_with_its_reader(paths: Paths) -> None:
    """Nothing stays behind but what is stuck."""
    reader = _reader(paths)
    reader.read_all(_asks("a"))
    helper = reader._helper
    assert helper is not None
    reader.close()
    helper._thread.join(30)
    assert not helper.is_alive
