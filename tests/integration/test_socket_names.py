"""Sockets whose name cannot be made: a failure that names the path and no bug, so that the caller tries again."""

import os
from pathlib import Path

import pytest
import zmq
from harness.waiting import DEADLINE_SECONDS, wait_until

from agent.model.errors import UnavailableError
from agent.model.message import Hello, Identity, Stop, decode_to_worker, encode
from supervisor.shell.bus import SUFFIXES, BusRouter
from supervisor.shell.runtime_names import RuntimeNames
from workers.runtime.data_peer import SocketDataPeer

# Two for each of two workers, and whatever libzmq has not closed yet.
LISTENERS_AND_CLOSING_ONES_MAX = 12


def test_a_bus_that_cannot_be_bound_is_a_failure_of_the_system(tmp_path: Path) -> None:
    """As on a full file system: an OSError with the name, which the start and the look at the runtime folder know."""
    with pytest.raises(OSError, match=r"No such file or directory: '.*gone/bus\.sock\.a'"):
        BusRouter(str(tmp_path / "gone" / "bus.sock"), "run")


def test_who_is_connected_to_the_bus_stays_so_however_often_its_name_is_removed(tmp_path: Path) -> None:
    """A word that is under way at that moment arrives; listeners that no worker came through are closed."""
    bus = BusRouter(str(tmp_path / "bus.sock"), "run")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    steady = _come(bus, context, "steady", 1)
    passing = _come(bus, context, "passing", 1)
    first = 0
    for epoch in range(2, 2 * len(SUFFIXES)):
        (tmp_path / "bus.sock").unlink()
        bus.make_again()
        passing.close()
        # The thread of libzmq that would break the connection has run before the next one is heard.
        passing = _come(bus, context, "passing", epoch)
        word = Stop(epoch, for_good=True)
        assert bus.send("steady", 1, word)
        assert steady.poll(int(DEADLINE_SECONDS * 1000))
        assert decode_to_worker(steady.recv()) == word
        assert os.listdir(tmp_path) == ["bus.sock"]
        # The threads of libzmq that close the others may get a processor later.
        first = first or len(os.listdir("/proc/self/fd"))
        most = first + LISTENERS_AND_CLOSING_ONES_MAX
        wait_until(lambda most=most: len(os.listdir("/proc/self/fd")) <= most, "no more are open")  # type: ignore[misc]
    passing.close()
    steady.close()
    context.term()
    bus.close()


def _come(bus: BusRouter, context: zmq.Context[zmq.Socket[bytes]], child: str, epoch: int) -> zmq.Socket[bytes]:
    """Connect as this generation of a worker, and be heard."""
    peer = context.socket(zmq.DEALER)
    peer.setsockopt(zmq.IDENTITY, Identity("run", child, epoch).encode())
    peer.setsockopt(zmq.LINGER, 0)
    peer.connect(f"ipc://{bus.path}")
    peer.send(encode(Hello(1)))
    wait_until(lambda: list(bus.receive()), "it is connected")
    return peer


def test_a_bus_that_cannot_be_made_again_is_told_and_ends_nobody(tmp_path: Path) -> None:
    """Somebody took the name, and a folder is in the way of the next: the look says so, and the supervisor lives."""
    bus = BusRouter(str(tmp_path / "bus.sock"), "run")
    (tmp_path / "bus.sock").unlink()
    (tmp_path / "bus.sock.b").mkdir()
    seen = RuntimeNames([bus], data_path="").look()
    bus.close()
    assert seen.lost == ("bus.sock",)
    assert "cannot be made again" in seen.problem


def test_a_data_socket_that_cannot_be_bound_is_no_bug_of_the_writer(tmp_path: Path) -> None:
    """The writer ends with a sentence, a remedy and the code of what is not available now."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with pytest.raises(UnavailableError, match=r"gone/data\.sock: the data socket cannot be made: .*; make room"):
        SocketDataPeer(context, str(tmp_path / "gone" / "data.sock"))
    context.term()
