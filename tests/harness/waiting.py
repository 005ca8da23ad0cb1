"""Waiting for a condition, with a deadline: the only way in which tests, benchmarks and the soak wait."""

import os
import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")
# How many times longer everything takes here than on a quiet host: the guest of scripts/lab/guest says so.
SLOWNESS = float(os.environ.get("LAB_SLOWNESS", "1"))
# A thing that comes at all has come by then, also on a machine that is ten times slower than usual.
DEADLINE_SECONDS = 30.0 * SLOWNESS
# The smallest pause that keeps a wait from being a busy loop beside the processes that it waits for. One look at an agent takes
# some milliseconds, and longer where everything does.
PAUSE_SECONDS = 0.005 * SLOWNESS


class NotInTime(AssertionError):
    """What was waited for did not come."""


def in_time(attempt: Callable[[int], float], *, seconds: float, tries: int = 4) -> None:
    """Judge a promise of time: `attempt`, which is given its number and gives the seconds that it took, keeps it in one of its
    tries. Beside other tests any single one may have to wait for a processor or a disk. In a guest all is slower, and so is this.
    *Raises:* NotInTime.
    """
    seconds *= SLOWNESS
    took: list[float] = []
    for number in range(tries):
        took.append(attempt(number))
        if took[-1] <= seconds:
            return
    raise NotInTime(f"not once within {seconds:g} s: {took}")


def wait_until(
    condition: Callable[[], T | Literal[False] | None],
    what: str,
    *,
    seconds: float = DEADLINE_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
) -> T:
    """The first true value of a condition, which is asked at least twice.

    `pause_seconds` is longer where an answer costs those who are measured some time. *Raises:* NotInTime with `what`.
    """
    end = time.monotonic() + seconds
    while True:
        is_over = time.monotonic() > end
        value = condition()
        if value:
            return value
        if is_over:
            raise NotInTime(f"not within {seconds:g} s: {what}")
        time.sleep(pause_seconds)
