"""The programs of an installation. All that lies beside other projects' packages is this one; the rest is found from here.

Installed, the packages `agent`, `supervisor` and `workers` lie in `evergauge/packages`: beside everything else they would mix
with the files of another project of the same name, and uninstalling either would take away the other's. In a checkout they lie
at its root, where this package is too.
"""

import _signal  # type: ignore[import-not-found]  # The C module below `signal`: nobody wrote its types down.
import sys

# Ctrl-C during the imports ends the program quietly, as the shell knows it (130): Python's own handler would print a traceback of
# whatever was being imported. `_signal` is there already; `signal` would have to be imported. Where Ctrl-C is ignored it stays so.
_IS_PROGRAM = sys.argv[0].rpartition("/")[2] in ("agentd", "agentctl")
_IS_QUIET = _IS_PROGRAM and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
if _IS_QUIET:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def agentd() -> None:
    """The console script `agentd`."""
    # From here on it waits until the agent stops cleanly.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP))
    _hear_interrupts()
    _find_packages()
    from agent.daemon.main import main

    main()


def agentctl() -> int:
    """The console script `agentctl`."""
    _find_packages()
    from agent.cli.main import main

    try:
        return main(begin=_hear_interrupts)
    finally:
        if _IS_QUIET:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def _hear_interrupts() -> None:
    """Give Ctrl-C back to Python, where somebody waits for it."""
    if _IS_QUIET:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def _find_packages() -> None:
    """Put our packages before all others; processes that this one starts are handed the same search path."""
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(here, "packages")
    sys.path.insert(0, installed if os.path.isdir(installed) else os.path.dirname(here))
