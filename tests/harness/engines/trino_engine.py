"""A Trino server of its own over a folder, for runs by hand: scripts/lab/trino fetches it, and it needs Java 25.

with TrinoEngine(folder, root) as trino:            # files below `root` are local:///… there
    trino.run("SELECT 1")                           # [[1]]
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from harness.engines.query_engine import StatementRefused
from harness.sinks.loopback_port import LOOPBACK, LoopbackPort
from harness.waiting import DEADLINE_SECONDS, NotInTime, wait_until

SCRIPT = Path(__file__).parents[3] / "scripts" / "lab" / "trino"
_START_SECONDS, _ANSWER_SECONDS = 180.0, 300.0
_TRIES_MAX, _NO_NODE = 5, "No nodes available"
_MORTAL = ("setpriv", "--pdeathsig", "KILL", "--")
# Functions are kept in memory, tables and views by the hive catalogue `fleet`, whose folder of definitions is a local one.
_CATALOGUES = {
    "memory": "connector.name=memory\n",
    "fleet": "connector.name=hive\nhive.metastore=file\nhive.metastore.catalog.dir=local:///meta\nfs.native-local.enabled=true\n"
    "hive.recursive-directories=true\nhive.parquet.use-column-names=true\nlocal.location={root}\n",
}
_CONFIG = """coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://{address}:{port}
query.max-memory-per-node={query_memory}
memory.heap-headroom-per-node=150MB
sql.path=memory.default
sql.default-function-catalog=memory
sql.default-function-schema=default
"""


class TrinoEngine:
    """A running server. Use it as a context: leaving it ends the server. `memory` is the heap of Java."""

    name = "trino"

    def __init__(self, folder: Path, root: Path, *, memory: str = "1G", query_memory: str = "400MB") -> None:
        found = subprocess.run([SCRIPT, "find"], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        self.folder, self._programs = folder, Path(found.stdout.strip())
        self._port = LoopbackPort.take()
        self._log = folder / "trino.log"
        self._write_configuration(root, query_memory)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command(memory), stdout=log, stderr=log, cwd=folder)

    def __enter__(self) -> Self:
        try:
            wait_until(self._is_ready, "Trino answers", seconds=_START_SECONDS)
        except NotInTime as late:
            self.close()
            late.add_note(self._log.read_text()[-4000:])
            raise
        return self

    def __exit__(self, *_rest: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait(DEADLINE_SECONDS)
        self._port.release()

    @property
    def pid(self) -> int:
        """The process of the server."""
        return self._process.pid

    def run(self, statement: str) -> list[list[Any]]:
        """The rows of an answer. *Raises:* StatementRefused."""
        # On a busy machine a server forgets its only node for a moment, and then has begun nothing of a statement.
        for _ in range(_TRIES_MAX - 1):
            try:
                return self._rows(statement)
            except StatementRefused as refused:
                if _NO_NODE not in str(refused):
                    raise
                wait_until(self._is_ready, "Trino knows its node again", seconds=_START_SECONDS)
        return self._rows(statement)

    def _rows(self, statement: str) -> list[list[Any]]:
        rows: list[list[Any]] = []
        for page in self._pages(statement):
            kinds = [column["type"] for column in page.get("columns", ())]
            rows += [[_plain(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in page.get("data", ())]
        return rows

    def _pages(self, statement: str) -> Iterator[dict[str, Any]]:
        page = self._ask("POST", "/v1/statement", statement.encode())
        while True:
            if "error" in page:
                raise StatementRefused(f"{self.name}: {page['error']['message']}\n{statement}")
            yield page
            if "nextUri" not in page:
                return
            page = self._ask("GET", page["nextUri"].partition(f":{self._port.number}")[2])

    def _ask(self, method: str, target: str, body: bytes | None = None) -> dict[str, Any]:
        connection = HTTPConnection(LOOPBACK, self._port.number, timeout=_ANSWER_SECONDS)
        try:
            headers = {"X-Trino-User": "test", "X-Trino-Catalog": "fleet", "X-Trino-Schema": "default"}
            connection.request(method, target, body, headers)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()[-4000:]
        try:
            return self._rows("SELECT count(*) FROM system.runtime.nodes WHERE state = 'active'") == [[1]]
        except (OSError, ValueError, KeyError, StatementRefused):
            return False

    def _write_configuration(self, root: Path, query_memory: str) -> None:
        catalogues = self.folder / "etc" / "catalog"
        catalogues.mkdir(parents=True)
        values: Mapping[str, object] = {"port": self._port.number, "address": LOOPBACK, "root": root, "query_memory": query_memory}
        (self.folder / "etc" / "config.properties").write_text(_CONFIG.format(**values))
        for name, text in _CATALOGUES.items():
            (catalogues / f"{name}.properties").write_text(text.format(**values))

    def _command(self, memory: str) -> list[str]:
        etc = self.folder / "etc"
        return [
            *_MORTAL,
            str(_java()),
            *(f"-Xmx{memory}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djdk.attach.allowAttachSelf=true"),
            *(f"-Dplugin.dir={self._programs / 'plugin'}", f"-Dconfig={etc / 'config.properties'}"),
            *(f"-Dcatalog.config-dir={etc / 'catalog'}", "-Dnode.environment=lab", "-Dnode.id=lab1"),
            *(f"-Dnode.data-dir={self.folder / 'data'}", f"-Dnode.internal-address={LOOPBACK}", f"-Dnode.bind-ip={LOOPBACK}"),
            *("-cp", f"{self._programs / 'lib'}/*", "io.trino.server.TrinoServer"),
        ]


def _java() -> Path:
    """Java 25: where TRINO_JAVA says, or below /usr/lib/jvm."""
    named = os.environ.get("TRINO_JAVA")
    found = [Path(named)] if named else sorted(Path("/usr/lib/jvm").glob("*25*/bin/java"))
    assert found, "needs Java 25; name it: TRINO_JAVA=/path/to/bin/java"
    return found[-1]


def _plain(value: Any, kind: str) -> Any:
    """A decimal comes as text, and is a number."""
    return int(Decimal(value)) if kind.startswith("decimal") and value is not None else value
