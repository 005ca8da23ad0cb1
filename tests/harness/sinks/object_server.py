"""A real S3 server over a folder, with one bucket.

with ObjectServer(folder) as server:
    S3Store(server.bucket, **server.store_options)      # obstore
    server.objects()                                    # {"a/b.parquet": 123}, as they lie in the folder
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.sinks.certificates import Identity
from harness.sinks.program import SinkProgram, get

_HEALTH = "/health"


class ObjectServer(SinkProgram):
    """Use it as a context. The bucket is there from the beginning; what it had acknowledged is there after a SIGKILL too.

    With `tls` it speaks https alone, and `endpoint` says so.
    """

    component = "object-server"
    access_key = "lab-access"
    secret_key = "lab-secret"
    region = "us-east-1"

    def __init__(self, folder: Path, *, bucket: str = "lab", tls: Identity | None = None) -> None:
        super().__init__(folder)
        self.bucket = bucket
        self._tls = tls
        self.port = self.take_port()

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:…`, without the bucket."""
        return f"http{'s' if self._tls else ''}://{self.address}:{self.port}"

    @property
    def store_options(self) -> dict[str, Any]:
        """What obstore's S3Store needs beside the bucket's name. Give a `client_options` of your own for TLS and time-outs."""
        return {
            "endpoint": self.endpoint,
            "region": self.region,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
            "client_options": {"allow_http": True},
        }

    @property
    def bucket_folder(self) -> Path:
        """Each object is a file here; its name is its path."""
        return self.folder / "buckets" / self.bucket

    def objects(self) -> dict[str, int]:
        """The length of each object in bytes by its name, without asking the server."""
        top = self.bucket_folder
        # What is not finished lies below this name.
        found = (path for path in top.rglob("*") if path.is_file() and path.relative_to(top).parts[0] != ".sgwtmp")
        return {str(path.relative_to(top)): path.stat().st_size for path in found}

    def command(self) -> Sequence[str | Path]:
        """Names of objects' attributes lie in a folder beside them: not every file system of a test has extended attributes."""
        sidecar = self.folder / "attributes"
        for path in (self.bucket_folder, sidecar):
            path.mkdir(parents=True, exist_ok=True)
        words: list[str | Path] = [self.programs / "versitygw", "--access", self.access_key, "--secret", self.secret_key]
        words += ["--region", self.region, "--port", f"{self.address}:{self.port}", "--health", _HEALTH, "--quiet"]
        if self._tls is not None:
            words += ["--cert", self._tls.certificate, "--key", self._tls.key]
        return [*words, "posix", "--sidecar", sidecar, self.folder / "buckets"]

    def is_ready(self) -> bool:
        """Whether it answers."""
        return get(self.port, _HEALTH, address=self.address, tls=self._tls is not None)[0] == 200
