"""Strays: processes below the agent that belong to no living worker. They are ended and named."""

import os
from collections.abc import Callable, Sequence

from msgspec import Struct

from agent.model.self_ending import is_self_ending
from agent.process_mark import has_mark, is_spared
from supervisor.shell.descendants import children_of
from supervisor.shell.process import is_ending, kill, name_of, open_process, wait_ended

# Why a process is killed as a stray.
LEFT_BEHIND = "left behind by a worker that is gone"
LATE = "still there when the agent ends"
UNKNOWN_WORKER = "of no living worker"
OLD_GENERATION = "an older generation of a worker"
OTHER_AGENT = "of a former agent that was started otherwise"


class Stray(Struct, frozen=True):
    """A process that was killed, and why. `was_ending`: its end had begun before."""

    pid: int
    name: str
    reason: str
    was_ending: bool = False


# Called with everybody who was killed.
OnKilled = Callable[[Sequence[Stray]], None]


def stray(pid: int, reason: str) -> Stray:
    """The stray with the name that the process has now, before it is killed."""
    return Stray(pid, name_of(pid), reason, is_ending(pid))


def end_strays(
    parent: int, known: frozenset[int], *, mark: int | None = None, reason: str = LEFT_BEHIND, wait_ms: int = 0
) -> list[Stray]:
    """Kill the children of `parent` that are not `known`: what dead workers left behind. Returns those that were killed.

    With a `mark` only those that bear it: for a parent that the kernel may give orphans of strangers. Each is waited for at
    most `wait_ms`; after the first that is not gone by then, none is. The next call finds and returns those again.
    *Raises:* OSError when the children cannot be listed.
    """
    assert parent > 0
    assert wait_ms >= 0
    strays: list[Stray] = []
    for pid in children_of(parent):
        if pid in known or (pidfd := open_process(pid, lambda stat: stat.ppid == parent and not stat.is_ended)) is None:
            continue
        # A keeper and workloads are of no worker, although the kernel gives the orphans among them to the same parent.
        if (mark is None or has_mark(pid, mark)) and not is_spared(pid):
            found = stray(pid, reason)
            # One that ends by itself is left alone: killing it can freeze what it waits for.
            if not is_self_ending(found.name) and kill(pidfd):
                strays.append(found)
                wait_ms = wait_ms if wait_ended(pidfd, wait_ms) else 0
        os.close(pidfd)
    return strays
