"""Forces files to the disk in a thread, so that a slow disk never looks like a hang of the loop."""

import os
from collections.abc import Sequence
from threading import Thread

from msgspec import Struct

from workers.writer.folder import sync_folder


class Synced(Struct, frozen=True):
    """The end of one round: the token it was started with, and what went wrong (None: nothing)."""

    token: int
    error: OSError | None


class Syncer:
    """At most one round at a time. `descriptor` is readable when one has ended; then `take` gives its end."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: Thread | None = None
        self._result: Synced | None = None

    @property
    def is_busy(self) -> bool:
        """A round is under way, or its end was not taken yet."""
        return self._thread is not None

    @property
    def has_ended(self) -> bool:
        """A round has ended, and its end was not taken yet."""
        return self._result is not None

    def start(self, descriptors: Sequence[int], folder: str | None, token: int) -> None:
        """Sync the files, which are closed afterwards, and then the names in `folder`."""
        assert self._thread is None
        # A daemon: a thread that a dead disk holds must not keep the process from ending.
        self._thread = Thread(target=self._run, args=(tuple(descriptors), folder, token), name="sync", daemon=True)
        self._thread.start()

    def take(self) -> Synced | None:
        """The end of the round, once; None while there is none."""
        if self._result is None or self._thread is None:
            return None
        self._thread.join()
        os.eventfd_read(self.descriptor)
        result, self._result, self._thread = self._result, None, None
        return result

    def close(self) -> None:
        """Wait for the round under way and give the descriptor back."""
        if self._thread is not None:
            self._thread.join()
        os.close(self.descriptor)

    def _run(self, descriptors: tuple[int, ...], folder: str | None, token: int) -> None:
        error: OSError | None = None
        for descriptor in descriptors:
            try:
                os.fdatasync(descriptor)
            except OSError as cause:
                error = error or cause
            finally:
                os.close(descriptor)
        try:
            if folder is not None:
                sync_folder(folder)
        except OSError as cause:
            error = error or cause
        self._result = Synced(token=token, error=error)
        os.eventfd_write(self.descriptor, 1)
