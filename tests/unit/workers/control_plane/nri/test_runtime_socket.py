"""The path of a runtime's socket: what is there, and what connecting to it comes to."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.waiting import wait_until

from workers.control_plane.nri.runtime_socket import ADDRESS_BYTES_MAX, RuntimeSocket


@contextmanager
def _listening(path: Path, backlog: int = 8) -> Iterator[None]:
    """A runtime that accepts nobody. Its address is short whatever the path."""
    descriptor = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(f"/proc/self/fd/{descriptor}/{path.name}")
        finally:
            os.close(descriptor)
        listener.listen(backlog)
        yield


def _stamp_ns(path: Path) -> int:
    path.unlink(missing_ok=True)
    path.touch()
    return path.stat().st_ctime_ns


def _sentence(runtime_socket: RuntimeSocket) -> str:
    found = runtime_socket.connect()
    assert isinstance(found, str)
    return found


def test_a_new_socket_at_the_path_is_seen_as_another_one(tmp_path: Path) -> None:
    """A runtime that restarts makes a new one; nothing there is nothing."""
    path = tmp_path / "nri.sock"
    runtime_socket = RuntimeSocket(str(path), lambda: "")
    assert runtime_socket.look() is None
    with _listening(path):
        first = runtime_socket.look()
    path.unlink()
    # It may get the number of the one before, and the clock that files are stamped with goes on in steps of milliseconds.
    assert first is not None
    wait_until(lambda: _stamp_ns(tmp_path / "clock") > first[2], "a later stamp")
    with _listening(path):
        assert None is not first != runtime_socket.look()


@pytest.mark.parametrize("length", [8, 2 * ADDRESS_BYTES_MAX])
def test_a_runtime_is_connected_to_however_long_the_path_is(tmp_path: Path, length: int) -> None:
    """An address of a socket holds 107 bytes; a path may be longer. No descriptor stays."""
    folder = tmp_path / ("x" * length)
    folder.mkdir()
    before = set(os.listdir("/proc/self/fd"))
    with _listening(folder / "nri.sock"):
        stream = RuntimeSocket(str(folder / "nri.sock")).connect()
        assert not isinstance(stream, str)
        with stream:
            assert not stream.getblocking()
    assert set(os.listdir("/proc/self/fd")) == before


def test_each_failure_to_connect_has_its_sentence(tmp_path: Path) -> None:
    """A file that is no socket, one that nobody listens at, a full queue, nothing at all, no path."""
    plain, left = tmp_path / "plain", tmp_path / "left"
    plain.touch()
    with _listening(left):
        pass
    assert "this is no stream socket" in _sentence(RuntimeSocket(str(plain)))
    assert "nobody listens" in _sentence(RuntimeSocket(str(left)))
    assert "there is no NRI socket" in _sentence(RuntimeSocket(str(tmp_path / "none")))
    assert "this is no path of a socket" in _sentence(RuntimeSocket("a\0" + "/b" * ADDRESS_BYTES_MAX))
    with _listening(tmp_path / "full", backlog=0):
        runtime_socket = RuntimeSocket(str(tmp_path / "full"))
        first = runtime_socket.connect()
        assert not isinstance(first, str)
        with first:
            assert "accepts no more connections" in _sentence(runtime_socket)


def test_what_may_not_be_looked_at_is_there(tmp_path: Path) -> None:
    """Connecting then says why; a loop of links and a path that is none stand for it."""
    (tmp_path / "loop").symlink_to("loop")
    assert RuntimeSocket(str(tmp_path / "loop")).look() is not None
    assert RuntimeSocket("a\0b").look() is not None


def test_where_there_is_no_socket_the_runtime_that_is_there_is_named() -> None:
    """Its remedy differs."""
    assert "containerd is there and NRI is switched off" in RuntimeSocket("/x", lambda: "containerd").absent_sentence()
    assert "there is no NRI socket" in RuntimeSocket("/x", lambda: "").absent_sentence()
