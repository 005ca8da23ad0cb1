"""The command that becomes a keeper: a small interpreter of its own, which finds the agent's packages and nothing else."""

import os
import signal
import sys

from agent.multiprocess_bootstrap import prologue

DETACHED = "detached"
LOG_NAME = "keeper.log"
# A keeper writes a line when something is wrong.
LOG_BYTES_MAX = 1 << 20


def keeper_command(state_dir: str, cgroup_root: str, *, detached: bool) -> list[str]:
    """The words of the command. Isolated: no variable and no file of a user's reaches it."""
    code = prologue(sys.path) + "from workers.keeper.main import main; main()"
    words = [sys.executable, "-I", "-S", "-c", code, state_dir, cgroup_root]
    return [*words, DETACHED] if detached else words


def start_detached(state_dir: str, cgroup_root: str) -> int:
    """Start a keeper that is nobody's child and holds no descriptor of ours.

    Returns the pid of the process that starts it, which ends at once and is to be waited for. *Raises:* OSError.
    """
    folder = os.path.join(state_dir, "workloads")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    log = os.path.join(folder, LOG_NAME)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    if os.path.exists(log) and os.path.getsize(log) > LOG_BYTES_MAX:
        flags |= os.O_TRUNC
    command = keeper_command(state_dir, cgroup_root, detached=True)
    return os.posix_spawn(
        command[0],
        command,
        {"PATH": os.defpath, "LANG": "C.UTF-8"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, log, flags, 0o600),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )
