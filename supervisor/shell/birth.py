"""The first lines of a worker, in the process that the fork server has just made. Imports nothing of the workers by name."""

import os
from importlib import import_module

import supervisor.shell.lean  # noqa: F401  before multiprocess

from multiprocess import forkserver, reduction  # isort: skip


class Inherited:
    """A descriptor that travels to the new process along with the launch order."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __getstate__(self) -> object:
        return reduction.DupFd(self.descriptor)

    def __setstate__(self, duplicate: object) -> None:
        self.descriptor = duplicate.detach()  # type: ignore[attr-defined]  # multiprocess has no types


def be_born(entry: str, launch: bytes, page: Inherited, words: Inherited, parent: Inherited) -> None:
    """Call `entry` (`module:function`) with the launch order and the descriptors; it does not return."""
    # Every process of the package holds the end of the pipe whose closing ends the fork server. Only the supervisor may:
    # else a stopped worker would keep a whole dead agent's fork server alive.
    os.close(forkserver._forkserver._forkserver_alive_fd)
    module, _, function = entry.partition(":")
    getattr(import_module(module), function)(launch, page.descriptor, words.descriptor, parent.descriptor)
