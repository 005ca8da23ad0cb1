"""Recorded exchanges over NRI (`tests/fixtures/nri`), and a session that hears them. PURE but for reading the files."""

import base64
from collections.abc import Iterable
from pathlib import Path

from workers.control_plane.nri.session import PluginSession, SessionEvent, StartRequested

FOLDER = Path(__file__).parents[1] / "fixtures/nri"
RECORDED = ("containerd-1.7.24", "containerd-2.1.9", "nri-0.3.0", "nri-0.10.0", "nri-0.12.5")


def recorded(name: str) -> list[tuple[bool, bytes]]:
    """The reads and writes of an exchange in their order: whether the runtime sent it, and its bytes."""
    lines = (FOLDER / f"{name}.exchange").read_text().splitlines()[1:]
    return [(who == "runtime", base64.b64decode(text)) for who, text in (line.split(" ") for line in lines)]


def sent_by_runtime(name: str) -> bytes:
    """Everything that the runtime sent."""
    return b"".join(data for is_runtime, data in recorded(name) if is_runtime)


def sent_by_plugin(name: str) -> bytes:
    """Everything that the plugin sent."""
    return b"".join(data for is_runtime, data in recorded(name) if not is_runtime)


def hear(pieces: Iterable[bytes]) -> tuple[list[SessionEvent], bytes]:
    """What a new session makes of these pieces when it answers each start at once, and what it sends."""
    session = PluginSession()
    session.begin()
    events: list[SessionEvent] = []
    output = [session.take_output()]
    for piece in pieces:
        for event in session.receive(piece):
            events.append(event)
            if isinstance(event, StartRequested):
                session.answer(event.call)
        output.append(session.take_output())
    return events, b"".join(output)
