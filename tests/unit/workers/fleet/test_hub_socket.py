"""The connection to a hub where it cannot be made."""

import pytest
import zmq

from agent.fleet.joined import JoinedHub
from workers.fleet.hub_socket import HubSocket


def test_a_socket_that_cannot_be_made_is_an_error_of_the_system() -> None:
    """Callers say so and try again; an error of ZeroMQ would end their process."""
    keys = tuple(b"k" * 32 for _ in range(3))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for endpoint in ("tcp://:::", "nonsense://hub"):
            with pytest.raises(OSError, match=r"."):
                HubSocket(context, JoinedHub("hub", endpoint, *keys))
        context.set(zmq.MAX_SOCKETS, 1)
    finally:
        context.term()
    small: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    small.set(zmq.MAX_SOCKETS, 1)
    held = small.socket(zmq.DEALER)
    try:
        with pytest.raises(OSError, match="open files"):
            HubSocket(small, JoinedHub("hub", "tcp://127.0.0.1:1", *keys))
    finally:
        held.close(linger=0)
        small.term()
