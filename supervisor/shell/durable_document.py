"""Replaces a small document of the state folder as a whole: readers find the old one or the new one, after a power failure too."""

import os
from contextlib import suppress

from agent.failpoint import failpoint


def put_in_place(path: str, document: bytes) -> None:
    """Temporary file, fsync, rename. *Raises:* OSError; the old document stays."""
    failpoint("document.before_write")
    temporary = f"{path}.new"
    # A file left by a killed agent, or a link that was planted: never written through.
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(document)
        file.flush()
        failpoint("document.written")
        os.fsync(file.fileno())
    failpoint("document.synced")
    try:
        os.rename(temporary, path)
    except OSError:
        # A file server may rename and its answer be lost: then the temporary name is gone.
        if os.path.lexists(temporary):
            raise


def sync_folder(path: str) -> None:
    """Make the rename outlive a power failure. *Raises:* OSError; the new document is in place, but may not outlive one."""
    failpoint("document.renamed")
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    failpoint("document.durable")
