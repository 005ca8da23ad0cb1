"""This thread without a capability for a while. *Source:* capabilities(7), capset(2)."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from agent.capability import GRANTED

# Beside those that the unit grants: what lets root pass over file modes.
_OTHERS = {"CAP_DAC_OVERRIDE": 1}

VERSION = 0x2008_0522


@contextmanager
def without_effective(name: str) -> Iterator[None]:
    """It stays permitted, so that it can be had back at the end."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(VERSION, 0)
    # Effective, permitted, inheritable; then the same of the higher 32.
    sets = (ctypes.c_uint32 * 6)()

    def call(what: str) -> None:
        if getattr(libc, what)(header, sets) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    call("capget")
    place, bit = divmod((GRANTED | _OTHERS)[name], 32)
    before = sets[3 * place]
    sets[3 * place] = before & ~(1 << bit)
    call("capset")
    try:
        yield
    finally:
        sets[3 * place] = before
        call("capset")
