"""The thread `nri`: this agent as a plugin of the host's container runtime."""

from typing import Any

from workers.control_plane.container_runtime.link import RuntimeLink
from workers.framework.declaration import WorkerContext


class NriPlugin:
    """Hears a runtime over NRI from `start` to `stop`, and tells the link. Nothing that goes wrong there is fatal."""

    def start(self) -> None:
        """Begin to look for the runtime."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the connection and the threads; no longer than half a second."""
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """Counts for `status` and /metrics."""
        raise NotImplementedError


def make_plugin(link: RuntimeLink, context: WorkerContext) -> NriPlugin | None:
    """The plugin of a worker. *Absent:* None where `nri.enabled` is false."""
    raise NotImplementedError
