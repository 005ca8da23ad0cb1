"""Names of pods and containers as a test says they are."""

from workers.export.names import ContainerName, PodName


class KnownNames:
    """A NameSource; `learn` makes a name known later."""

    def __init__(self) -> None:
        self.version = 0
        self._pods: dict[str, PodName] = {}
        self._containers: dict[str, ContainerName] = {}

    def learn(self, uid: str, namespace: str | None, name: str | None, **containers: str) -> None:
        """A pod, and its containers' names by their ids."""
        self.version += 1
        self._pods[uid] = PodName(namespace, name, "pod")
        self._containers |= {key: ContainerName(text, uid) for key, text in containers.items()}

    def pod(self, uid: str) -> PodName | None:
        """See NameSource."""
        return self._pods.get(uid)

    def container(self, container_id: str) -> ContainerName | None:
        """See NameSource."""
        return self._containers.get(container_id)
