"""What a test turns by hand: the loop of a worker whose clients are real sockets."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

# Real time that a condition may take; it takes milliseconds.
PATIENCE_SECONDS = 20.0


class TurnedHost(ABC):
    """Its loop turns when the test says so."""

    @abstractmethod
    def turn(self, wait_seconds: float = 0.0) -> None:
        """One turn of a worker's loop."""

    def turn_until(self, condition: Callable[[], object]) -> None:
        """Turn until the condition holds; the host's own time stands still."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < give_up_at, "the condition did not come true"
            self.turn(0.001)
