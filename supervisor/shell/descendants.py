"""Which processes descend from this agent: its children as the kernel lists them, and the mark that every descendant bears.

As the first process of a container an agent is given everybody's orphans, also those of people who entered it (`docker
exec`). So descent from a fork server of ours must show on the process itself, whatever it did since it was forked: by
the mark of its run (`agent.process_mark`). Workloads and their keeper bear another one, and are spared by every agent.

Refused: the environment (reading it waits for a lock of that process), process groups and sessions (a descendant leaves
them), a list of descendants (a process forked after the last look is missing from it).
"""

from agent.prctl import PR_SET_CHILD_SUBREAPER, prctl
from agent.process_mark import is_spared, mark_of


def mark_of_run(run: str) -> int:
    """The mark that the fork servers of a run set, and all their descendants bear."""
    return mark_of(run)


def become_subreaper() -> None:
    """Have the kernel give this process the orphans among its descendants. *Raises:* OSError."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def own_children_of(pid: int) -> list[int]:
    """The children that are this agent's to end: not the keeper, nor workloads. *Raises:* OSError."""
    return [child for child in children_of(pid) if not is_spared(child)]


def children_of(pid: int) -> list[int]:
    """The pids of a process's children; none when it is gone. *Raises:* OSError. *Source:* proc_pid_task(5)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as children:
            return [int(word) for word in children.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
