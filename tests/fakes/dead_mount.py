"""A mount whose server never answers: a process that touches it waits until it is taken away. Needs root and /dev/fuse."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_FORCE = 1
_MNT_DETACH = 2


@contextmanager
def dead_mount(path: Path) -> Iterator[Path]:
    """Made at `path`, and gone with the block: then every wait on it ends."""
    path.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    try:
        if _LIBC.mount(b"dead", os.fsencode(path), b"fuse", ctypes.c_ulong(0), options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount", str(path))
        yield path
    finally:
        _LIBC.umount2(os.fsencode(path), _MNT_FORCE | _MNT_DETACH)
        # The kernel ends all requests when the last descriptor of their server is closed.
        os.close(device)
