"""The one epoll of the supervisor's loop: the handlers of descriptors."""

import select
from collections.abc import Callable

Handler = Callable[[int], None]
# Registers a descriptor with the loop: (descriptor, epoll mask, handler); mask 0 ends it.
Register = Callable[[int, int, Handler | None], None]


class Poller:
    """Descriptors with the events waited for, and the handler of each. *Source:* epoll(7)."""

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self._masks: dict[int, int] = {}
        self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)

    def register(self, descriptor: int, mask: int, handler: Handler | None) -> None:
        """Call `handler` with the events that came for a descriptor; mask 0 ends it. *Raises:* OSError."""
        assert descriptor >= 0, descriptor
        if not mask:
            if self._handlers.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)
                del self._masks[descriptor]
            return
        assert handler is not None
        known = self._masks.get(descriptor)
        self._handlers[descriptor] = handler
        if known is None:
            self._epoll.register(descriptor, mask)
        elif known != mask:
            self._epoll.modify(descriptor, mask)
        self._masks[descriptor] = mask

    def wait(self, nanoseconds: int) -> None:
        """Call the handlers of what is ready; wait at most this long. A handler may end the registration of another."""
        # epoll counts in milliseconds and rounds up: never a turn too early.
        for descriptor, mask in self._epoll.poll(max(0, nanoseconds) / 1e9):
            handler = self._handlers.get(descriptor)
            if handler is not None:
                handler(mask)
