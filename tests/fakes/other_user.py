"""Work done by a real second user of the machine: a forked child gives up root for a user id that nothing else uses."""

# What `work` may import late, and could not where the interpreter lies in a home of root's: loaded before the fork.
import ctypes  # noqa: F401
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

# Neither root nor a user that Debian makes; 65534, nobody, owns things on some machines.
OTHER_UID = 64999
DEADLINE_SECONDS = 50


def as_other_user(work: Callable[[], Any], *, groups: Sequence[int] = (), uid: int = OTHER_UID) -> Any:
    """What `work` gives, as JSON carries it, when somebody else does it; where the kernel refuses it, the kernel's word."""
    # Forked, not started as a program: the other user may not be let into the folder of this interpreter.
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_other_user(work, write, groups, uid)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        data = told.read()
    os.waitpid(pid, 0)
    answer = json.loads(data or b'{"problem": "it ended without a word"}')
    assert "problem" not in answer, answer["problem"]
    return answer["result"]


def _be_other_user(work: Callable[[], Any], write: int, groups: Sequence[int], uid: int) -> None:
    """Does not return."""
    try:
        # The alarm ends a child that waits for ever, and with it the wait for its word.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(DEADLINE_SECONDS)
        os.setgroups(list(groups))
        os.setgid(uid)
        os.setuid(uid)
        answer = {"result": _outcome(work)}
    except BaseException as failure:  # noqa: BLE001  the end of a child: whatever it is, the test is told
        answer = {"problem": repr(failure)}
    os.write(write, json.dumps(answer).encode())
    os._exit(0)


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except OSError as refused:
        return os.strerror(refused.errno or 0)


def connect_to(path: Path) -> Callable[[], str]:
    """Work that connects to a Unix socket: `connected`, unless it is refused."""

    def work() -> str:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(str(path))
        return "connected"

    return work


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that every user can pass through. The folders that tests usually get are closed to others by themselves,
    and whatever the agent did, nobody could come near its sockets."""
    folder = Path(mkdtemp(prefix="evergauge-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
