"""agentd's entry point. It imports only what is needed to say in one sentence why the agent does not run."""

import os
import signal
import sys
from contextlib import suppress

# What asks the agent to end.
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

FINAL_OUTPUT_SECONDS_MAX = 1.0


def main() -> None:
    """The console script: run, or say in one sentence why not; end with a named code. Does not return."""
    # Held back until the loop can stop everything in order, a fraction of a second: in the middle of an import they would
    # surface as some error of the interrupted library.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    _open_closed_streams()
    code = _run()
    # Not sys.exit: a thread that hangs in the kernel (a dead disk under the rules store) must not keep the process.
    os._exit(code)


def _run() -> int:
    import traceback

    from agent.multiprocess_bootstrap import hide_unused_packages

    hide_unused_packages()
    from agent.daemon.foreground import run
    from agent.model.errors import EvergaugeError, ExitCode

    try:
        code = run(sys.argv[1:], os.environ)
        sys.stdout.flush()
    except EvergaugeError as failure:
        _say(f"agentd: {failure.sentence}\n")
        code = failure.code
    except OSError as failure:
        # What no check foresaw (no memory for a thread, no room for a socket): the system's own message names it.
        _say(f"agentd: {failure}; `agentctl doctor` looks at this host\n")
        code = ExitCode.IO
    except Exception:  # noqa: BLE001  the one broad handler of this process: report, then end with the code of a bug
        _say(traceback.format_exc())
        code = ExitCode.BUG
    return int(code)


def _say(text: str) -> None:
    """Write to standard error why it ends: a reader that has stopped delays the end by a moment only."""
    from agent.daemon.text_output import TextOutput

    output = TextOutput(2)
    output.put(text.encode(errors="backslashreplace"))
    output.close(FINAL_OUTPUT_SECONDS_MAX)
    if output.lost:
        # Perhaps no thread could be started: then the signals that were held back may end the wait.
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
        with suppress(OSError):
            # Or the reader has gone: the exit code says it too.
            print(text, end="", file=sys.stderr, flush=True)


def _open_closed_streams() -> None:
    """Put the null device in place of closed standard streams: the next file opened would take their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
