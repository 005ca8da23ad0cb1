"""The writer's end of the data socket, behind `agent.ports.DataPeer`."""

import os

import zmq

from agent.model.errors import ProtocolError, UnavailableError
from agent.model.foreign import readable
from agent.model.message import FRAME_BYTES_MAX, DataAck, DataHello, Identity, decode_identity, encode

FRAMES_PER_CALL_MAX = 256


class SocketDataPeer:
    """One ROUTER for all senders. It never blocks: a sender that does not read its answers asks again when it reconnects.

    *Raises:* UnavailableError where the socket cannot be made: no inode, no room, no folder.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str) -> None:
        self.malformed = 0
        self.unsendable = 0
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 200)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.RCVHWM, 64)
        self.socket.setsockopt(zmq.IPC_FILTER_UID, os.geteuid())
        self.socket.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
        try:
            self.socket.bind(f"ipc://{path}")
        except zmq.ZMQError as cause:
            self.socket.close(linger=0)
            remedy = "make room (`df -i` counts inodes) or mend the runtime folder; the writer tries again by itself"
            raise UnavailableError(readable(path), f"the data socket cannot be made: {cause.strerror}", remedy) from cause

    def receive(self) -> tuple[Identity, bytes, bytes] | None:
        """See `agent.ports.DataPeer`."""
        for _ in range(FRAMES_PER_CALL_MAX):
            try:
                frames = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return None
            try:
                who = decode_identity(frames[0])
            except ProtocolError:
                self.malformed += 1
                continue
            if len(frames) not in (2, 3):
                self.malformed += 1
                continue
            return who, frames[1], frames[2] if len(frames) == 3 else b""
        # Nothing but garbage: the loop turns, and takes the rest at its next turn.
        return None

    def send(self, who: Identity, message: DataHello | DataAck) -> None:
        """See `agent.ports.DataPeer`. *Raises:* zmq.ZMQError when the socket itself has failed."""
        try:
            self.socket.send_multipart((who.encode(), encode(message)), zmq.DONTWAIT)
        except zmq.ZMQError as refused:
            # EHOSTUNREACH: gone meanwhile. EAGAIN: does not read. Both ask again with their next connection.
            if refused.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self.unsendable += 1

    def stats(self) -> dict[str, int]:
        """What came to nothing on this socket, for `status` and /metrics."""
        return {"data_malformed": self.malformed, "data_unsendable": self.unsendable}

    def close(self) -> None:
        """End the socket."""
        self.socket.close()
