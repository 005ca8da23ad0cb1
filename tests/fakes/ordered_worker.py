"""The entry of processes that tests start through the launcher: it does one thing by order, then ends."""

import os
import signal
import struct
from collections.abc import Callable

from workers.runtime import process
from workers.runtime.heartbeat_page import HeartbeatPage


def be(take_order: Callable[[], bytes], page: int, stderr: int) -> None:
    """Do what the order says: `exit N`, `say TEXT`, `beat`, `signals`, or `wait` until it is killed with its fork server."""
    what, _, argument = take_order().decode().partition(" ")
    code = 0
    match what:
        case "exit":
            code = int(argument)
        case "say":
            os.write(stderr, argument.encode() + b"\n")
        case "beat":
            HeartbeatPage(page).beat(os.getpid(), 17, bytes(range(32)))
        case "signals":
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            os.write(stderr, b" ".join(b"%d" % number for number in sorted(blocked)) + b"\n")
        case "wait":
            process.settle()
            os.write(stderr, b"waiting\n")
            signal.pause()
        case _:
            code = 64
    # As the real entry ends: nothing that a library left for the interpreter's end may change the exit code.
    os._exit(code)


def exit_status(data: bytes) -> int:
    """What the fork server wrote into a status descriptor."""
    status: int = struct.unpack("q", data)[0]
    return status
