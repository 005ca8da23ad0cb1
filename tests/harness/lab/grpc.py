"""Unary gRPC calls over a unix socket, on the light HTTP/2 library: what a test needs to ask a container runtime."""

import socket
import struct
import threading
from pathlib import Path

import h2.config
import h2.connection
import h2.events
from harness.waiting import SLOWNESS


class CallFailed(Exception):
    """The server refused a call: its status and what it says."""


class GrpcClient:
    """One connection; calls from several threads wait for each other. Each call has its own deadline.

    *Raises:* OSError where nothing listens or nothing answers; CallFailed for a refusal.
    """

    def __init__(self, path: Path, *, seconds: float = 120.0 * SLOWNESS) -> None:
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(seconds)
        self._socket.connect(str(path))
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._http.initiate_connection()
        self._flush()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def call(self, method: str, request: bytes) -> bytes:
        """The answer to one call, `runtime.v1.RuntimeService/Version` for instance."""
        with self._lock:
            stream = self._http.get_next_available_stream_id()
            names = {":method": "POST", ":scheme": "http", ":path": f"/{method}", ":authority": "localhost"}
            self._http.send_headers(stream, [*names.items(), ("content-type", "application/grpc"), ("te", "trailers")])
            self._http.send_data(stream, b"\0" + struct.pack(">I", len(request)) + request, end_stream=True)
            self._flush()
            return self._answer(stream, method)

    def _answer(self, stream: int, method: str) -> bytes:
        body, headers = bytearray(), dict[str, str]()
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError(f"{method}: the runtime has closed the connection")
            is_over = False
            for event in self._http.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    headers |= {str(name): str(value) for name, value in event.headers}
                elif isinstance(event, h2.events.ConnectionTerminated):
                    raise ConnectionResetError(f"{method}: the runtime ends the connection")
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset) and event.stream_id == stream:
                    is_over = True
            self._flush()
            if is_over:
                return self._judged(method, headers, bytes(body))

    def _judged(self, method: str, headers: dict[str, str], body: bytes) -> bytes:
        if headers.get("grpc-status") != "0":
            raise CallFailed(f"{method}: status {headers.get('grpc-status')}: {headers.get('grpc-message')}")
        return body[5:]

    def _flush(self) -> None:
        self._socket.sendall(self._http.data_to_send())
