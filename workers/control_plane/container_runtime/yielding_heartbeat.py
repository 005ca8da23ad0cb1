"""A sign of progress at which the loop also lets a container start first. PURE."""

from collections.abc import Callable

from agent.model.heartbeat import Heartbeat


class YieldingHeartbeat(Heartbeat):
    """Gives another heartbeat, then stands still for a moment while a container waits for its start (`yield_to_start`).

    It is not for work that holds the lock of resctrl: the start may wait for just that.
    """

    def __init__(self, own: Heartbeat, yield_to_start: Callable[[], object]) -> None:
        super().__init__()
        self._own = own
        self._yield_to_start = yield_to_start

    def __call__(self) -> None:
        """The work makes progress."""
        self._own()
        self._yield_to_start()
