"""Capabilities of this process: those that a service has and only some of its workers need.

*Source:* capabilities(7), capset(2).
"""

import ctypes
import os
from collections.abc import Collection

NET_ADMIN, SYS_PTRACE = "CAP_NET_ADMIN", "CAP_SYS_PTRACE"
# What the unit leaves to the service, and a worker gives up unless it declares it. *Source:* linux/capability.h.
GRANTED = {NET_ADMIN: 12, SYS_PTRACE: 19}
# The kernel's third version of the call: two words of 32 bits.
_VERSION = 0x2008_0522
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    """struct __user_cap_header_struct."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """struct __user_cap_data_struct: one word of each set."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def keep_only(declared: Collection[str]) -> None:
    """Give up those of `GRANTED` that are not declared, in all three sets, for good. The calling thread's; new threads inherit it.

    *Raises:* OSError.
    """
    header, sets = _Header(_VERSION, 0), (_Sets * 2)()
    _call(_LIBC.capget, header, sets)
    lost = sum(1 << bit for name, bit in GRANTED.items() if name not in declared)
    held = sum((word.effective | word.permitted | word.inheritable) << 32 * number for number, word in enumerate(sets))
    if not held & lost:
        return
    for word in range(2):
        left = ~(lost >> 32 * word) & 0xFFFF_FFFF
        for name in ("effective", "permitted", "inheritable"):
            setattr(sets[word], name, getattr(sets[word], name) & left)
    _call(_LIBC.capset, header, sets)


def _call(function: "ctypes._NamedFuncPointer", header: _Header, sets: "ctypes.Array[_Sets]") -> None:
    if function(ctypes.byref(header), sets) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: capabilities of this process")
