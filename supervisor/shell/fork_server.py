"""The package's fork server, fitted to what this agent needs of it: where workers are born and what it begins with."""

import os
import sys
from collections.abc import Sequence

from msgspec import Struct

from agent import multiprocess_bootstrap
from supervisor.shell.descendants import mark_of_run
from supervisor.shell.takeover import hold_living

# Behind `multiprocess_bootstrap`, which must come before it.
from multiprocess import resource_tracker, util  # isort: skip

_PACKAGE_START = util.spawnv_passfds


class ForkServerSettings(Struct, frozen=True):
    """Where workers are born: of which run, by which `entry` (`module:function`), with what imported before, beside which
    sockets, how long they are kept for a successor when the supervisor dies, and how many wait in reserve."""

    run: str
    entry: str
    preload: Sequence[str]
    socket_dir: str
    orphan_grace_ns: int
    # Locked as long as any worker lives, in the folder that workers write into.
    living_path: str
    spares: int = 0
    # What the fork server removes when its supervisor is dead and nobody has come: these sockets, if this lock is free.
    lock_path: str = ""
    sockets: Sequence[str] = ()


def do_without_tracker() -> None:
    """The package starts a process that tracks shared memory and semaphores: 17 MB of memory for things not used here.

    Its client side is pointed at the null device, which takes every message. (multiprocess 0.70; it can go when the
    fork server no longer insists on a tracker.)
    """
    resource_tracker._resource_tracker._fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def prefix_commands(place: ForkServerSettings) -> None:
    """Let the fork server begin with what is ours: without dill, with our search path, and lingering when it is orphaned.

    The package starts it with the code `…main(…)` as the last argument, and with its socket and the pipe of life as descriptors.
    """
    start = _PACKAGE_START

    def start_with_prologue(path: str, arguments: list[str], descriptors: list[int]) -> int:
        living = hold_living(place.living_path)
        try:
            mark = mark_of_run(place.run)
            arguments_of_arm = (*descriptors, living, place.orphan_grace_ns, mark, place.lock_path, list(place.sockets))
            guard = f"from supervisor.shell import orphan_guard; orphan_guard.arm(*{arguments_of_arm!r}); "
            code = multiprocess_bootstrap.prologue(sys.path) + guard + arguments[-1]
            pid: int = start(path, [*arguments[:-1], code], [*descriptors, living])
            return pid
        finally:
            os.close(living)

    util.spawnv_passfds = start_with_prologue


def hide_main_module() -> None:
    """Keep the package from importing the start script again in every worker: workers have an entry of their own."""
    main = sys.modules["__main__"]
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__
