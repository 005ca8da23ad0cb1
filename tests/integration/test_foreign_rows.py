"""Rows of other hosts, from the hub's batch to the answer of a query, over real sealers and killed writers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from fakes.agentctl_here import agentctl_here
from fakes.foreign_node import HUB, ForeignNode, ForwardingSender
from fakes.sender import SAMPLE
from fakes.writer_host import WriterHost

from agent.model.message import ForeignBatch


class HubHost(WriterHost):
    """A host whose worker `hub` hands on what nodes send."""

    def hub(self, epoch: int = 1) -> ForwardingSender:
        """The hub connects."""
        sender = ForwardingSender(HUB.__class__(HUB.run, HUB.worker, epoch))
        self.senders = [other for other in self.senders if other.who.worker != HUB.worker] + [sender]
        self.peer.attach(sender)
        self.turn()
        return sender

    def hand_on(self, hub: ForwardingSender, *batches: ForeignBatch) -> None:
        """These go to the writer."""
        for batch in batches:
            self.peer.put(hub.who, hub.hand_on(batch))
        self.turn()


def ask(state: Path, statement: str) -> Any:
    """The answer of `agentctl query`."""
    code, text, told = agentctl_here(state, "query", statement, "--json")
    assert (code, told) == (0, ""), told
    return json.loads(text)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HubHost]:
    """A hub whose writer has started."""
    made = HubHost(tmp_path)
    yield made
    made.close()


COUNTS = "select host, number, count(*) as n from sample group by all order by all"


def test_rows_of_other_hosts_are_in_the_same_file_with_their_host(host: HubHost) -> None:
    """One file of the table and date; the query finds them in the spool and in the file alike."""
    own, hub = host.sender(), host.hub()
    host.measure(own, 2, rows=4)
    nodes = [ForeignNode(1), ForeignNode(2)]
    host.hand_on(hub, *(node.measure(host.clock.wall_ns()) for node in nodes for _ in range(2)))
    expected = [
        {"host": name, "number": number, "n": 4 if name == "node-1" else 3}
        for name in ("node-1", "node-101", "node-102")
        for number in (1, 2)
    ]
    assert ask(host.state, COUNTS) == expected
    assert host.rotate()["rows"] == 8 + 12
    (path,) = (host.state / "data" / "sample").glob("*/*.parquet")
    table = pyarrow.parquet.ParquetFile(path).read()
    assert table.column_names == [*SAMPLE.column_names, "host", "install"]
    assert set(zip(table["host"].to_pylist(), table["install"].to_pylist(), strict=True)) == {
        ("node-1", None), ("node-101", nodes[0].install), ("node-102", nodes[1].install)
    }  # fmt: skip
    assert ask(host.state, COUNTS) == expected
