"""Segments that a real writer has sealed and keeps for a sink of kind `object`, and the rows in them."""

from collections import Counter
from pathlib import Path
from typing import Any

from fakes.object_export import rows_in
from fakes.sender import FakeSender
from fakes.writer_host import WriterHost
from harness.sinks.object_server import ObjectServer

from agent.model.message import Batch, encode
from agent.model.timebase import DAY, MS, S

# A minute before a midnight of UTC.
EVE = "2023-12-08"
EVE_NS = 19_700 * DAY - 60 * S


class StoredSegments:
    """A writer with a sink that is to get everything, and the rows that it has stored."""

    def __init__(self, state: Path, url: str) -> None:
        state.mkdir()
        self.state = state
        self.writer = WriterHost(state, sinks={"central": {"kind": "object", "url": url}})
        self.writer.clock.set_wall_ns(EVE_NS)
        self.sender: FakeSender = self.writer.sender()

    def segment(self, batches: int = 4, *, lost: int = 0, bad: bool = False) -> None:
        """One more segment with these batches, sealed; some rows may be lost on the way, or not fit their table."""
        if lost:
            self.sender.lose(lost)
        self.writer.measure(self.sender, batches=batches)
        if bad:
            self.sender.seq += 1
            head = Batch(self.sender.seq, "sample", 3, self.writer.clock.wall_ns(), 1, ())
            rows = encode([(self.writer.clock.wall_ns(), 5, 1, 1, 0.5, True)])
            self.writer.peer.put(self.sender.who, [(encode(head), rows)])
            self.writer.turn()
        self.writer.rotate()

    def rows(self) -> "Counter[tuple[str, tuple[Any, ...]]]":
        """What is in the agent's own Parquet files."""
        files = {
            f"{path.parent.parent.name}/{path.parent.name}/host=x/{path.name}": path.read_bytes()
            for path in (self.state / "data").rglob("*.parquet")
        }
        return rows_in(files)


def values_of(server: ObjectServer, folder: Path, *, port: int = 0, secret: str = "") -> dict[str, int | str | bool]:
    """A section for a bucket of this server, with a file of credentials."""
    path = folder / "credentials"
    secret = secret or server.secret_key
    path.write_text(f"# of a test\nAWS_ACCESS_KEY_ID={server.access_key}\nAWS_SECRET_ACCESS_KEY={secret}\n")
    endpoint = f"http://127.0.0.1:{port or server.port}"
    return {
        "endpoint": endpoint, "region": server.region, "allow_http": True, "credentials_file": str(path), "timeout": 2 * S,
        "connect_timeout": 500 * MS, "retry_most": 200 * MS,
    }  # fmt: skip
