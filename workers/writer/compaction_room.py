"""Whether there is room for a second copy of a day: on the disk, and under `writer.storage_quota`."""

import os
from collections.abc import Sequence
from contextlib import suppress

from agent.config import STORAGE_QUOTA
from agent.model.errors import StorageError
from agent.model.timebase import MINUTE, S
from agent.setting import MIB
from workers.writer.pruning import Pruning

# What the spool needs meanwhile is not taken: two segments of the default size, and their files.
FREE_BYTES_MIN = 64 * MIB
# A larger part of the quota is not emptied for a copy that is gone after some seconds.
QUOTA_PART = 16
RETRY_NS = 10 * MINUTE
# How long an answer holds.
RECHECK_NS = 1 * S


class RoomKeeper:
    """The answer for one day at a time; `has_room` is that of the last check, `look_at_ns` when the next is due."""

    def __init__(self, state_directory: str, pruning: Pruning) -> None:
        self._state_directory = state_directory
        self._pruning = pruning
        self._problem = ""
        self._has_asked = False
        self.has_room = False
        self.look_at_ns = 0

    def forget(self) -> None:
        """It is another day, or none: the quota keeps no room for the last one."""
        self._problem = ""
        self._has_asked = self.has_room = False
        self.look_at_ns = 0
        self._pruning.reserved_bytes = 0

    def check(self, now_ns: int, paths: Sequence[str]) -> str:
        """Look, if it is time; why there is no room ('': there is, or the quota is making some)."""
        if now_ns < self.look_at_ns or self._pruning.is_busy:
            return self._problem
        size_bytes = 0
        for path in paths:
            with suppress(OSError):
                size_bytes += os.stat(path).st_size
        self._problem = self._disk_problem(size_bytes) or self._quota_problem(size_bytes)
        self.has_room = not self._problem and self._fits(size_bytes)
        self.look_at_ns = now_ns + (RETRY_NS if self._problem else RECHECK_NS)
        return self._problem

    def _disk_problem(self, size_bytes: int) -> str:
        try:
            found = os.statvfs(self._state_directory)
        except OSError as cause:
            return f"{self._state_directory}: cannot tell its room ({cause.strerror})"
        free_bytes = found.f_bavail * found.f_frsize
        if free_bytes >= size_bytes + FREE_BYTES_MIN:
            return ""
        wanted = f"{(size_bytes + FREE_BYTES_MIN) / MIB:.0f}MiB"
        problem = f"a day waits to be compacted, which needs {wanted} for a while, and {free_bytes / MIB:.0f}MiB are free"
        return StorageError(self._state_directory, problem, "free space there").sentence

    def _quota_problem(self, size_bytes: int) -> str:
        """Have the oldest data removed for a copy that is small against the quota; why not for one that is large."""
        limit_bytes = self._pruning.limit_bytes
        if self._fits(size_bytes) or self._pruning.held_bytes is None:
            return ""
        if size_bytes > limit_bytes // QUOTA_PART:
            problem = (
                f"a day of {size_bytes / MIB:.1f}MiB waits to be compacted, which needs as much once more for a while, and a "
                f"sixteenth of {STORAGE_QUOTA.show(limit_bytes)} is not so much"
            )
            return StorageError(STORAGE_QUOTA.key, problem, "raise it").sentence
        if self._has_asked:
            self._has_asked = False
            return StorageError(
                STORAGE_QUOTA.key, "a day waits to be compacted, and nothing can be removed for it", "raise it"
            ).sentence
        self._has_asked = True
        self._pruning.reserved_bytes = size_bytes
        self._pruning.begin()
        return ""

    def _fits(self, size_bytes: int) -> bool:
        limit_bytes, held_bytes = self._pruning.limit_bytes, self._pruning.held_bytes
        return not limit_bytes or (held_bytes is not None and held_bytes + size_bytes <= limit_bytes)
