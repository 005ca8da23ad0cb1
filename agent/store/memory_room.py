"""How much memory a reader may still take where it is held to a limit (RLIMIT_DATA, getrlimit(2)).

pyarrow ends the whole process when one of its small allocations fails, so its callers ask here first.
"""

import os
import resource
import sys
from importlib import import_module

from agent.kernel_file import read_text
from agent.setting import MIB

# What a small call of pyarrow may take.
ARROW_CALL_BYTES = 4 * MIB
_STATM_BYTES_MAX = 4096


def import_uncounted(name: str) -> None:
    """Import a part of pyarrow whose memory is not the question's: the limit grows by it. *Raises:* ImportError.

    An import that reaches the limit ends half-way, with any kind of error.
    """
    if name in sys.modules:
        return
    # Arrow's own allocator takes up to a gibibyte of address space at once, as much as the limit lets it; the kernel counts all
    # of that, and nothing is left for DuckDB.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    before = data_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    try:
        import_module(name)
    finally:
        grown = soft if soft == resource.RLIM_INFINITY else soft + max(0, data_bytes() - before)
        resource.setrlimit(resource.RLIMIT_DATA, (grown if hard == resource.RLIM_INFINITY else min(grown, hard), hard))


def need_room(size: int) -> None:
    """Check that this process may take this many bytes more; without a limit it may. *Raises:* MemoryError.

    pyarrow ends the whole process when one of its small allocations fails (std::terminate in its Cython part), so there has
    to be room before it is called.
    """
    bound, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if bound != resource.RLIM_INFINITY and data_bytes() + size > bound:
        raise MemoryError(f"there is no room for {size} bytes more")


def data_bytes() -> int:
    """What the kernel counts against RLIMIT_DATA now; 0 where it does not say. *Source:* proc_pid_statm(5), `data`."""
    try:
        words = read_text("/proc/self/statm", _STATM_BYTES_MAX).split()
    except OSError:
        return 0
    return int(words[5]) * resource.getpagesize() if len(words) > 5 else 0
