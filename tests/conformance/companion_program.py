"""The process that cases move about: it makes threads and children on command. Run alone; it imports nothing of the project."""

import json
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

# Enough to pass through the caches of most processors, so that real hardware counts something.
BUSY_BYTES = 64 << 20

_queues: dict[int, "SimpleQueue[dict[str, Any] | None]"] = {}
_answers: "SimpleQueue[Any]" = SimpleQueue()
_lifelines: dict[int, int] = {}
_busy = threading.Event()


def _serve(queue: "SimpleQueue[dict[str, Any] | None]", born: "SimpleQueue[int]") -> None:
    """The life of one further thread: it does in its own name what it is told."""
    born.put(threading.get_native_id())
    while (command := queue.get()) is not None:
        _answers.put(_do(command))
    # The word that this thread ends is given by who sees that it has ended.


def _thread() -> int:
    queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    # Its own way to tell its number: the first thread may be waiting for another answer.
    born: SimpleQueue[int] = SimpleQueue()
    threading.Thread(target=_serve, args=(queue, born), daemon=True).start()
    thread_id = born.get()
    _queues[thread_id] = queue
    return thread_id


def _fork() -> int:
    """A child that lives until its lifeline is cut, by command or by the end of this process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        # No later child may keep a lifeline of an earlier one, and nobody but this process its input and output.
        os.closerange(0, read)
        os.closerange(read + 1, write + 1)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    _lifelines[pid] = write
    return pid


def _write(path: str, text: str) -> str:
    """`ok`, or the name of the errno."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    except OSError as failure:
        return failure.strerror or ""
    finally:
        os.close(descriptor)
    return "ok"


def _become(real: int, effective: int, saved: int) -> None:
    os.setgroups([])
    os.setresuid(real, effective, saved)


def _keep_busy() -> None:
    source = bytearray(BUSY_BYTES)
    while True:
        _busy.wait()
        bytes(source)


def _be_busy(on: bool) -> None:
    if on and not any(thread.name == "busy" for thread in threading.enumerate()):
        threading.Thread(target=_keep_busy, name="busy", daemon=True).start()
    (_busy.set if on else _busy.clear)()


def _run_again() -> None:
    """Does not return: the same program again, in the same process."""
    os.execv(sys.executable, [sys.executable, "-I", "-S", __file__])


def _do(command: dict[str, Any]) -> Any:
    """Whatever it is, in the thread that calls this."""
    what, arguments = command["do"], command.get("with", [])
    if what == "let_go":
        os.close(_lifelines.pop(arguments[0]))
        os.waitid(os.P_PID, arguments[0], os.WEXITED | os.WNOWAIT)
        return None
    if what == "reap":
        return os.waitpid(arguments[0], 0)[1]
    work: dict[str, Callable[..., Any]] = {
        "thread": _thread,
        "fork": _fork,
        "write": _write,
        "become": _become,
        "busy": _be_busy,
        "exec": _run_again,
    }
    return work[what](*arguments)


def main() -> None:
    print(json.dumps(os.getpid()), flush=True)
    while line := sys.stdin.readline():
        command = json.loads(line)
        if command["do"] == "end_main":
            # The leader alone ends; its threads live on and the process is a zombie that is not one.
            print(json.dumps(None), flush=True)
            _end_leader()
        place = command.get("in")
        if place is None or place == os.getpid():
            answer = _do(command)
        elif command["do"] == "end":
            _queues.pop(place).put(None)
            answer = None
        else:
            _queues[place].put(command)
            answer = _answers.get()
        print(json.dumps(answer), flush=True)
    os._exit(0)


def _end_leader() -> None:
    """pthread_exit for the first thread. The end of input, which nobody reads any more, must still end the process."""
    import ctypes

    def until_input_ends() -> None:
        while os.read(0, 1):
            pass
        os._exit(0)

    threading.Thread(target=until_input_ends, daemon=True).start()
    # The number of exit(2), which ends one thread: the generic table's, except on x86.
    ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)


if __name__ == "__main__":
    main()
