"""A fork that goes on as another program: nothing of its parent's frames, descriptors and signals is left."""

import json
import signal
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
# The parent forks deep within calls; the fork says what it finds.
PROGRAM = """
import os, sys
from agent.forked import Forked

CODE = '''
import json, os, signal, sys, traceback
found = {
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")),
    "frames": len(traceback.extract_stack()),
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "names": sorted(name for name in globals() if not name.startswith("__")),
    "read": os.read(%d, 5).decode(),
}
os.write(1, json.dumps(found).encode())
%s
'''

def deep(depth, end):
    if depth:
        return deep(depth - 1, end)
    kept, writing = os.pipe()
    os.write(writing, b"hello")
    others = [os.dup(0) for _ in range(5)]
    pid = os.fork()
    if not pid:
        raise Forked(CODE % (kept, end), [kept])
    _, status = os.waitpid(pid, 0)
    print()
    print(kept, os.waitstatus_to_exitcode(status))

try:
    deep(50, sys.argv[1])
except Forked as forked:
    forked.go_on()
"""


def went_on(end: str) -> tuple[dict[str, object], int, int, str]:
    """What a fork found, the descriptor it was left, its exit code, and what was written to stderr."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, end], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    found, told = ended.stdout.splitlines()
    kept, code = told.split()
    return json.loads(found), int(kept), int(code), ended.stderr


def test_it_has_its_code_and_what_was_kept_and_nothing_else() -> None:
    """Frames are its own line and the two that led to it. All signals are blocked, as its first lines expect."""
    found, kept, code, told = went_on("")
    descriptors = found["descriptors"]
    assert isinstance(descriptors, list)
    # One of them is that of the listing.
    assert {0, 1, 2, kept} <= set(descriptors)
    assert len(descriptors) == 5
    assert (found["read"], code, told) == ("hello", 0, "")
    assert found["frames"] == 3
    assert found["blocked"] == len(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    assert found["names"] == ["json", "os", "signal", "sys", "traceback"]


def test_how_its_code_ends_is_how_it_ends() -> None:
    """An exit is a success, as of a worker that has nothing to do; anything else says why, and is none."""
    assert went_on("sys.exit()")[2:] == (0, "")
    _, _, code, told = went_on("1 / 0")
    assert code == 1
    assert "ZeroDivisionError" in told
