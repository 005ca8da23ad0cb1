"""Forks children at a rate that each use a known time of CPU, waits for them, and says what the kernel counted of them.

`python burner.py CHILDREN PER_SECOND BURN_SECONDS [PAUSE_SECONDS]`: with a pause each child sleeps before it works.
"""

import gc
import os
import resource
import sys
import time
from contextlib import suppress


def main() -> None:
    children, rate, burn, pause = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), float((*sys.argv, "0")[4])
    gc.disable()
    # The children inherit it: nobody else's processes are taken for them.
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(f"burn-{os.getpid()}")
    started = time.monotonic()
    for number in range(children):
        delay = started + number / rate - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        if os.fork() == 0:
            if pause:
                time.sleep(pause)
            # The wall clock, whose reading does not make the kernel bring the run time up to date.
            until = time.perf_counter() + burn
            while time.perf_counter() < until:
                pass
            os._exit(0)
        with suppress(ChildProcessError):
            while number % 8 == 7 and os.waitpid(-1, os.WNOHANG)[0]:
                pass
    with suppress(ChildProcessError):
        for _ in range(children):
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime, flush=True)
    # The last look has its record and its counters before it is gone.
    sys.stdin.read()


main()
