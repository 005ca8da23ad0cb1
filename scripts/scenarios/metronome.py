"""A process that only sleeps, and notes how late it wakes: what the machine itself does to whatever wants to be on time.

    python -m scenarios.metronome OUTPUT INTERVAL_NS

It wakes at whole intervals since boot and writes the wall time of each wake, one on a line, once its standard input ends.
Standard library only.
"""

import select
import sys
import time
from pathlib import Path


def main() -> None:
    """Sleep, note, sleep."""
    path, interval_ns = Path(sys.argv[1]), int(sys.argv[2])
    woken: list[int] = []
    while True:
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wait_ns = interval_ns - now_ns % interval_ns
        if select.select([sys.stdin], [], [], wait_ns / 1e9)[0]:
            break
        woken.append(time.time_ns())
    path.write_text("".join(f"{each}\n" for each in woken))


if __name__ == "__main__":
    main()
