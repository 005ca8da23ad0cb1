"""Words before a command that take a source of deaths away from it, each in its own way."""

import os
import sys
from pathlib import Path

WITHOUT_CAPABILITY = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


def without_netlink() -> tuple[str, ...]:
    """The kernel refuses every netlink socket."""
    return sys.executable, str(Path(__file__).with_name("without_netlink.py"))


def has_filter() -> bool:
    """Whether this kernel's connector is for everybody and knows filters: since Linux 6.6."""
    first, second = os.uname().release.split(".")[:2]
    return (int(first), int(second.partition("-")[0])) >= (6, 6)
