"""In a worker of the agent that is profiled: counts at which line its CPU time passes, or which line holds memory.

CPU: a timer that runs with the process's CPU time interrupts it, and the stack of the main thread is counted. Memory: tracemalloc.
"""

import json
import os
import signal
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from agent.launch import Launch
from workers.runtime import worker_main

FOLDER, KIND = "EG_PROFILE_FOLDER", "EG_PROFILE_KIND"
# The kernel rounds it up to its own tick.
CPU_SECONDS_PER_SAMPLE = 0.002
WRITE_SECONDS = 2.0
LINES_MAX = 400
_ROOT = str(Path(__file__).resolve().parents[3])


def run_worker(take_order: Callable[[], bytes], page: int, stderr: int) -> None:
    """A worker as the agent runs it, profiled from the making of its work on."""
    worker_main.run_worker(take_order, page, stderr, _profiled_maker)


def _profiled_maker(launch: Launch) -> worker_main.MakeWork:
    path = Path(os.environ[FOLDER]) / f"{launch.identity.worker.replace('/', '-')}.json"
    write: Callable[[], object] = partial(_write_memory, path)
    if os.environ[KIND] == "memory":
        tracemalloc.start(1)
    else:
        counts: Counter[str] = Counter()
        signal.signal(signal.SIGPROF, lambda _number, frame: counts.update([_stack(frame)]))
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS_PER_SAMPLE, CPU_SECONDS_PER_SAMPLE)
        write = partial(_write_counts, path, counts)
    threading.Thread(target=_write_now_and_then, args=(write,), daemon=True).start()
    return worker_main.registered_maker(launch)


def _write_now_and_then(write: Callable[[], object]) -> None:
    while True:
        time.sleep(WRITE_SECONDS)
        write()


def _stack(frame: FrameType | None) -> str:
    """The stack from the outside in, a function and its line each."""
    words = []
    while frame is not None:
        words.append(f"{frame.f_code.co_filename.removeprefix(_ROOT + '/')}:{frame.f_lineno}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(words))


def _write_counts(path: Path, counts: Counter[str]) -> None:
    path.write_text(json.dumps(dict(counts.copy())))


def _write_memory(path: Path) -> None:
    lines = tracemalloc.take_snapshot().statistics("lineno")
    held = {f"{line.traceback[0].filename.removeprefix(_ROOT + '/')}:{line.traceback[0].lineno}": line.size for line in lines}
    now, most = tracemalloc.get_traced_memory()
    path.write_text(json.dumps({"held_bytes": now, "most_bytes": most, "lines": dict(list(held.items())[:LINES_MAX])}))


def main() -> None:
    """`agentd` with such workers."""
    from msgspec.structs import replace

    from agent.daemon import main as daemon
    from agent.daemon.foreground import run
    from agent.worker_set import agent_worker_set

    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, daemon.ENDING_SIGNALS)
    code = run(
        sys.argv[1:],
        os.environ,
        worker_set=lambda config: replace(agent_worker_set(config), entry="profile_bench.inside:run_worker"),
    )
    os._exit(code)
