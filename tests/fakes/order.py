"""What a scripted worker can be ordered to do, once or for ever; most of it does not return.

exit N        ends with this exit code                 signal N   sends itself this signal
say TEXT      a line on stderr                         breed      has a grandchild in a session of its own
daemonize     has a grandchild that leaves it at once  eat N      takes N MiB of memory and touches them
spin          a loop of Python without an end          compute    a loop in C that holds the interpreter
search        a regular expression that never ends     deadlock   waits for a lock that it holds itself
sleep         waits in the kernel for a thousand seconds flood N    writes N MiB of lines on stderr
keep F R   starts the keeper of state folder F, with cgroup root R
"""

import os
import re
import signal
import sys
import threading
import time

_DEAF_TO = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_LONG_SECONDS = 1000


def carry_out(order: str) -> None:
    """Do it."""
    what, _, argument = order.partition(" ")
    match what:
        case "exit":
            os._exit(int(argument))
        case "signal":
            os.kill(os.getpid(), int(argument))
        case "say":
            print(argument, file=sys.stderr, flush=True)
        case "breed":
            breed()
        case "daemonize":
            daemonize()
        case "eat":
            _eat(int(argument))
        case "keep":
            _keep(*argument.split())
        case "flood":
            _flood(int(argument))
        case "spin" | "compute" | "search" | "deadlock" | "sleep":
            _hang(what)
        case _:
            raise ValueError(f"nobody knows how to {order!r}")


def burn(seconds: float) -> None:
    """Use this much processor time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def breed() -> None:
    """A child of the worker's own: out of its process group and session, deaf to what can be ignored."""
    if os.fork() == 0:
        _live_on()


def daemonize() -> None:
    """The same, but its parent ends at once: while the worker lives it is a child of the process that takes orphans."""
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:
            _live_on()
        os._exit(0)
    os.waitpid(middle, 0)


def _live_on() -> None:
    os.setsid()
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    os.execv("/bin/sleep", ["sleep", str(_LONG_SECONDS)])


def _keep(state_dir: str, cgroup_root: str) -> None:
    from workers.keeper.program import start_detached

    # Not waited for: the start takes longer than a worker may be silent.
    start_detached(state_dir, cgroup_root)


def _eat(mebibytes: int) -> None:
    eaten = [bytearray(1 << 20) for _ in range(mebibytes)]
    # Written to, page by page: memory that is only promised costs nothing.
    for part in eaten:
        part[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(range(0, len(part), os.sysconf("SC_PAGE_SIZE")))


def _flood(mebibytes: int) -> None:
    line = b"x" * 127 + b"\n"
    for _ in range(mebibytes << 10):
        os.write(2, line * 8)


def _hang(how: str) -> None:
    match how:
        case "spin":
            while True:
                pass
        case "compute":
            sum(range(1 << 60))
        case "search":
            # Two to the forty ways to cut forty letters into pieces, and none of them fits.
            re.match(r"(?:a|aa|a)*b", "a" * 40)
        case "deadlock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        case "sleep":
            time.sleep(_LONG_SECONDS)
