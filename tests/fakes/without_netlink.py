"""Becomes a program that the kernel gives no netlink socket, as RestrictAddressFamilies= of a systemd unit does it.

    python without_netlink.py PROGRAM [ARGUMENT]...

Run by its path: it imports nothing but the standard library. *Source:* seccomp(2), linux/filter.h, linux/audit.h.
"""

import ctypes
import os
import platform
import struct
import sys
from errno import EAFNOSUPPORT

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ERRNO = 0x7FFF_0000, 0x0005_0000
# Load a word of struct seccomp_data; compare and jump; answer.
LOAD, JUMP_IF_EQUAL, ANSWER = 0x20, 0x15, 0x06
NUMBER_AT, FIRST_ARGUMENT_AT = 0, 16
AF_NETLINK = 16
# The number of socket(2).
SOCKET = {"x86_64": 41, "aarch64": 198}


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main() -> None:
    """Refuse such sockets from now on, and run the program."""
    steps = (
        (LOAD, 0, 0, NUMBER_AT),
        (JUMP_IF_EQUAL, 0, 3, SOCKET[platform.machine()]),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (JUMP_IF_EQUAL, 0, 1, AF_NETLINK),
        (ANSWER, 0, 0, ERRNO | EAFNOSUPPORT),
        (ANSWER, 0, 0, ALLOW),
    )
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(steps), code)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
