"""The first lines of a worker, in the process that the fork server has just made. Imports nothing of the workers by name."""

import os
from importlib import import_module

import supervisor.shell.lean  # noqa: F401  before multiprocess
from agent.failpoint import failpoint
from supervisor.shell import linger

# The package's own module for a newborn is among them, so that the fork server has imported it once for all.
from multiprocess import forkserver, popen_forkserver, reduction  # isort: skip  # noqa: F401


class Inherited:
    """A descriptor that travels to the new process along with the launch order."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __getstate__(self) -> object:
        return reduction.DupFd(self.descriptor)

    def __setstate__(self, duplicate: object) -> None:
        self.descriptor = duplicate.detach()  # type: ignore[attr-defined]  # multiprocess has no types


def be_born(entry: str, launch: bytes, page: Inherited, words: Inherited) -> None:
    """Call `entry` (`module:function`) with the launch order and the descriptors; it does not return."""
    # The package hands every process the end of a pipe whose closing ends the fork server; ours is the null device.
    os.close(forkserver._forkserver._forkserver_alive_fd)
    linger.forget()
    failpoint("worker.born")
    module, _, function = entry.partition(":")
    getattr(import_module(module), function)(launch, page.descriptor, words.descriptor)
