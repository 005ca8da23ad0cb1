"""A real OpenTelemetry collector: it takes OTLP over HTTP and gRPC, and writes each request it took as JSON before it answers.

with Collector(folder) as collector:
    ...                                   # POST to collector.url("metrics")
    collector.records("metrics")          # one dict for each request, in the OTLP's own JSON
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.sinks.certificates import Identity
from harness.sinks.program import SinkProgram, get

Signal = Literal["metrics", "logs"]
SIGNALS: tuple[Signal, ...] = ("metrics", "logs")
_REQUEST = re.compile(r'\{"resource(?:Metrics|Logs)"')


@dataclass(frozen=True, slots=True)
class CollectorTls:
    """How the receivers prove who they are; with `client_authority` (a file of certificates) clients have to, too."""

    identity: Identity
    client_authority: Path | None = None


class Collector(SinkProgram):
    """Use it as a context. What it had acknowledged is in `records` after a SIGKILL too: no batches, no buffer.

    `batched` puts the usual batch processor before the file, which answers earlier and can lose what it has answered.
    `body_bytes_max` is the longest body of a request over HTTP, also once decompressed. `remote_write` is the URL of a Prometheus
    to which metrics go as well.
    """

    component = "collector"

    def __init__(
        self,
        folder: Path,
        *,
        tls: CollectorTls | None = None,
        batched: bool = False,
        body_bytes_max: int | None = None,
        remote_write: str | None = None,
    ) -> None:
        super().__init__(folder)
        self._tls = tls
        self._is_batched = batched
        self._body_bytes_max = body_bytes_max
        self._remote_write = remote_write
        self.http_port = self.take_port()
        self.grpc_port = self.take_port()
        self._health_port = self.take_port()

    def url(self, signal: Signal) -> str:
        """Where requests of a signal go: `http://127.0.0.1:…/v1/metrics`."""
        return f"http{'s' if self._tls else ''}://{self.address}:{self.http_port}/v1/{signal}"

    def command(self) -> Sequence[str | Path]:
        """The configuration, which is JSON and so YAML, is written at each start."""
        path = self.folder / "collector.yaml"
        path.write_text(json.dumps(self._configuration(), indent=1))
        return [self.programs / "otelcol", "--config", path]

    def is_ready(self) -> bool:
        """Every part of it has started."""
        return get(self._health_port, "/", address=self.address)[0] == 200

    def file(self, signal: Signal) -> Path:
        """Where the requests of a signal are, one on a line."""
        return self.folder / f"{signal}.jsonl"

    def records(self, signal: Signal = "metrics") -> list[dict[str, Any]]:
        """All requests of a signal that it took, over all its starts, in the order of their end.

        One that a SIGKILL cut, which was not acknowledged, is left out.
        """
        path = self.file(signal)
        return list(requests_of(path.read_text())) if path.exists() else []

    def _configuration(self) -> dict[str, Any]:
        # With a rotation, which never comes at this size, the exporter appends and has no buffer; without one it has a buffer, and
        # what lies there goes with a SIGKILL though it was acknowledged.
        exporters: dict[str, Any] = {
            f"file/{signal}": {"path": str(self.file(signal)), "rotation": {"max_megabytes": 1_000_000}} for signal in SIGNALS
        }
        pipelines: dict[str, dict[str, list[str]]] = {
            signal: {
                "receivers": ["otlp"],
                "processors": ["batch"] if self._is_batched else [],
                "exporters": [f"file/{signal}"],
            }
            for signal in SIGNALS
        }
        if self._remote_write is not None:
            exporters["prometheus_remote_write"] = {"endpoint": self._remote_write}
            pipelines["metrics"]["exporters"].append("prometheus_remote_write")
        return {
            "extensions": {"health_check": {"endpoint": f"{self.address}:{self._health_port}"}},
            "receivers": {"otlp": {"protocols": self._protocols()}},
            "processors": {"batch": {"timeout": "200ms"}},
            "exporters": exporters,
            "service": {
                "extensions": ["health_check"],
                # Its own metrics would need one more port.
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": pipelines,
            },
        }

    def _protocols(self) -> dict[str, dict[str, Any]]:
        http: dict[str, Any] = {"endpoint": f"{self.address}:{self.http_port}"}
        grpc: dict[str, Any] = {"endpoint": f"{self.address}:{self.grpc_port}"}
        if self._body_bytes_max is not None:
            http["max_request_body_size"] = self._body_bytes_max
        if self._tls is not None:
            tls = {"cert_file": str(self._tls.identity.certificate), "key_file": str(self._tls.identity.key)}
            if self._tls.client_authority is not None:
                tls["client_ca_file"] = str(self._tls.client_authority)
            http["tls"] = grpc["tls"] = tls
        return {"http": http, "grpc": grpc}


def requests_of(text: str) -> Iterator[dict[str, Any]]:
    """The whole requests in the text of a file."""
    decoder = json.JSONDecoder()
    for line in text.splitlines():
        # A SIGKILL may have come between a request and the end of its line, or within it: then a later one is on that line too.
        start = _REQUEST.search(line)
        while start is not None:
            end = start.start() + 1
            with suppress(json.JSONDecodeError):
                document, end = decoder.raw_decode(line, start.start())
                yield document
            start = _REQUEST.search(line, end)
