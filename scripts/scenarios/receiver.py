"""A receiver of OTLP for scenarios that break the network: it answers at once, late, or not at all, as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Listens at a free port of 127.0.0.1. `delay` None: it takes requests and never answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.requests = 0
        self._delay: float | None = 0.0
        self._changed = threading.Condition()
        self._is_over = False

    @property
    def endpoint(self) -> str:
        """Its address for a sink."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def set_delay(self, seconds: float | None) -> None:
        """From now on, also for requests that wait."""
        with self._changed:
            self._delay = seconds
            self._changed.notify_all()

    def wait_turn(self) -> bool:
        """Wait as long as an answer takes; False when the receiver ends before."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._delay is not None)
            if self._delay:
                self._changed.wait_for(lambda: self._is_over, timeout=self._delay)
            self.requests += 1
            return not self._is_over

    def end(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self.shutdown()
        self.server_close()


class _Request(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Take everything and say that all of it is accepted: an empty message of protobuf."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.server.wait_turn():
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """One that listens until the context ends."""
    made = Receiver()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.end()
        thread.join(5)
