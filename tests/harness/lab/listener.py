"""A plugin that only listens: what a real runtime reports over NRI, in its order, to state facts that the agent relies on."""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from workers.control_plane.container_runtime.event import ContainerStarting, RuntimeContainer, RuntimeEvent, RuntimePod
from workers.control_plane.nri.session import Configured, PluginSession, Reported, StartRequested


class NriListener:
    """Use it as a context, with the runtime up. `events` grows; a start is answered at once and stands there as an event."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._session = PluginSession("listener", "20")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.configured: Configured | None = None
        self.events: list[RuntimeEvent] = []

    def __enter__(self) -> Self:
        self._session.begin()
        self._socket.sendall(self._session.take_output())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    @property
    def is_over(self) -> bool:
        """Whether the runtime has ended the connection."""
        return not self._thread.is_alive()

    def _listen(self) -> None:
        # A runtime that ends with an answer on its way resets the connection.
        with suppress(OSError):
            self._take_reports()

    def _take_reports(self) -> None:
        while data := self._socket.recv(65536):
            for event in self._session.receive(data):
                match event:
                    case Configured():
                        self.configured = event
                    case Reported(event=reported):
                        self.events.append(reported)
                    case StartRequested(call=call, pod=pod, container=container):
                        self._take_start(pod, container)
                        self._session.answer(call)
                    case _:
                        pass
            self._socket.sendall(self._session.take_output())

    def _take_start(self, pod: RuntimePod, container: RuntimeContainer) -> None:
        self.events.append(ContainerStarting(pod, container))
