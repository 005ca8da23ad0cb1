"""A worker's process makes what the maker of its work asks for, once, and closes it all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from fakes.foreign_node import ForeignNode

from agent.clock import SystemClock
from agent.config import Config
from agent.launch import Launch
from agent.model.message import ForeignBatch, Identity
from agent.ports import FORWARD_BYTES_MAX
from workers import registry
from workers.runtime.bus_client import BusClient
from workers.runtime.context import ProcessContext


@pytest.fixture
def context(tmp_path: Path) -> Iterator[ProcessContext]:
    """Of a worker whose sockets lie in a folder of the test."""
    identity = Identity("r", "made-up", 1)
    launch = Launch(identity, "made-up", str(tmp_path / "bus"), str(tmp_path / "data"), str(tmp_path), "node-1", "0", Config({}))
    zmq_context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = ProcessContext(launch, zmq_context, SystemClock(), BusClient(zmq_context.socket(zmq.DEALER), launch.bus_path, identity))
    yield made
    made.close()


def test_what_nobody_asks_for_is_not_made(context: ProcessContext) -> None:
    """The loop then drives neither."""
    assert (context.made_outboxes, context.made_peer) == ({}, None)


def test_what_is_asked_for_is_remembered_for_the_loop(context: ProcessContext) -> None:
    """And made only once."""
    assert context.outbox(3) is context.made_outboxes[""]
    assert context.data_peer() is context.made_peer
    with pytest.raises(AssertionError, match="one outbox"):
        context.outbox()
    with pytest.raises(AssertionError, match="one data socket"):
        context.data_peer()


def test_each_member_of_a_shared_process_has_an_outbox_of_its_own(context: ProcessContext) -> None:
    """By its name, with the run and the epoch of the process."""
    made = [context.outbox(member=name) for name in ("sampler/a", "sampler/b")]
    assert list(context.made_outboxes.values()) == made
    assert [outbox.socket.get(zmq.IDENTITY) for outbox in made] == [b"r/1/sampler/a", b"r/1/sampler/b"]


def test_a_forwarder_shares_the_numbers_of_the_outbox(context: ProcessContext) -> None:
    """Its answers wake the loop, and nothing is stored yet."""
    forwarder, node = context.forwarder(), ForeignNode(1)
    outbox = context.made_outboxes[""]
    assert outbox.is_awaited
    assert [forwarder.offer(node.measure(5)) for _ in range(2)] == [1, 2]
    assert forwarder.stored() == 0
    outbox.buffer.on_acknowledged(2)
    assert (forwarder.stored(), context.forwarder().stored()) == (2, 2)
    large = ForeignBatch(node.batches[0].origin, "sample", 5, 1, bytes(FORWARD_BYTES_MAX + 1))
    with pytest.raises(AssertionError, match="in one batch"):
        forwarder.offer(large)


def test_tables_and_statistics_are_those_of_the_registry(context: ProcessContext, tmp_path: Path) -> None:
    """And a tree reads below its root."""
    (tmp_path / "file").write_text("there")
    assert context.tables() == registry.tables()
    assert context.statistics() == registry.statistics()
    assert context.tree(str(tmp_path)).read("file", 100) == b"there"
