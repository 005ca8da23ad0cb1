"""How much slower than the host a guest is: `python -m harness.lab.slowness COMMAND...` measures it there and becomes the command.

A loop of plain Python is held against the CPU time that it takes on the host (LAB_HOST_SECONDS). The processor is emulated, and it
is one of the host's that others want too.
"""

import os
import sys
import time
from collections.abc import Callable

_TURNS = 300_000
# As pyproject.toml has it for a usual host.
_TEST_SECONDS = 60
# Beyond that nothing is waited for; the machine is broken.
_SLOWNESS_MAX = 200


def loop_seconds(clock: Callable[[], float]) -> float:
    """What the loop takes by this clock; the quicker of two."""
    return min(_one_loop(clock) for _ in range(2))


def _one_loop(clock: Callable[[], float]) -> float:
    began = clock()
    found: dict[int, int] = {}
    for number in range(_TURNS):
        found[number & 1023] = number
    return clock() - began


def main() -> None:
    """Set LAB_SLOWNESS and pytest's limit of time, and become the command."""
    measured = loop_seconds(time.monotonic) / float(os.environ["LAB_HOST_SECONDS"])
    slowness = round(min(max(measured, float(os.environ["LAB_SLOWNESS_MIN"])), _SLOWNESS_MAX))
    os.environ |= {"LAB_SLOWNESS": str(slowness), "PYTEST_TIMEOUT": str(_TEST_SECONDS * slowness)}
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
