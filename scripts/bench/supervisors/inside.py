"""The part of the benchmark that runs in namespaces of its own: first process, and below it the one that measures.

The first process waits for everything that loses its parent, as that of a machine does: supervisors that die leave some.
"""

import os
import signal
import sys
from pathlib import Path

INTERRUPTED = 130


def main() -> None:
    """Be the first process, and measure in another."""
    measuring = os.fork()
    if measuring == 0:
        os._exit(_measure(Path(sys.argv[1])))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == measuring:
            os._exit(os.waitstatus_to_exitcode(status) % 256)


def _measure(folder: Path) -> int:
    # Imported behind the fork: the first process is to weigh nothing.
    from supervisors.run import run

    try:
        code = run(folder)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    main()
