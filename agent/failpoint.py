"""Named points where a test can make a process fail, so that tests reach every moment between two steps.

A point costs one comparison unless the environment variable EVERGAUGE_FAILPOINTS names a folder when the process starts.
A test creates a file in this folder, named like the point or like the point and a process (`writer.appended@writer`). The first
process that passes the point removes the file, and the text of the file says what happens to that process (without a text it is
still being written, and nothing happens):

    kill          SIGKILL                          stop          SIGSTOP
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
    """Sets the name of this process, for failpoint files that address one process."""
    global _process
    _process = name.replace("/", "-")


def failpoint(name: str) -> None:
    """Passes the point, or fails as a test has ordered. *Raises:* OSError when a test ordered an error; AssertionError for an
    order that is not in the list above."""
    if _folder is None:
        return
    for path in (os.path.join(_folder, name), os.path.join(_folder, f"{name}@{_process}")):
        try:
            with open(path) as file:
                order = file.read()
            if not order:
                continue
            os.unlink(path)
        except FileNotFoundError:
            continue
        _carry_out(order.split(), name)


def _carry_out(order: list[str], name: str) -> None:
    match order:
        case ["kill"]:
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
