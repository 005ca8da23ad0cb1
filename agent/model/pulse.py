"""A sign of progress from long work, for the watchdog of its process. PURE."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
# Work on one thing takes microseconds to a tenth of a millisecond; the shortest silence that can be set is 200 ms.
THINGS_PER_BEAT = 64


class Pulse:
    """To be given every few milliseconds of work that may take long. It costs some microseconds."""

    def __init__(self) -> None:
        # The runtime's loop puts its heartbeat here.
        self.beat: Callable[[], None] | None = None

    def __call__(self) -> None:
        """The work goes on."""
        if self.beat is not None:
            self.beat()


def beating(things: Iterable[T], pulse: Callable[[], None] | None, things_per_beat: int = THINGS_PER_BEAT) -> Iterator[T]:
    """The same things, with a word at every so many that the work on them goes on."""
    for count, thing in enumerate(things):
        if pulse is not None and count % things_per_beat == 0:
            pulse()
        yield thing
