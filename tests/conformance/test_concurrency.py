"""Several callers at the same time: each command is whole, and one comes after the other."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from errno import EEXIST, ENOENT
from functools import partial
from typing import TypeVar

from conformance.companion import Companion
from conformance.mounted import PREFIX, Mounted

Result = TypeVar("Result")
CALLERS = 8


def at_once(work: Callable[[int], Result], times: int = CALLERS) -> list[Result]:
    """The results of as many threads."""
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(work, range(times)))


def errno_of(call: Callable[[str], object], path: str, _caller: int = 0) -> int:
    """0 for success."""
    try:
        call(path)
    except OSError as failure:
        return failure.errno or 0
    return 0


def test_one_of_many_makes_a_group(resctrl: Mounted) -> None:
    """All others are told that it exists."""
    for turn in range(5):
        path = resctrl.path("mon_groups", f"{PREFIX}contended{turn}")
        results = at_once(partial(errno_of, os.mkdir, path))
        assert sorted(results) == [0] + [EEXIST] * (CALLERS - 1)


def test_one_of_many_removes_a_group(resctrl: Mounted) -> None:
    """All others are told that it is not there."""
    for _ in range(5):
        path = resctrl.path(resctrl.new_monitor())
        results = at_once(partial(errno_of, os.rmdir, path))
        assert sorted(results) == [0] + [ENOENT] * (CALLERS - 1)


def test_many_make_and_remove_groups_of_their_own(resctrl: Mounted) -> None:
    """Nobody meets anybody else, and nothing is left."""

    def life(number: int) -> int:
        path = resctrl.path("mon_groups", f"{PREFIX}own{number}")
        resctrl.make("mon_groups", f"{PREFIX}own{number}")
        complete = len(os.listdir(path))
        os.rmdir(path)
        return complete

    assert len(set(at_once(life, 5 * CALLERS))) == 1
    assert not {name for name in resctrl.names("mon_groups") if name.startswith(PREFIX)}


def test_a_thread_that_many_move_is_in_one_group(resctrl: Mounted, process: Companion) -> None:
    """The last one has it, and no other keeps it."""
    groups = [resctrl.new_monitor() for _ in range(CALLERS)]
    at_once(lambda turn: resctrl.assign(process.pid, groups[turn % CALLERS]), 10 * CALLERS)
    assert sum(resctrl.tasks(group) == [process.pid] for group in groups) == 1
    assert sum(resctrl.tasks(group) == [] for group in groups) == CALLERS - 1


def test_many_threads_are_moved_by_many(resctrl: Mounted, process: Companion) -> None:
    """Each is where its mover wanted it."""
    threads = [process.thread() for _ in range(CALLERS)]
    groups = [resctrl.new_monitor() for _ in range(CALLERS)]
    at_once(lambda number: resctrl.assign(threads[number], groups[number]))
    assert [resctrl.tasks(group) for group in groups] == [[thread] for thread in threads]


def test_lists_are_whole_while_groups_change(resctrl: Mounted, process: Companion) -> None:
    """Reading meanwhile gives complete numbers, and the thread in one of the two groups at most."""
    groups = [resctrl.new_monitor(), resctrl.new_monitor()]

    def work(number: int) -> bool:
        if number % 2:
            resctrl.assign(process.pid, groups[number // 2 % 2])
            return True
        return all(resctrl.tasks(group) in ([], [process.pid]) for group in groups)

    assert all(at_once(work, 20 * CALLERS))


def test_a_group_is_never_seen_half_made(resctrl: Mounted) -> None:
    """Anyone who finds it finds it complete, or removed."""
    complete = resctrl.names(resctrl.new_monitor())

    def work(number: int) -> bool:
        path = resctrl.path("mon_groups", f"{PREFIX}flicker")
        if number % 2:
            return errno_of(os.mkdir if number % 4 == 1 else os.rmdir, path) in (0, EEXIST, ENOENT)
        try:
            return set(os.listdir(path)) in (complete, set())
        except FileNotFoundError:
            return True

    assert all(at_once(work, 20 * CALLERS))
