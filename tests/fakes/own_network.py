"""Becomes a program that has a network of its own, whose loopback device is up, and folders that only it sees.

    python own_network.py [--hide FOLDER]... -- PROGRAM [ARGUMENT]...

Each hidden folder is an empty file system of the program's own. All of it is gone with the last process in it: nothing has a
name, nothing is to be cleaned up. Only root can. Run by its path: it imports nothing but the standard library.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Sequence

# linux/sched.h
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
# linux/mount.h
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
# linux/sockios.h, linux/if.h: the name of a device and its flags, at the beginning of a longer struct
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
DEVICE_FLAGS = struct.Struct("16sh14x")

_LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    """*Raises:* OSError when a call of the C library says so."""
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter_network(namespace: int) -> None:
    """Be, this thread alone, in the network of which this is a descriptor. *Raises:* OSError."""
    checked(_LIBC.setns(namespace, CLONE_NEWNET))


def _hide(folder: str) -> None:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    checked(_LIBC.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"mode=700,size=64m"))


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name, flags = DEVICE_FLAGS.unpack(fcntl.ioctl(any_socket, SIOCGIFFLAGS, DEVICE_FLAGS.pack(b"lo", 0)))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, DEVICE_FLAGS.pack(name, flags | IFF_UP))


def main(arguments: Sequence[str]) -> None:
    """Go there and become the program."""
    at = arguments.index("--")
    checked(_LIBC.unshare(CLONE_NEWNET | CLONE_NEWNS))
    # Else what is mounted here would be mounted outside too.
    checked(_LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    for flag, folder in zip(arguments[:at:2], arguments[1:at:2], strict=True):
        assert flag == "--hide", flag
        _hide(folder)
    _bring_loopback_up()
    os.execv(arguments[at + 1], list(arguments[at + 1 :]))


if __name__ == "__main__":
    main(sys.argv[1:])
