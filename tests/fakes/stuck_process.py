"""A process whose memory lock is held for ever: every reader of its command line waits with it, until the test is over.

A raw FUSE server answers everything but READ. One thread of the process reads its own mapping of the file, through
`/proc/self/mem`, which holds the memory lock for reading; another one maps something and waits for that lock; everybody who comes
later stands behind it. The server is a process of its own that ends with the test, and has an alarm: when it ends, however it
ends, the kernel aborts the connection and everything goes on.
"""

import ctypes
import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.proc import STUCK_NAME, stat_of

# Whatever becomes of the test: others on this machine read command lines too.
ALARM_SECONDS = 60
_HEAD = struct.Struct("<IIQQ16x")
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
STUCK_LOOKS = 10
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _RELEASE, _FLUSH, _INIT, _INTERRUPT, _BATCH_FORGET = 1, 2, 3, 14, 15, 18, 25, 26, 36, 42
_ENOSYS = 38


class StuckProcess:
    """Its number, and the end of what holds it."""

    def __init__(self, pid: int, server: "subprocess.Popen[str]") -> None:
        self.pid = pid
        self._server = server

    def release(self) -> None:
        """The dead file system goes, and with it the lock."""
        self._server.kill()
        self._server.wait(ALARM_SECONDS)


@contextmanager
def stuck_process(folder: Path) -> Iterator[StuckProcess]:
    """The process, once it is stuck. Only root can mount; .ci/run is root, and there no test may skip."""
    # Not at the top: as a program this file does without, and is stuck the sooner.
    import pytest

    if os.geteuid() != 0:
        pytest.skip("mounting FUSE needs root")
    folder.mkdir()
    program = [sys.executable, __file__]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    server = subprocess.Popen([*program, "serve", str(folder)], stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    process = None
    try:
        assert server.stdout.readline() == "mounted\n"
        process = subprocess.Popen([*program, "stick", str(folder)], stdin=subprocess.PIPE, env=environment)
        assert process.stdin is not None
        assert server.stdout.readline() == "held\n"
        process.stdin.write(b"\n")
        process.stdin.flush()
        # Several times in a row: a process waits for its program's pages in the same way, for a moment.
        looks = 0
        while looks < STUCK_LOOKS:
            assert server.poll() is None, "the alarm has rung"
            looks = looks + 1 if (stat := stat_of(process.pid)) is not None and stat.state == "D" else 0
            time.sleep(0.002)
        yield StuckProcess(process.pid, server)
    finally:
        server.kill()
        server.wait(ALARM_SECONDS)
        server.stdout.close()
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.kill()
            process.wait(ALARM_SECONDS)


def _serve(point: str) -> None:
    signal.alarm(ALARM_SECONDS)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if _LIBC.mount(b"stuck", point.encode(), b"fuse.stuck", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    print("mounted", flush=True)
    answers = {
        _INIT: struct.pack("<IIIIHHII36x", 7, 31, 0, 0, 0, 0, 8192, 1),
        _LOOKUP: struct.pack("<QQQQII", 2, 0, 60, 60, 0, 0) + _attributes(2),
        _OPEN: struct.pack("<QII", 1, 0, 0),
        _RELEASE: b"",
        _FLUSH: b"",
    }
    while True:
        request = os.read(device, 1 << 17)
        _, operation, unique, node = _HEAD.unpack_from(request)
        if operation == _READ:
            print("held", flush=True)
        elif operation == _GETATTR:
            _answer(device, unique, 0, struct.pack("<QII", 60, 0, 0) + _attributes(node))
        elif operation in answers:
            _answer(device, unique, 0, answers[operation])
        elif operation not in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            _answer(device, unique, -_ENOSYS, b"")


def _answer(device: int, unique: int, error: int, payload: bytes) -> None:
    os.write(device, struct.pack("<IiQ", 16 + len(payload), error, unique) + payload)


def _attributes(node: int) -> bytes:
    mode, size = (0o40755, 0) if node == 1 else (0o100644, mmap.PAGESIZE)
    return struct.pack("<QQQQQQIIIIIIIIII", node, size, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _stick(folder: str) -> None:
    _LIBC.prctl(_PR_SET_NAME, STUCK_NAME.encode(), 0, 0, 0)
    file = os.open(f"{folder}/file", os.O_RDONLY)
    _LIBC.mmap.restype = ctypes.c_void_p
    _LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    address = _LIBC.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
    memory = os.open("/proc/self/mem", os.O_RDONLY)

    def hold() -> None:
        # Ends with the file system, by an error or a signal.
        with suppress(OSError):
            os.pread(memory, 1, address)

    threading.Thread(target=hold, daemon=True).start()
    sys.stdin.readline()
    _LIBC.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    sys.stdin.read()


if __name__ == "__main__":
    {"serve": _serve, "stick": _stick}[sys.argv[1]](sys.argv[2])
