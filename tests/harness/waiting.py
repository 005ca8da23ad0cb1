"""Waiting for a condition, with a deadline: the only way in which tests, benchmarks and the soak wait."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")
DEADLINE_SECONDS = 15.0
# The smallest pause that keeps a wait from being a busy loop beside the processes that it waits for.
PAUSE_SECONDS = 0.005


class NotInTime(AssertionError):
    """What was waited for did not come."""


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
