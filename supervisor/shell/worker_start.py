"""The first lines of a worker, in the process that the fork server has just forked. Imports no worker's code by name."""

import os
from importlib import import_module

import agent.multiprocess_bootstrap  # noqa: F401  before multiprocess
from agent.failpoint import failpoint
from agent.model.heartbeat_page import WAITING_OFFSET
from supervisor.shell import orphan_guard

from multiprocess import forkserver, process, spawn  # isort: skip  # noqa: F401  imported once, for all that are forked

ORDER_READ_BYTES = 64 << 10


class WorkerStart:
    """What the package unpickles at the other end of a new process's pipe and calls, in place of a `Process` of its own: that
    prepares for much that no worker needs, 2 ms of every start.
    """

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def _bootstrap(self, parent_sentinel: int) -> int:
        """Call the entry (`module:function`) with a way to its order, its page and its stderr; the entry does not return."""
        page, stderr, order = forkserver._forkserver._inherited_fds
        # The package hands every process the end of a pipe whose closing ends the fork server; ours is the null device.
        for descriptor in (parent_sentinel, forkserver._forkserver._forkserver_alive_fd):
            os.close(descriptor)
        orphan_guard.forget()
        failpoint("worker.forked")
        module, _, function = self.entry.partition(":")
        code: int = getattr(import_module(module), function)(lambda: _take_order(order, page), page, stderr)
        return code


def _take_order(pipe: int, page: int) -> bytes:
    """Mark on the page that this process waits, and read the launch order up to the pipe's end. Empty: the process is not
    needed."""
    os.pwrite(page, b"\1", WAITING_OFFSET)
    parts = []
    while part := os.read(pipe, ORDER_READ_BYTES):
        parts.append(part)
    os.close(pipe)
    return b"".join(parts)
