"""ClickHouse's own engine behind its HTTP interface, as far as that is used here: a server of a test's own over chdb.

with ClickHouse(folder) as server:
    server.url("lab")                            # for lake.url
    server.ask("SELECT count() FROM lab.process")     # [["12"]]
"""

import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from http.client import HTTPConnection
from pathlib import Path

import pytest
from harness.sinks.program import SinkProgram, get
from harness.waiting import SLOWNESS

ENGINES = Path(__file__).parents[3] / "scripts" / "lab" / "engines"
_NOT_MADE = 69
_PROGRAM = Path(__file__).with_name("chdb_program.py")
_ANSWER_SECONDS = 20.0 * SLOWNESS


@cache
def engines_folder() -> Path:
    """The environment of scripts/lab/engines. Skips the test where it is not made."""
    found = subprocess.run([ENGINES, "find"], capture_output=True, text=True, check=False)
    if found.returncode == _NOT_MADE:
        pytest.skip(found.stderr.strip())
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip())


def engines_python() -> Path:
    """Its interpreter."""
    return engines_folder() / "bin" / "python"


class ClickHouse(SinkProgram):
    """Use it as a context. What it had acknowledged is there after a SIGKILL too."""

    component = "engines"

    def __init__(self, folder: Path, *, user: str = "default", password: str = "") -> None:
        super().__init__(folder)
        self.user, self.password = user, password
        self.port = self.take_port()

    def find_programs(self) -> Path:
        return engines_folder()

    def url(self, database: str) -> str:
        """As `lake.url` names it."""
        return f"clickhouse+http://{self.address}:{self.port}/{database}"

    @property
    def variables(self) -> Mapping[str, str]:
        """Who asks, as the environment says it."""
        return {"CLICKHOUSE_USER": self.user, "CLICKHOUSE_PASSWORD": self.password}

    def ask(self, statement: str) -> list[list[str]]:
        """The rows of an answer as text. *Raises:* AssertionError with what the server says."""
        connection = HTTPConnection(self.address, self.port, timeout=_ANSWER_SECONDS)
        try:
            headers = {"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password}
            connection.request("POST", "/", statement.encode(), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        assert answer.status == 200, text
        return [line.split("\t") for line in text.splitlines()]

    def command(self) -> Sequence[str | Path]:
        return [engines_python(), "-I", _PROGRAM, self.folder, self.address, str(self.port), self.user, self.password]

    def is_ready(self) -> bool:
        return get(self.port, "/ping", address=self.address)[0] == 200
