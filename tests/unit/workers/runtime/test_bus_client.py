"""What a worker says to the supervisor over a real socket: foreign names always arrive as text."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from agent.model.message import Condition, FromWorker, Identity, Note, Reply, decode_from_worker
from workers.runtime.bus_client import BusClient

HOSTILE = "/x\udcff\x1b[2J"
SHOWN = r"/x\xff\x1b[2J"


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[BusClient, "zmq.Socket[bytes]"]]:
    """A client, and the socket that hears it."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.RCVTIMEO, 10_000)
    router.bind(f"ipc://{tmp_path / 'bus'}")
    client = BusClient(context.socket(zmq.DEALER), str(tmp_path / "bus"), Identity("r", "w", 1))
    yield client, router
    client.close()
    router.close(0)
    context.term()


def _heard(router: "zmq.Socket[bytes]") -> FromWorker:
    return decode_from_worker(router.recv_multipart()[1])


def test_conditions_notes_and_replies_with_hostile_names_arrive(ends: tuple[BusClient, "zmq.Socket[bytes]"]) -> None:
    """A condition is made readable once and so said again to a next supervisor; a reply is at least UTF-8."""
    client, router = ends
    client.condition(Condition("cgroup_tree", active=True, detail=f"{HOSTILE} cannot be listed"))
    client.note(Note("seen", "info", {"path": HOSTILE, "n": 1}))
    client.reply(3, {"path": HOSTILE})
    client.say_again(7)
    said = Condition("cgroup_tree", active=True, detail=f"{SHOWN} cannot be listed")

    assert _heard(router) == said
    assert _heard(router) == Note("seen", "info", {"path": SHOWN, "n": 1})
    assert _heard(router) == Reply(3, {"path": "/x\\xff\x1b[2J"})
    _heard(router)
    assert _heard(router) == said
