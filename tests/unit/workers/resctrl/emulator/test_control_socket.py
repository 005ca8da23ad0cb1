"""The control socket: lines in, lines out, and what happens to the socket file."""

import json
import os
import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.model.errors import ConfigError, StorageError
from workers.resctrl.emulator.control_socket import LINE_BYTES_MAX, EmulatorSocket


def echo(document: dict[str, object]) -> dict[str, object]:
    """What was said, or the failure that was asked for."""
    if document.get("do") == "misuse":
        raise ConfigError("a", "no such thing", "write b")
    if document.get("do") == "refuse":
        raise FileNotFoundError(2, "No such file or directory")
    return {"said": document}


@pytest.fixture
def control(tmp_path: Path) -> Iterator[EmulatorSocket]:
    """A control socket that echoes."""
    control = EmulatorSocket(str(tmp_path / "c.sock"), echo)
    yield control
    control.close()


def turn(control: EmulatorSocket) -> None:
    """What the loop does once, when something is ready."""
    poll = select.poll()
    for descriptor, mask in control.interests().items():
        poll.register(descriptor, mask)
    for descriptor, _ in poll.poll(0):
        control.on_ready(descriptor)


def connect(tmp_path: Path) -> socket.socket:
    """A client."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(tmp_path / "c.sock"))
    return client


def ask(control: EmulatorSocket, client: socket.socket, line: bytes) -> dict[str, object]:
    """One line and the answer to it."""
    client.sendall(line + b"\n")
    for _ in range(4):
        turn(control)
    answer = json.loads(client.recv(1 << 16))
    assert isinstance(answer, dict)
    return answer


def test_each_line_is_answered(control: EmulatorSocket, tmp_path: Path) -> None:
    """A document is answered by what it gave, and every kind of failure by a problem, after which one can go on."""
    with connect(tmp_path) as client:
        turn(control)
        assert ask(control, client, b'{"do": "x"}') == {"said": {"do": "x"}}
        assert ask(control, client, b'{"do": "misuse"}') == {"problem": "a: no such thing; write b"}
        assert "No such file" in str(ask(control, client, b'{"do": "refuse"}')["problem"])
        assert "not JSON" in str(ask(control, client, b"{")["problem"])
        assert "not JSON" in str(ask(control, client, b"\xff")["problem"])
        assert "object" in str(ask(control, client, b"[1]")["problem"])
        assert ask(control, client, b'{"do": "y"}') == {"said": {"do": "y"}}


def test_lines_may_come_in_pieces_and_together(control: EmulatorSocket, tmp_path: Path) -> None:
    """Half a line waits for its rest; two lines in one piece are two answers."""
    with connect(tmp_path) as client:
        turn(control)
        client.sendall(b'{"a"')
        turn(control)
        client.sendall(b': 1}\n{"b": 2}\n')
        turn(control)
        answers = client.recv(1 << 16).splitlines()
        assert [json.loads(answer) for answer in answers] == [{"said": {"a": 1}}, {"said": {"b": 2}}]


def test_who_writes_no_end_of_line_is_let_go(control: EmulatorSocket, tmp_path: Path) -> None:
    """A line that is longer than any document ends the conversation instead of filling the memory."""
    with connect(tmp_path) as client, connect(tmp_path) as other:
        for _ in range(2):
            turn(control)
        client.setblocking(False)
        for _ in range(LINE_BYTES_MAX // 1024 + 8):
            with suppress(BlockingIOError, BrokenPipeError):
                client.send(bytes(1024))
            turn(control)
        assert len(control.interests()) == 2
        assert ask(control, other, b"{}") == {"said": {}}


def test_who_does_not_read_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A long answer is sent as the reader takes it, and others are answered meanwhile."""
    control = EmulatorSocket(str(tmp_path / "c.sock"), lambda document: {"long": "x" * 4_000_000})
    try:
        with connect(tmp_path) as slow, connect(tmp_path) as other:
            for _ in range(2):
                turn(control)
            slow.sendall(b"{}\n")
            for _ in range(10):
                turn(control)
            other.sendall(b"{\n")
            turn(control)
            assert b"not JSON" in other.recv(1000)
            taken = b""
            while not taken.endswith(b"\n"):
                turn(control)
                taken += slow.recv(1 << 20)
            assert len(json.loads(taken)["long"]) == 4_000_000
    finally:
        control.close()


def test_only_its_user_may_connect_and_it_is_taken_away(tmp_path: Path) -> None:
    """The socket's mode lets nobody else in, and closing removes it."""
    control = EmulatorSocket(str(tmp_path / "c.sock"), echo)
    assert (tmp_path / "c.sock").stat().st_mode & 0o777 == 0o600
    control.close()
    assert list(tmp_path.iterdir()) == []


def test_a_socket_left_by_a_killed_emulator_is_taken_over(tmp_path: Path) -> None:
    """What nobody listens at is replaced; one that is in use, or no socket at all, is not touched."""
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "c.sock"))
    stale.close()
    control = EmulatorSocket(str(tmp_path / "c.sock"), echo)
    with pytest.raises(StorageError, match="cannot be made"):
        EmulatorSocket(str(tmp_path / "c.sock"), echo)
    with connect(tmp_path) as client:
        for _ in range(2):
            turn(control)
        assert ask(control, client, b"{}") == {"said": {}}
    control.close()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StorageError):
        EmulatorSocket(str(tmp_path / "file"), echo)
    assert (tmp_path / "file").read_text() == "kept"
    assert os.listdir(tmp_path) == ["file"]
