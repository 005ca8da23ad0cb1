"""The agent's own session of NRI over a socket, with nothing else of the agent: what it reports is kept in order."""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from agent.model.errors import EvergaugeError
from workers.control_plane.container_runtime.event import RuntimeEvent
from workers.control_plane.nri.session import PluginSession, Reported, RuntimeShutDown, SessionEvent, StartRequested


class SessionDriver:
    """Connects, registers and answers everything at once. `problem` is the protocol error that ended it."""

    def __init__(self, path: Path, *, name: str = "evergauge", index: str = "10", read_bytes: int = 1 << 16) -> None:
        self.session = PluginSession(name, index)
        self.events: list[SessionEvent] = []
        self.problem: EvergaugeError | None = None
        self._read_bytes = read_bytes
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self.session.begin()
        self._thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self.end()

    def end(self) -> None:
        """Close the connection and wait for the end of everything."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended."""
        return not self._thread.is_alive()

    @property
    def reported(self) -> list[RuntimeEvent]:
        """What the runtime reported, oldest first."""
        return [event.event for event in self.events if isinstance(event, Reported)]

    @property
    def starts(self) -> list[StartRequested]:
        """The containers that were about to start."""
        return [event for event in self.events if isinstance(event, StartRequested)]

    @property
    def is_shut_down(self) -> bool:
        """Whether the runtime said that it ends."""
        return any(isinstance(event, RuntimeShutDown) for event in self.events)

    def _serve(self) -> None:
        with suppress(OSError):
            self._socket.sendall(self.session.take_output())
            while data := self._socket.recv(self._read_bytes):
                try:
                    events = self.session.receive(data)
                except EvergaugeError as problem:
                    self.problem = problem
                    break
                for event in events:
                    if isinstance(event, StartRequested):
                        self.session.answer(event.call)
                self.events += events
                self._socket.sendall(self.session.take_output())
            self._socket.shutdown(socket.SHUT_RDWR)
