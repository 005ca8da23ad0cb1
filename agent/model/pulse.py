"""The word of long work that it goes on, for whoever watches over the process that does it. PURE."""

from collections.abc import Callable


class Pulse:
    """To be given every few milliseconds of work that may take long. It costs some microseconds."""

    def __init__(self) -> None:
        # The runtime's loop puts its heartbeat here.
        self.beat: Callable[[], None] | None = None

    def __call__(self) -> None:
        """The work goes on."""
        if self.beat is not None:
            self.beat()
