"""Sockets whose name cannot be made: a failure that names the path and no bug, so that whoever needs the name tries again."""

from pathlib import Path

import pytest
import zmq

from agent.model.errors import UnavailableError
from supervisor.shell.bus import Bus
from supervisor.shell.residence import Residence
from workers.runtime.data_peer import SocketDataPeer


def test_a_bus_that_cannot_be_bound_is_a_failure_of_the_system(tmp_path: Path) -> None:
    """As on a full file system: an OSError with the name, which the start and the look at the runtime folder know."""
    with pytest.raises(OSError, match=r"No such file or directory: '.*gone/bus\.sock\.a'"):
        Bus(str(tmp_path / "gone" / "bus.sock"), "run")


def test_a_bus_that_cannot_be_made_again_is_told_and_ends_nobody(tmp_path: Path) -> None:
    """Somebody took the name, and a folder is in the way of the next: the look says so, and the supervisor lives."""
    bus = Bus(str(tmp_path / "bus.sock"), "run")
    (tmp_path / "bus.sock").unlink()
    (tmp_path / "bus.sock.b").mkdir()
    seen = Residence([bus], data_path="").look()
    bus.close()
    assert seen.lost == ("bus.sock",)
    assert "cannot be made again" in seen.problem


def test_a_data_socket_that_cannot_be_bound_is_no_bug_of_the_writer(tmp_path: Path) -> None:
    """The writer ends with a sentence, a remedy and the code of what is not available now."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with pytest.raises(UnavailableError, match=r"gone/data\.sock: the data socket cannot be made: .*; make room"):
        SocketDataPeer(context, str(tmp_path / "gone" / "data.sock"))
    context.term()
