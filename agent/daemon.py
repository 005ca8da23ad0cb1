"""agentd's first lines: nothing is imported here but what says in one sentence why the agent does not run."""

import os
import signal
import sys

# What asks the agent to end.
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """The console script: run, say in one sentence why not, end with a named code."""
    # Held back until the loop can stop everything in order, a fraction of a second: in the middle of an import they would
    # surface as whatever the interrupted library makes of them.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    _open_closed_streams()
    code = _run()
    # Not sys.exit: a thread that hangs in the kernel (a dead disk under the journal) must not keep the process.
    os._exit(code)


def _run() -> int:
    import traceback

    from agent.foreground import run
    from agent.model.errors import EvergaugeError, ExitCode

    try:
        code = run(sys.argv[1:], os.environ)
        sys.stdout.flush()
    except EvergaugeError as failure:
        print(f"agentd: {failure.sentence}", file=sys.stderr)
        code = failure.code
    except OSError as failure:
        # What no check foresaw (no memory for a thread, no room for a socket): the system's own words name the thing.
        print(f"agentd: {failure}; `agentctl doctor` looks at this host", file=sys.stderr)
        code = ExitCode.IO
    except Exception:  # noqa: BLE001  the one broad handler of this process: report, then end with the code of a bug
        traceback.print_exc()
        code = ExitCode.BUG
    return int(code)


def _open_closed_streams() -> None:
    """Put the null device in the place of closed standard streams: the next file opened would take their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
