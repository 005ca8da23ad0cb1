"""Named places where a process can be made to fail, so that tests reach every moment between two steps.

A point costs one comparison unless the environment variable EVERGAUGE_FAILPOINTS names a folder when the process starts.
Then a file in it that is named as the point, or as the point and the process (`writer.appended@writer`), is taken away by
the first process that comes by, and its text says what happens to that process:

    kill          SIGKILL, the default             stop          SIGSTOP
    signal N      this signal                      hang          an endless loop that holds the interpreter
    exit N        this exit code, at once          error NAME    OSError of this name, such as ENOSPC
"""

import errno
import os
import signal

VARIABLE = "EVERGAUGE_FAILPOINTS"

_folder: str | None = os.environ.get(VARIABLE)
_process = "supervisor"


def name_process(name: str) -> None:
    """Say who this process is, for points that are meant for one of several."""
    global _process
    _process = name.replace("/", "-")


def failpoint(name: str) -> None:
    """Pass the point, or meet what a test has put there. *Raises:* OSError when that is what it put there."""
    if _folder is None:
        return
    for path in (os.path.join(_folder, name), os.path.join(_folder, f"{name}@{_process}")):
        try:
            with open(path) as file:
                order = file.read()
            os.unlink(path)
        except FileNotFoundError:
            continue
        _meet(order.split(), name)


def _meet(order: list[str], name: str) -> None:
    match order:
        case [] | ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["signal", number]:
            os.kill(os.getpid(), int(number))
        case ["stop"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        case ["exit", code]:
            os._exit(int(code))
        case ["hang"]:
            while True:
                pass
        case ["error", word]:
            raise OSError(getattr(errno, word), f"failpoint {name}")
        case _:
            raise AssertionError(f"failpoint {name} does not know {order}")
