"""The text of a group's `tasks` file and of the commands written to it. PURE. *Source:* fs/resctrl/rdtgroup.c."""

import re
from collections.abc import Iterable, Iterator
from errno import EINVAL

# The kernel takes at most a page and answers E2BIG to more.
COMMAND_BYTES_MAX = 4096
# 4 million ids, the most that pid_max allows, of seven digits and a line end.
TASKS_BYTES_MAX = 32 << 20
_FAILED_ID = re.compile(r"Error while processing task (\d+)")
_OTHER_CONTROL_GROUP = "different control group"


def parse_tasks(content: bytes) -> frozenset[int]:
    """The thread ids, one to a line; blank lines do not count. 0 is a thread that this PID namespace does not see: left out.

    *Raises:* OSError EINVAL, naming the line that is no number.
    """
    words = content.split()
    if words and not b"".join(words).isdigit():
        line = next(number for number, word in enumerate(content.split(b"\n"), 1) if word.strip() and not word.strip().isdigit())
        raise OSError(EINVAL, f"line {line} of the task list is no thread id")
    return frozenset(map(int, words)) - {0}


def commands(thread_ids: Iterable[int]) -> Iterator[list[int]]:
    """The ids in order, cut into lists that each fit into one command. *Raises:* ValueError for an id below 1."""
    batch: list[int] = []
    length = 0
    for thread_id in sorted(thread_ids):
        if thread_id <= 0:
            # 0 would move the writer itself.
            raise ValueError(f"{thread_id} is no thread id")
        needed = len(str(thread_id)) + (1 if batch else 0)
        if length + needed > COMMAND_BYTES_MAX:
            yield batch
            batch, length, needed = [], 0, len(str(thread_id))
        batch.append(thread_id)
        length += needed
    if batch:
        yield batch


def command_of(thread_ids: list[int]) -> bytes:
    """What is written to `tasks`. Without a line end: kernels of all ages take that."""
    return ",".join(map(str, thread_ids)).encode()


def failed_id(status: str) -> int | None:
    """The thread at which the kernel stopped working through a list, as its status tells."""
    found = _FAILED_ID.search(status)
    return int(found[1]) if found else None


def says_foreign(status: str) -> bool:
    """Whether EINVAL came from a thread in another control group. Without an explanation from the kernel that is the likeliest."""
    return not status or _OTHER_CONTROL_GROUP in status
