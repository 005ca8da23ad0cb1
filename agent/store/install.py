"""Which installation of the agent a state folder belongs to: 16 random hexadecimal digits in the file `install-id`.

A host's name can change and can be given twice; what the agent stored is told apart by this id. It is made at the first start and
kept: it stands in the head of each segment and in each sealed file. Touches the file system.
"""

import os
from collections.abc import Callable

from agent.failpoint import failpoint
from agent.kernel_file import read_whole

NAME = "install-id"
DIGITS = 16
_HEXADECIMAL = frozenset(b"0123456789abcdef")


def read_install(state_dir: str) -> str | None:
    """The id. *Absent:* None where there is no such file, it cannot be read, or it holds something else."""
    try:
        # A line end that an editor added does no harm.
        text = read_whole(os.path.join(state_dir, NAME), DIGITS + 2).strip()
    except OSError:
        return None
    return text.decode() if len(text) == DIGITS and _HEXADECIMAL.issuperset(text) else None


def is_other(found: str, own: str) -> bool:
    """Whether what names the installation `found` is of another than `own`; where its own is not known (empty), nothing is."""
    return bool(own) and found != own


def keep_install(state_dir: str, known: str | None = None, share: Callable[[int], None] = lambda _descriptor: None) -> str:
    """The id, made now where there is none.

    `known`: the id that the newest segment tells, taken where the file was lost. `share` gets a descriptor of a new file, to set
    its owner and mode. *Raises:* OSError, and then the file is as it was.
    """
    found = read_install(state_dir)
    if found is not None:
        return found
    made = known or os.urandom(DIGITS // 2).hex()
    path = os.path.join(state_dir, NAME)
    unfinished = os.path.join(state_dir, f".{NAME}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{made}\n".encode())
        share(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    failpoint("install.written")
    os.rename(unfinished, path)
    failpoint("install.named")
    return made
