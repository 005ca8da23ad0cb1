"""Where stored batches come from, for scrapes and for the page. PURE."""

from collections.abc import Sequence
from typing import Protocol

from agent.store.batch import StoredBatch
from agent.store.place import Place


class BatchSource(Protocol):
    """The stored batches, in order. *Raises:* EvergaugeError, where they cannot be read."""

    def begin(self, since_wall_ns: int) -> Place:
        """A place before everything that was stored since then, as far as it is still there."""
        ...

    def is_whole(self, after: Place) -> bool:
        """Whether everything behind a place is still there."""
        ...

    def read(self, after: Place, bytes_max: int) -> Sequence[StoredBatch]:
        """What follows a place; nothing: there is nothing yet."""
        ...

    def close(self) -> None:
        """Give back what is held open between two reads."""
        ...
