"""How much memory a query may take: a default from the machine, and the kernel as the last word.

DuckDB counts most of what it takes, but not the values that a function makes (`repeat`, `regexp_replace`), nor what
Python and Arrow make of the rows. So DuckDB is given three quarters, and all of the process together is held to the
limit by the kernel (RLIMIT_DATA, getrlimit(2)): an allocation beyond it fails, which ends the statement and nothing else.
"""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.model.errors import MisuseError
from agent.setting import MIB, Size
from agent.store.memory_room import data_bytes

VARIABLE = "AGENTCTL_MEMORY_LIMIT"
# What one thread with its stack and a small answer needs; less ends every query.
LEAST_BYTES = 128 * MIB
MOST_BYTES = 1 << 40
DEFAULT_BYTES_MAX = 1024 * MIB
# A query must not take the host from its workloads, and is seldom faster with more.
THREADS_MAX = 4
_SETTING = Size("memory.limit", DEFAULT_BYTES_MAX, LEAST_BYTES, MOST_BYTES, "")
_FILE_BYTES_MAX = 4096

Read = Callable[[str], str]


def read_text(path: str) -> str:
    """The beginning of a small file of the kernel, empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError:
        return ""


def limit_bytes(given: str | None, from_environment: str | None, read: Read = read_text) -> int:
    """The limit: the option, else the variable, else the default. *Raises:* MisuseError."""
    for name, text in (("--memory-limit", given), (VARIABLE, from_environment)):
        if text:
            try:
                return _SETTING.parse(text)
            except ValueError as cause:
                raise MisuseError(name, f"{text!a} is not accepted", f"write {_SETTING.accepted}") from cause
    return default_bytes(read)


def default_bytes(read: Read) -> int:
    """A quarter of the memory that this process may use, at most 1 GiB."""
    return max(LEAST_BYTES, min(DEFAULT_BYTES_MAX, memory_bytes(read) // 4))


def memory_bytes(read: Read) -> int:
    """The memory of the machine, or of the smallest control group around this process. *Source:* proc(5), cgroups(7)."""
    words = dict(line.split(":", 1) for line in read("/proc/meminfo").splitlines() if ":" in line)
    total = words.get("MemTotal", "").split()
    limits = [int(total[0]) * 1024] if total and total[0].isdecimal() else []
    for line in read("/proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            limits += _limits_up("/sys/fs/cgroup", path, "memory.max", read)
        elif "memory" in controllers.split(","):
            limits += _limits_up("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", read)
    return min(limits, default=4 * DEFAULT_BYTES_MAX)


def _limits_up(mount: str, path: str, name: str, read: Read) -> list[int]:
    """The limits of a group and of all above it."""
    parts = [part for part in path.split("/") if part and part != ".."]
    folders = ["/".join([mount, *parts[:count]]) for count in range(len(parts) + 1)]
    texts = (read(f"{folder}/{name}").strip() for folder in folders)
    # `max` is none.
    return [int(text) for text in texts if text.isascii() and text.isdecimal()]


def shown(limit: int) -> str:
    """The limit as the option takes it."""
    return _SETTING.show(limit // MIB * MIB)


def threads() -> int:
    """How many threads DuckDB may have."""
    return max(1, min(THREADS_MAX, len(os.sched_getaffinity(0))))


@contextmanager
def held_to(limit: int) -> Iterator[None]:
    """Within the block this process takes at most this much memory beyond what it has now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = data_bytes() + limit
    for bound in (soft, hard):
        if bound != resource.RLIM_INFINITY:
            wanted = min(wanted, bound)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
