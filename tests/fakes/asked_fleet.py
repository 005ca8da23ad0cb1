"""A small fleet that is asked over HTTP: real sockets, and a loop that the test turns."""

from urllib.parse import urlsplit

from fakes.gateway_host import Client, Received
from fakes.shown_fleet import ShownFleet
from fakes.turned_host import TurnedHost


class AskedFleet(TurnedHost):
    """A small fleet and its HTTP; the test turns the loop."""

    def __init__(self, nodes: int = 4, units: int = 3) -> None:
        self.fleet = ShownFleet(nodes, units=units)
        self.fleet.http.on_timer(self.fleet.clock.now_ns())
        self._clients: list[Client] = []

    def turn(self, wait_seconds: float = 0.0) -> None:
        """One turn of the worker's loop."""
        self.fleet.turn(wait_seconds)

    def send(self, request: str, body: str = "") -> Client:
        """A client whose request is on its way."""
        address = urlsplit(self.fleet.url)
        client = Client((address.hostname or "", address.port or 0))
        self._clients.append(client)
        head = f"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        client.send((head + body).encode())
        return client

    def ask(self, request: str, body: str = "") -> Received:
        """The answer to a request."""
        client = self.send(request, body)
        self.turn_until(client.receive)
        return client.response()

    def close(self) -> None:
        """End the server and every client."""
        self.fleet.http.close()
        for client in self._clients:
            client.socket.close()
