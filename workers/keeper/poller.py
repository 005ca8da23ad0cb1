"""What the keeper waits for: descriptors, each with what is to be called. One thread, one epoll."""

import select
from collections.abc import Callable
from contextlib import suppress

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
# cgroup.events tells a change by this (cgroup-v2.rst).
CHANGED = select.EPOLLPRI
HUNG_UP = select.EPOLLHUP
EVENTS_PER_TURN_MAX = 64

OnEvent = Callable[[int], None]


class DescriptorPoller:
    """Calls what was registered for a descriptor. What is forgotten in the same turn is not called any more."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._called: dict[int, OnEvent] = {}

    def watch(self, descriptor: int, on_event: OnEvent, events: int = READABLE) -> None:
        """Call `on_event` with the events that come; again for other events of the same descriptor. *Raises:* OSError."""
        if descriptor in self._called:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._called[descriptor] = on_event

    def forget(self, descriptor: int) -> None:
        """Before it is closed."""
        if self._called.pop(descriptor, None) is not None:
            with suppress(OSError):
                self._epoll.unregister(descriptor)

    def turn(self, seconds: float | None) -> None:
        """Wait for events or so long; None: for ever."""
        for descriptor, events in self._epoll.poll(seconds, EVENTS_PER_TURN_MAX):
            if (on_event := self._called.get(descriptor)) is not None:
                on_event(events)
