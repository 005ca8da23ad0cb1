"""The program `agentctl`. Its exit code says what happened, by the names of `agent.model.errors.ExitCode`.

Nothing but `sys` is imported at the top, so that even Ctrl-C during the imports ends quietly; no traceback reaches a user.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# 128 plus the number of the signal, as a shell reports a program that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
PIPE_CLOSED = 141


def main(begin: "Callable[[], None]" = lambda: None) -> int:
    """The exit code of this process's command line. `begin` is called as soon as Ctrl-C is handled."""
    try:
        begin()
        code = _run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _forget_output(1)
        code = PIPE_CLOSED
    except Exception as bug:  # noqa: BLE001 - the one broad except of this process: report, then end
        code = _report(bug)
    _end_output()
    _end_if_busy(code)
    return code


def _run() -> int:
    import os

    from agent.cli.program import run

    # A closed stream gets nothing; its descriptor's number is taken, so that no socket gets it.
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 - until the end
    # A name on this host may hold bytes that the terminal's encoding has no character for.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return run(sys.argv[1:], os.environ, sys.stdout, sys.stderr)


def _forget_output(descriptor: int) -> None:
    """Let the interpreter's last flush of a stream go nowhere: its reader has gone, or takes no more."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _end_output() -> None:
    """The last flush. Left to the interpreter's end, a failure of it would replace the exit code of an earlier one."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            _forget_output(descriptor)


def _end_if_busy(code: int) -> None:
    """End at once where a thread of DuckDB cannot be interrupted: the interpreter would wait for it, or crash."""
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        import os

        os._exit(code)


def _report(bug: Exception) -> int:
    from contextlib import suppress

    from agent.model.errors import ExitCode

    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    # It may quote bytes that steer a terminal.
    text = ascii(" ".join(str(bug).split()))[1:-1]
    # Where standard error is full too, only the exit code is left.
    with suppress(OSError):
        sys.stderr.write(f"agentctl: internal error: {type(bug).__name__}: {text}{place}; please report this line\n")
    return ExitCode.BUG


if __name__ == "__main__":
    sys.exit(main())
