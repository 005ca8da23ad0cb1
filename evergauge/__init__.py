"""The programs of an installation. All that lies beside other projects' packages is this one; the rest is found from here.

Installed, the packages `agent`, `supervisor` and `workers` lie in `evergauge/packages`: beside everything else they would mix
with the files of another project of the same name, and uninstalling either would take away the other's. In a checkout they lie
at its root, where this package is too.
"""

import sys


def agentd() -> None:
    """The console script `agentd`."""
    _find_packages()
    from agent.daemon import main

    main()


def agentctl() -> int:
    """The console script `agentctl`."""
    _find_packages()
    from agent.cli.main import main

    return main()


def _find_packages() -> None:
    """Put our packages before all others; processes that this one starts are handed the same search path."""
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(here, "packages")
    sys.path.insert(0, installed if os.path.isdir(installed) else os.path.dirname(here))
