"""The command by which a row of `process` is summed elsewhere: threads of the kernel go by family. It imports pyarrow."""

from typing import Any

import pyarrow
from pyarrow import compute

from agent.model.absence import Absence
from agent.model.command_family import command_of
from agent.router.columns import Array, texts, whole_numbers

# The parent of all threads of the kernel, in its own PID namespace.
_KTHREADD = 2


def commands_of(batch: Any) -> Array:
    """The command of each row. A thread of the kernel says so in `absent`; where neither command lines nor memory are read by their
    names, it is a child of kthreadd without memory."""
    comm = texts(batch, "comm")
    is_told = compute.fill_null(compute.match_substring(texts(batch, "absent"), Absence.KERNEL_THREAD.value), False)
    is_child = compute.and_(
        compute.equal(compute.fill_null(whole_numbers(batch, "ppid"), 0), _KTHREADD),
        compute.equal(compute.fill_null(whole_numbers(batch, "rss_bytes"), 1), 0),
    )
    encoded = compute.fill_null(comm, "").dictionary_encode()
    families = [command_of(name, is_kernel_thread=True) for name in encoded.dictionary.to_pylist()]
    family = compute.take(pyarrow.array(families, pyarrow.utf8()), encoded.indices)
    return compute.if_else(compute.or_(is_told, is_child), family, comm)
