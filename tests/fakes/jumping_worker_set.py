"""agentd with scripted workers whose supervisor's wall clock jumps by days at every look: a program, used as `fakes.worker_set`."""

import itertools
import os
import sys
import time

DAY_NS = 86_400 * 1_000_000_000
_REAL_NS = time.time_ns
_JUMPS = itertools.cycle((DAY_NS, -DAY_NS, 0, 30 * DAY_NS, -2 * DAY_NS))


def jumping_ns() -> int:
    """Unix time, off by days, and by others each time."""
    return _REAL_NS() + next(_JUMPS)


# Before anything of the agent is imported, which may keep a clock by its name.
time.time_ns = jumping_ns
time.time = lambda: jumping_ns() / 1e9

if __name__ == "__main__":
    from fakes.worker_set import scripted_worker_set

    from agent.daemon.foreground import run

    os._exit(int(run(sys.argv[1:], os.environ, worker_set=scripted_worker_set)))
