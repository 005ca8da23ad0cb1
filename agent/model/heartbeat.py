"""A sign of progress from long work, for the watchdog of its process. PURE."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
# Work on one thing takes microseconds to a tenth of a millisecond; the shortest hang timeout that can be set is 200 ms.
THINGS_PER_BEAT = 64


class Heartbeat:
    """To be called every few milliseconds of work that may take long. One call costs some microseconds."""

    def __init__(self) -> None:
        # The runtime's loop puts its own beat here.
        self.beat: Callable[[], None] | None = None

    def __call__(self) -> None:
        """The work makes progress."""
        if self.beat is not None:
            self.beat()


def beating(things: Iterable[T], heartbeat: Callable[[], None] | None, things_per_beat: int = THINGS_PER_BEAT) -> Iterator[T]:
    """The same things; `heartbeat` is called before the first of every `things_per_beat`."""
    assert things_per_beat > 0
    for count, thing in enumerate(things):
        if heartbeat is not None and count % things_per_beat == 0:
            heartbeat()
        yield thing
