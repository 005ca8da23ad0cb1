"""A wait of one thread that another thread can end."""

import os
import select

from agent.model.timebase import MS


class Interrupted(Exception):
    """The thread is to stop; nobody sees this outside of it."""


class Interrupt:
    """Ends the waits of another thread; once set, it stays so."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def set(self) -> None:
        """End what waits, and all that will wait."""
        os.eventfd_write(self._event, 1)

    def wait(self, duration_ns: int, descriptor: int | None = None, events: int = select.POLLIN) -> bool:
        """Wait; True: the descriptor is ready. *Raises:* Interrupted."""
        poll = select.poll()
        poll.register(self._event, select.POLLIN)
        if descriptor is not None:
            poll.register(descriptor, events)
        # Rounded up: a wait of a part of a millisecond must not become a busy loop.
        ready = poll.poll(max(0, -(-duration_ns // MS)))
        if any(number == self._event for number, _ in ready):
            raise Interrupted
        return bool(ready)

    def close(self) -> None:
        """Give the descriptor back; the thread has ended."""
        os.close(self._event)
