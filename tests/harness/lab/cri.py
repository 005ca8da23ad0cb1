"""The Container Runtime Interface as a kubelet uses it: pods and containers are made, listed and ended through its socket.

*Source:* field numbers of cri-api v1, `runtime.v1`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from harness.lab.grpc import GrpcClient
from harness.lab.protobuf import Message, encode

_RUNTIME = "runtime.v1.RuntimeService"
# Of a namespace option: one of the container's own, and the host's.
_CONTAINER, _NODE = 1, 2


@dataclass(frozen=True)
class PodSpec:
    """What a pod sandbox is made of. `host_pids`: its containers see the host's process numbers."""

    name: str
    uid: str
    namespace: str = "default"
    labels: dict[str, str] = field(default_factory=dict)
    cgroup_parent: str = ""
    host_pids: bool = False

    def encoded(self) -> bytes:
        """PodSandboxConfig."""
        options = encode({1: _NODE, 2: _NODE if self.host_pids else _CONTAINER})
        linux = encode({1: self.cgroup_parent, 2: encode({1: options})})
        metadata = encode({1: self.name, 2: self.uid, 3: self.namespace})
        return encode({1: metadata, 6: self.labels, 8: linux})


@dataclass(frozen=True)
class ContainerSpec:
    """What a container is made of. `mounts` are paths inside by paths outside, with whether they may be written."""

    name: str
    command: tuple[str, ...]
    image: str = "localhost/load:1"
    mounts: tuple[tuple[Path, str, bool], ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    def encoded(self, pod: PodSpec) -> bytes:
        """ContainerConfig."""
        options = encode({1: _NODE, 2: _NODE if pod.host_pids else _CONTAINER})
        mounts = [encode({1: inside, 2: str(outside), 3: int(not writable)}) for outside, inside, writable in self.mounts]
        return encode(
            {
                1: encode({1: self.name}),
                2: encode({1: self.image}),
                3: list(self.command),
                7: list(mounts),
                9: self.labels,
                15: encode({2: encode({3: options})}),
            }
        )


@dataclass(frozen=True)
class ListedContainer:
    """A container as the runtime lists it."""

    id: str
    sandbox_id: str
    name: str
    state: int

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.state == 1

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state == 2


class CriClient:
    """One connection to a runtime's CRI. *Raises:* what GrpcClient raises."""

    def __init__(self, socket: Path) -> None:
        self._grpc = GrpcClient(socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._grpc.close()

    def _call(self, method: str, request: bytes = b"") -> Message:
        return Message(self._grpc.call(f"{_RUNTIME}/{method}", request))

    def version(self) -> str:
        """Name and version of the runtime."""
        answer = self._call("Version")
        return f"{answer.text(2)} {answer.text(3)}"

    def images(self) -> set[str]:
        """The names of all images."""
        answer = Message(self._grpc.call("runtime.v1.ImageService/ListImages", b""))
        return {name for image in answer.messages(1) for name in image.texts(2)}

    def run_pod(self, pod: PodSpec) -> str:
        """A sandbox is made and started; its id."""
        return self._call("RunPodSandbox", encode({1: pod.encoded()})).text(1)

    def stop_pod(self, sandbox_id: str) -> None:
        """The sandbox and its containers end."""
        self._call("StopPodSandbox", encode({1: sandbox_id}))

    def remove_pod(self, sandbox_id: str) -> None:
        """The sandbox and its containers are forgotten."""
        self._call("RemovePodSandbox", encode({1: sandbox_id}))

    def pods(self) -> dict[str, str]:
        """By sandbox the uid of its pod."""
        return {item.text(1): item.message(2).text(2) for item in self._call("ListPodSandbox").messages(1)}

    def create_container(self, sandbox_id: str, container: ContainerSpec, pod: PodSpec) -> str:
        """A container is made; its id."""
        return self._call("CreateContainer", encode({1: sandbox_id, 2: container.encoded(pod), 3: pod.encoded()})).text(1)

    def start_container(self, container_id: str) -> None:
        """Its program starts."""
        self._call("StartContainer", encode({1: container_id}))

    def stop_container(self, container_id: str, *, seconds: int = 0) -> None:
        """It is asked to end, and killed after so long."""
        self._call("StopContainer", encode({1: container_id, 2: seconds}))

    def remove_container(self, container_id: str) -> None:
        """It is forgotten."""
        self._call("RemoveContainer", encode({1: container_id}))

    def containers(self) -> dict[str, ListedContainer]:
        """All containers by their ids."""
        found = [
            ListedContainer(item.text(1), item.text(2), item.message(3).text(1), item.number(6))
            for item in self._call("ListContainers").messages(1)
        ]
        return {each.id: each for each in found}
