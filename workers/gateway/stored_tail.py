"""The end of the spool as the gateway reads it. Touches the file system, only to read."""

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from agent.model.errors import EvergaugeError
from agent.store.batch import StoredBatch
from agent.store.install import read_install
from agent.store.place import BEGINNING, Place
from agent.store.segment import created_wall_ns, generation_of

if TYPE_CHECKING:
    from agent.store.spool_follower import SpoolFollower


class StoredTail:
    """A `workers.gateway.batch_source.BatchSource` over some tables in the spool of a state folder.

    The segment that was read last stays open, so that its rows are read also when it was sealed and removed since; `close` lets
    go of it.
    """

    def __init__(self, state_dir: str, tables: Collection[str]) -> None:
        self._state_dir = state_dir
        self._tables = tables
        self._follower: SpoolFollower | None = None

    def begin(self, since_wall_ns: int) -> Place:
        """See BatchSource."""
        # Oldest first. One that was opened before that time, and all later ones.
        segments = list(self._following().paths().items())
        begin = BEGINNING
        for segment, path in segments:
            opened_ns = created_wall_ns(os.path.basename(path))
            if opened_ns is None or opened_ns <= since_wall_ns or begin == BEGINNING:
                begin = Place(segment, 0)
        return begin

    def is_whole(self, after: Place) -> bool:
        """See BatchSource."""
        follower = self._following()
        segments = follower.paths()
        if after.segment in segments or after == BEGINNING:
            return True
        later = [generation_of(segment) for segment in segments if generation_of(segment) > after.generation]
        return follower.holds(after.segment) and (not later or min(later) == after.generation + 1)

    def read(self, after: Place, bytes_max: int) -> Sequence[StoredBatch]:
        """See BatchSource."""
        return self._following().read(after, bytes_max)

    def close(self) -> None:
        """See BatchSource."""
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _following(self) -> "SpoolFollower":
        if self._follower is None:
            # Imported by the first scrape or page: an agent without them never pays for it.
            from agent.store.spool_follower import SpoolFollower

            try:
                install = read_install(self._state_dir) or ""
            except EvergaugeError:
                install = ""
            self._follower = SpoolFollower(self._state_dir, self._tables, install, reads_removed=True)
        return self._follower
