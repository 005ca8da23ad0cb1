"""Fits the start of the `multiprocess` package's fork server to this agent: no tracker, our search path, the orphan guard; and
the first one is forked from this process, so that both share what they have imported.

These are changes to private parts of multiprocess 0.70; `tests/integration/test_supervisor_launcher.py` fails when a new version
moves them.
"""

import os
import sys
import threading
from collections.abc import Sequence

from msgspec import Struct

from agent import multiprocess_bootstrap
from agent.forked import Forked
from supervisor.shell.descendants import mark_of_run
from supervisor.shell.living_lock import hold_living_lock

# Behind `multiprocess_bootstrap`, which must come before it.
from multiprocess import resource_tracker, util  # isort: skip

_PACKAGE_START = util.spawnv_passfds


class ForkServerSettings(Struct, frozen=True):
    """What a fork server is started with.

    `entry` (`module:function`) is what each worker calls, `preload` what is imported for all of them. `orphan_grace_ns` is how
    long it lives on when the supervisor dies. `living_path` is locked as long as any worker lives (`living_lock`). `spares` is
    the size of the standby pool. When no supervisor has come it removes `sockets`, if the lock at `lock_path` is free.
    `is_forked`: the first one is a fork of this process, which has imported the same.
    """

    run: str
    entry: str
    preload: Sequence[str]
    socket_dir: str
    orphan_grace_ns: int
    living_path: str
    spares: int = 0
    lock_path: str = ""
    sockets: Sequence[str] = ()
    is_forked: bool = False


def do_without_tracker() -> None:
    """Point the package's resource tracker at the null device, which takes every message.

    The package would start a process that tracks shared memory and semaphores: 17 MB of memory for things not used here. This
    can go when the fork server no longer insists on a tracker (multiprocess 0.70 does).
    """
    resource_tracker._resource_tracker._fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def start_with_guard(settings: ForkServerSettings) -> None:
    """Let the fork server begin with our code: without dill, with our search path, guarded against being orphaned.

    The package starts it with the code `…main(…)` as the last argument, and with its socket and the pipe of life as descriptors.
    """
    start = _PACKAGE_START

    def start_with_prologue(path: str, arguments: list[str], descriptors: list[int]) -> int:
        living = hold_living_lock(settings.living_path)
        try:
            mark = mark_of_run(settings.run)
            guarded = (*descriptors, living, settings.orphan_grace_ns, mark, settings.lock_path, list(settings.sockets))
            guard = f"from supervisor.shell import orphan_guard; orphan_guard.arm(*{guarded!r}); "
            # Only while nothing else runs in this process: a fork has one thread, and locks that others held stay locked.
            if settings.is_forked and threading.active_count() == 1:
                return _fork(guard + arguments[-1], [*descriptors, living])
            code = multiprocess_bootstrap.prologue(sys.path) + guard + arguments[-1]
            pid: int = start(path, [*arguments[:-1], code], [*descriptors, living])
            return pid
        finally:
            os.close(living)

    util.spawnv_passfds = start_with_prologue


def _fork(code: str, kept: Sequence[int]) -> int:
    """The pid of a new process that runs the code with these descriptors. *Raises:* OSError; in the new process `Forked`."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        raise Forked(code, kept)
    return pid


def hide_main_module() -> None:
    """Keep the package from importing the start script in every worker: workers have an entry of their own."""
    main = sys.modules["__main__"]
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__
