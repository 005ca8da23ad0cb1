"""A container runtime's side of NRI over a real Unix socket, by the rules of the real Go one, and with bad manners on request.

It holds the truth about pods and containers; a test changes that by its methods, and each change is one event to the plugin,
one at a time. What the plugin did wrong is in `failed_operations` (it returned an error: the pod would have failed) and in
`dropped` (why the runtime ended a connection).
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from fakes.nri_dialect import ALWAYS_CALLS, DEDICATED, NEWEST, RUNNING, STOPPED, Dialect, Event, FakeContainer, FakePod, Text
from fakes.nri_plugin_peer import Answer, Manner, PluginGone, PluginPeer
from fakes.nri_wire import MESSAGE_BYTES_MAX, UNIMPLEMENTED, Fields, field, fields, number_of, repeated
from harness.waiting import DEADLINE_SECONDS, wait_until


@dataclass(frozen=True, slots=True)
class Delivered:
    """One event that a plugin was called for. `fell_back`: by StateChange, as its own call was refused.

    *Absent:* `answer`, where the connection ended meanwhile.
    """

    event: Event
    id: Text
    answer: Answer | None
    fell_back: bool


class NriRuntime:
    """One runtime. Use it as a context: entering it listens, leaving it ends it; `restart` does both."""

    def __init__(
        self,
        path: Path,
        dialect: Dialect = NEWEST,
        *,
        name: str = "containerd",
        version: str = "2.4.2",
        registration_seconds: float = 5.0,
        request_seconds: float = 2.0,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        self.path = path
        self.dialect = dialect
        self.name, self.version = name, version
        self.manner = Manner()
        """How it behaves on connections from now on; replace it as a whole."""
        self.pods: dict[Text, FakePod] = {}
        self.containers: dict[Text, FakeContainer] = {}
        self.delivered: list[Delivered] = []
        self.failed_operations: list[str] = []
        self.dropped: list[str] = []
        self.connections = 0
        self.synchronisations = 0
        self.chunks: list[tuple[int, int]] = []
        """Pods and containers of each message of the last synchronisation."""
        self.synchronized_at_ns = 0
        self.registered_at_ns = 0
        self._registration_seconds = registration_seconds
        self._request_seconds = request_seconds
        self._message_bytes_max = message_bytes_max
        self._lock = threading.RLock()
        self._peers: list[PluginPeer] = []
        self._plugin: PluginPeer | None = None
        self._mask = 0
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    # ---- its life ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self.end()

    def start(self) -> None:
        """Listen."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self.path.unlink()
        self._listener = listener = socket.socket(socket.AF_UNIX)
        # The name may be too long for an address; below its descriptor the folder has a short one.
        folder = os.open(self.path.parent, os.O_PATH)
        try:
            listener.bind(f"/proc/self/fd/{folder}/{self.path.name}")
        finally:
            os.close(folder)
        listener.listen()
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), name="nri-accept", daemon=True)
        self._acceptor.start()

    def end(self, *, announced: bool = False) -> None:
        """Stop listening and end all connections; `announced`: the plugin gets Shutdown before. The socket's name stays."""
        if announced and self._plugin is not None:
            with suppress(PluginGone), self._lock:
                self._plugin.call("Shutdown", field(1, "the runtime ends"), self._request_seconds)
        # Forgotten before the connections are ended: one that is taken at this moment is ended by the thread that takes it.
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for peer in self._peers:
            peer.close()
        if self._acceptor is not None:
            self._acceptor.join(10)
            self._acceptor = None
        for peer in self._peers:
            peer.join()
        self._peers.clear()
        self._plugin = None

    def restart(self, *, announced: bool = False) -> None:
        """End and listen again, with the same pods."""
        self.end(announced=announced)
        self.start()

    def drop(self, problem: str = "dropped by the test") -> None:
        """End the connection of the plugin at once, wherever it is."""
        for peer in list(self._peers):
            peer.close(problem)

    @property
    def plugin(self) -> PluginPeer | None:
        """The plugin that is registered, configured and synchronised; None: there is none."""
        plugin = self._plugin
        return plugin if plugin is not None and not plugin.is_closed.is_set() else None

    def wait_plugin(self, seconds: float = DEADLINE_SECONDS) -> PluginPeer:
        """Wait for a plugin that is through with its synchronisation."""
        return wait_until(lambda: self.plugin, f"a plugin is registered; dropped: {self.dropped[-3:]}", seconds=seconds)

    @property
    def mask(self) -> int:
        """What the plugin subscribed to, 0 turned into everything as the real one does."""
        return self._mask

    # ---- what happens to pods ----------------------------------------------------------------------

    def run_pod(self, pod: FakePod) -> Delivered | None:
        """A sandbox is made. *Absent:* None, where no plugin asks for the event, or there is none."""
        self.pods[pod.id] = pod
        return self._deliver(Event.RUN_POD, pod)

    def create_container(self, container: FakeContainer) -> Delivered | None:
        """A container is made, and does not run yet."""
        self.containers[container.id] = container
        return self._deliver(Event.CREATE, self._pod_of(container), container)

    def start_container(self, container: FakeContainer) -> Delivered | None:
        """A container is about to run; it may be one that was not announced."""
        self.containers.setdefault(container.id, container)
        delivered = self._deliver(Event.START, self._pod_of(container), container)
        container.state = RUNNING
        return delivered

    def stop_container(self, container: FakeContainer) -> Delivered | None:
        """A container has ended."""
        container.state = STOPPED
        return self._deliver(Event.STOP, self._pod_of(container), container)

    def remove_container(self, container: FakeContainer) -> Delivered | None:
        """A container goes."""
        self.containers.pop(container.id, None)
        return self._deliver(Event.REMOVE, self._pod_of(container), container)

    def stop_pod(self, pod: FakePod) -> Delivered | None:
        """A sandbox has ended."""
        return self._deliver(Event.STOP_POD, pod)

    def remove_pod(self, pod: FakePod) -> Delivered | None:
        """A sandbox goes, with the containers that it still has."""
        for container in [each for each in self.containers.values() if each.pod_id == pod.id]:
            self.stop_container(container)
            self.remove_container(container)
        self.pods.pop(pod.id, None)
        return self._deliver(Event.REMOVE_POD, pod)

    def start_pod(self, pod: FakePod, *containers: FakeContainer) -> None:
        """A pod with its containers, from the sandbox to the running containers."""
        self.run_pod(pod)
        for container in containers:
            self.create_container(container)
            self.start_container(container)

    def call(self, method: str, payload: bytes = b"") -> Answer:
        """Any call to the plugin, as from a runtime of a later version. *Raises:* PluginGone."""
        with self._lock:
            assert self._plugin is not None
            return self._plugin.call(method, payload, self._request_seconds)

    def replies(self, event: Event) -> list[float]:
        """How long the plugin took for each event of a kind, in milliseconds."""
        return [each.answer.elapsed_ns / 1e6 for each in self.delivered if each.event is event and each.answer is not None]

    def _pod_of(self, container: FakeContainer) -> FakePod:
        return self.pods.get(container.pod_id) or FakePod(container.pod_id)

    # ---- events ------------------------------------------------------------------------------------

    def _deliver(self, event: Event, pod: FakePod, container: FakeContainer | None = None) -> Delivered | None:
        """One event, under the one lock that all events and synchronisations share."""
        with self._lock:
            plugin = self.plugin
            if plugin is None or not self._mask & 1 << event - 1:
                return None
            answer, fell_back = None, False
            with suppress(PluginGone):
                answer, fell_back = self._called(plugin, event, pod, container)
            if plugin.is_closed.is_set() and plugin.problem:
                self.dropped.append(plugin.problem)
            if answer is not None and answer.code:
                self.failed_operations.append(f"{event.name} of {(container or pod).id!r}: {answer.code} {answer.message}")
            self.delivered.append(delivered := Delivered(event, (container or pod).id, answer, fell_back))
            return delivered

    def _called(self, plugin: PluginPeer, event: Event, pod: FakePod, container: FakeContainer | None) -> tuple[Answer, bool]:
        both = field(1, pod.encoded()) + (b"" if container is None else field(2, container.encoded()))
        if event in ALWAYS_CALLS:
            return plugin.call(ALWAYS_CALLS[event], both, self._request_seconds), False
        if self.dialect.dedicated and event in DEDICATED:
            answer = plugin.call(DEDICATED[event], both, self._request_seconds)
            if answer.code != UNIMPLEMENTED:
                return answer, False
        change = field(1, int(event)) + field(2, pod.encoded())
        change += b"" if container is None else field(3, container.encoded())
        return plugin.call("StateChange", change, self._request_seconds), self.dialect.dedicated

    # ---- registration ------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        """One plugin after the other, as the real one; while one registers, no other can."""
        while True:
            try:
                stream, _address = listener.accept()
            except OSError:
                return
            self.connections += 1
            peer = PluginPeer(stream, replace(self.manner))
            self._peers.append(peer)
            if self._listener is not listener:
                peer.close()
            peer.start()
            try:
                self._register(peer, replace(self.manner))
            except PluginGone as gone:
                self.dropped.append(str(gone))
                peer.close()

    def _register(self, peer: PluginPeer, manner: Manner) -> None:
        peer.wait_registered(self._registration_seconds)
        self.registered_at_ns = time.perf_counter_ns()
        if not manner.configures:
            peer.is_closed.wait(self._registration_seconds)
            raise PluginGone(peer.problem or "never configured")
        mask = self._configured(peer, manner)
        with self._lock:
            self._synchronize(peer)
            self._plugin, self._mask = peer, mask
            self.synchronisations += 1
            self.synchronized_at_ns = time.perf_counter_ns()

    def _configured(self, peer: PluginPeer, manner: Manner) -> int:
        # The limits are in the message of every version here; Go leaves out what its version does not have.
        parts = field(1, manner.configuration) + field(2, self.name) + field(3, self.version)
        parts += field(4, int(self._registration_seconds * 1000)) + field(5, int(self._request_seconds * 1000))
        parts += field(6, self.dialect.version) if self.dialect.names_itself else b""
        answer = peer.call("Configure", parts, self._request_seconds)
        if answer.code:
            peer.close(f"failed to configure plugin: {answer.code} {answer.message}")
            raise PluginGone(peer.problem)
        mask = number_of(fields(answer.payload), 2) or self.dialect.mask
        if unknown := mask & ~self.dialect.mask:
            peer.close(f"invalid plugin events: {unknown:#x}")
            raise PluginGone(peer.problem)
        return mask

    def _synchronize(self, peer: PluginPeer) -> None:
        end = time.monotonic() + self._request_seconds
        parts = list(self._parts())
        self.chunks = [(pods, containers) for pods, containers, _payload in parts]
        for number, (_pods, _containers, payload) in enumerate(parts):
            more = number < len(parts) - 1
            answer = peer.call("Synchronize", payload + field(3, int(more)), max(end - time.monotonic(), 0.001))
            reply: Fields = fields(answer.payload)
            if answer.code:
                peer.close(f"failed to synchronize: {answer.code} {answer.message}")
            elif bool(number_of(reply, 2)) != more or (more and 1 in reply):
                peer.close("plugin does not handle split sync requests")
            if peer.is_closed.is_set():
                raise PluginGone(peer.problem or "the plugin went away")

    def _parts(self) -> Iterator[tuple[int, int, bytes]]:
        """Pods and containers in as many messages as are needed; halved until each fits, as the real one does."""
        # Copies: a test makes pods while this thread synchronises.
        pods = [pod.encoded() for pod in list(self.pods.values())]
        containers = [container.encoded() for container in list(self.containers.values())]
        # What stands beside the payload in a message: service, method, limits.
        room = self._message_bytes_max - 200
        pieces = 1
        while True:
            cut = [(_share(pods, number, pieces), _share(containers, number, pieces)) for number in range(pieces)]
            payloads = [repeated(1, some) + repeated(2, others) for some, others in cut]
            if max(map(len, payloads)) <= room or pieces > len(pods) + len(containers):
                break
            pieces *= 2
        if pieces > 1 and not self.dialect.splits:
            raise PluginGone(f"{sum(map(len, payloads))} bytes are too much for one message of NRI {self.dialect.version}")
        for (some, others), payload in zip(cut, payloads, strict=True):
            yield len(some), len(others), payload

    def summary(self) -> str:
        """What there is, for a test's message."""
        return json.dumps({"pods": len(self.pods), "containers": len(self.containers), "dropped": self.dropped[-3:]})


def _share(items: list[bytes], number: int, pieces: int) -> list[bytes]:
    return items[len(items) * number // pieces : len(items) * (number + 1) // pieces]
