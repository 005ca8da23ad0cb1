"""The supervisor's end of the bus: one ROUTER that never blocks and never drops in silence."""

import os
from collections.abc import Iterator

import zmq

from agent.model.errors import ProtocolError
from agent.model.message import FRAME_BYTES_MAX, Identity, ToWorker, decode_from_worker, decode_identity, encode
from supervisor.core.effect import Said

# Few enough that a client of the control socket, whose turn comes after, waits some milliseconds behind a flood.
MESSAGES_PER_TURN_MAX = 64
# Messages that wait for one worker. A snapshot replaces all that came before it, so a small number is enough:
# whoever lets this many pile up is lagging and gets a snapshot when it reads again.
QUEUE_MAX = 64


class Bus:
    """Messages from and to the workers of one run; frames of other runs, and malformed ones, are counted."""

    def __init__(self, path: str, run: str) -> None:
        self._run = run
        self.malformed = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.SNDHWM, QUEUE_MAX)
        self._socket.setsockopt(zmq.RCVHWM, QUEUE_MAX)
        self._socket.setsockopt(zmq.IPC_FILTER_UID, os.geteuid())
        self._socket.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
        # A dead supervisor's file is replaced; a living one's cannot be, because the runtime folder is locked. Nobody else
        # reaches it: the daemon's umask is 077 from its first line on (changing it here would change it for all threads).
        self._socket.bind(f"ipc://{path}")
        self.descriptor = self._socket.fileno()

    def has_more(self) -> bool:
        """Whether a message can be received. The descriptor only tells of changes, so this must be asked before waiting."""
        return bool(int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN)

    def receive(self) -> Iterator[Said]:
        """Messages that have arrived, up to a bound per turn."""
        for _ in range(MESSAGES_PER_TURN_MAX):
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                who = decode_identity(frames[0])
                if len(frames) != 2 or who.run != self._run:
                    raise ProtocolError("bus", "not a message of this run")
                yield Said(who.worker, who.epoch, decode_from_worker(frames[1]))
            except ProtocolError:
                self.malformed += 1

    def send(self, child: str, epoch: int, message: ToWorker) -> bool:
        """Send without waiting; False when the worker is not connected or does not drain its socket."""
        try:
            self._socket.send_multipart((Identity(self._run, child, epoch).encode(), encode(message)), zmq.DONTWAIT)
        except zmq.ZMQError as refused:
            if refused.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        return True

    def close(self) -> None:
        """End the socket and its threads."""
        self._socket.close(0)
        self._context.term()
