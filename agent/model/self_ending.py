"""Processes that nobody may kill, because that can freeze what they use: they end by themselves. PURE.

A process that waits inside a GPU's driver must not be killed there (docs/decisions/0057-an-abandoned-collector.md). It says so by
its name, which is the one thing that a reader of /proc sees of a process that answers nothing. It ends when the pipe to the worker
that started it ends, or when the driver answers.
"""

# The names of workers begin with `eg:`.
SELF_ENDING = "eg~"


def is_self_ending(name: str) -> bool:
    """Whether a process of this name (proc_pid_comm(5)) ends by itself. Asked only of processes that the agent's workers left."""
    return name.startswith(SELF_ENDING)
