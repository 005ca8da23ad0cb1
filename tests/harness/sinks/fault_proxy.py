"""A real TCP proxy between an exporter and a sink, with the faults of networks and peers that a proxy can make.

    with FaultProxy(folder) as faults:
        way = faults.to(collector.http_port)        # connect to way.port
        way.latency(200, jitter_ms=50)
        way.heal()

It carries bytes, not packets: lossy_network loses packets.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.sinks.loopback_port import LOOPBACK
from harness.sinks.program import SinkProgram, ask, get

# To the sink, or back from it.
Direction = Literal["upstream", "downstream"]


class FaultyWay:
    """One port of the proxy, and what goes wrong there.

    Faults add up, except one of the same kind and direction, which is replaced. They hold for connections that are open and for
    later ones, until `heal`.
    """

    def __init__(self, proxy: "FaultProxy", name: str, port: int, upstream: str) -> None:
        self._proxy = proxy
        self.name = name
        self.port = port
        self.upstream = upstream
        self._faults: dict[str, dict[str, Any]] = {}
        self._is_up = True

    def latency(self, ms: int, *, jitter_ms: int = 0, direction: Direction = "downstream") -> None:
        """Bytes arrive so much later, give or take the jitter."""
        self._add("latency", direction, latency=ms, jitter=jitter_ms)

    def bandwidth(self, kilobytes_per_second: int, *, direction: Direction = "upstream") -> None:
        """Bytes go no quicker; 0 carries none, while connections stay open."""
        self._add("bandwidth", direction, rate=kilobytes_per_second)

    def timeout(self, *, direction: Direction = "upstream") -> None:
        """Half-open: connections are taken, nothing comes through and no answer ever comes."""
        self._add("timeout", direction, timeout=0)

    def close_after(self, ms: int, *, direction: Direction = "upstream") -> None:
        """Nothing comes through, and after so long the connection is closed."""
        self._add("timeout", direction, timeout=ms)

    def limit_data(self, count: int, *, direction: Direction = "downstream") -> None:
        """The connection is closed after so many bytes: in the middle of an answer, or of a request."""
        self._add("limit_data", direction, bytes=count)

    def reset_peer(self, ms: int = 0, *, direction: Direction = "downstream") -> None:
        """Connections end by a reset after so long."""
        self._add("reset_peer", direction, timeout=ms)

    def slow_close(self, ms: int, *, direction: Direction = "downstream") -> None:
        """The end of a connection arrives so much later."""
        self._add("slow_close", direction, delay=ms)

    def slices(self, size: int, *, pause_us: int, direction: Direction = "downstream") -> None:
        """Bytes arrive in pieces of so many, with pauses of microseconds between them."""
        self._add("slicer", direction, average_size=size, size_variation=0, delay=pause_us)

    def down(self) -> None:
        """Nobody listens: connections are refused, and those that are open end."""
        self._is_up = False
        self._proxy.call("POST", f"/proxies/{self.name}", {"enabled": False})

    def up(self) -> None:
        """As before `down`; the faults hold again."""
        self._is_up = True
        self._proxy.call("POST", f"/proxies/{self.name}", {"enabled": True})

    def lead_to(self, port: int, *, address: str = LOOPBACK) -> None:
        """To another port from now on; connections that are open end."""
        self.upstream = f"{address}:{port}"
        # Without its address the proxy would listen on another port.
        listen = f"{self._proxy.address}:{self.port}"
        self._proxy.call("POST", f"/proxies/{self.name}", {"listen": listen, "upstream": self.upstream, "enabled": self._is_up})

    def heal(self) -> None:
        """All is well: up, and without any fault."""
        for name in self._faults:
            self._proxy.call("DELETE", f"/proxies/{self.name}/toxics/{name}")
        self._faults.clear()
        if not self._is_up:
            self.up()

    def make(self) -> None:
        """Tell a proxy that has just started of this port and its faults."""
        listen = f"{self._proxy.address}:{self.port}"
        self._proxy.call(
            "POST", "/proxies", {"name": self.name, "listen": listen, "upstream": self.upstream, "enabled": self._is_up}
        )
        for fault in self._faults.values():
            self._proxy.call("POST", f"/proxies/{self.name}/toxics", fault)

    def _add(self, kind: str, direction: Direction, **attributes: int) -> None:
        name = f"{kind}-{direction}"
        fault = {"name": name, "type": kind, "stream": direction, "attributes": attributes}
        if name in self._faults:
            self._proxy.call("DELETE", f"/proxies/{self.name}/toxics/{name}")
        self._proxy.call("POST", f"/proxies/{self.name}/toxics", fault)
        self._faults[name] = fault


class FaultProxy(SinkProgram):
    """Use it as a context. After `kill` and `start` it has the same ports and faults."""

    component = "fault-proxy"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._api_port = self.take_port()
        self._ways: list[FaultyWay] = []

    def to(self, port: int, *, address: str = LOOPBACK) -> FaultyWay:
        """A new port that leads to this one."""
        way = FaultyWay(self, f"way-{len(self._ways)}", self.take_port(), f"{address}:{port}")
        way.make()
        self._ways.append(way)
        return way

    def command(self) -> Sequence[str | Path]:
        """It keeps nothing."""
        return [self.programs / "toxiproxy", "-host", self.address, "-port", str(self._api_port)]

    def is_ready(self) -> bool:
        """Whether it answers."""
        return get(self._api_port, "/version", address=self.address)[0] == 200

    def start(self) -> None:
        """As any; then it learns again what it has forgotten."""
        super().start()
        for way in self._ways:
            way.make()

    def call(self, method: str, target: str, document: Mapping[str, Any] | None = None) -> None:
        """One request of its own interface, which must be right."""
        body = b"" if document is None else json.dumps(document).encode()
        status, answer = ask(self._api_port, method, target, body, address=self.address)
        assert status < 300, f"{method} {target}: {status} {answer.decode(errors='replace')}"
