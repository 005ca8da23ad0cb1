"""Every pod and container that the runtime has reported. PURE."""

from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimeEvent, RuntimePod


class RuntimeRegistry:
    """The state that follows from the reports; a repeated report changes nothing."""

    def __init__(self) -> None:
        self._sandboxes: dict[str, RuntimePod] = {}
        self._containers: dict[str, RuntimeContainer] = {}
        self._changed: set[str] = set()

    def take(self, event: RuntimeEvent) -> None:
        """Follow one event."""
        raise NotImplementedError

    def take_changed(self) -> frozenset[str]:
        """The uids of which something is another since this was asked last."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def pods(self) -> dict[str, tuple[RuntimePod, tuple[RuntimeContainer, ...]]]:
        """By uid every pod, with its containers in the order of their ids."""
        raise NotImplementedError

    def pod(self, uid: str) -> tuple[RuntimePod, tuple[RuntimeContainer, ...]] | None:
        """One pod; None: there is none of this uid."""
        raise NotImplementedError
