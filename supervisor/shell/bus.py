"""The supervisor's end of the bus: one ROUTER that never blocks and never drops in silence."""

import os
from collections.abc import Iterator

import zmq

from agent.model.errors import ProtocolError
from agent.model.message import FRAME_BYTES_MAX, Identity, ToWorker, decode_from_worker, decode_identity, encode
from supervisor.core.effect import Said
from supervisor.shell.residence import inode_of, refuse_living

# Few enough that a client of the control socket, whose turn comes after, waits some milliseconds behind a flood.
MESSAGES_PER_TURN_MAX = 64
# Messages that wait for one worker. A snapshot replaces all that came before it, so a small number is enough:
# whoever lets this many pile up is lagging and gets a snapshot when it reads again.
QUEUE_MAX = 64
# By turns.
PASSING = (".a", ".b")


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
        self.path = path
        self._bound_as = ""
        # A dead supervisor's file is replaced; a living one's cannot be, because the runtime folder is locked.
        try:
            self._inode = self._bind()
        except OSError:
            self.close()
            raise
        self.descriptor = self._socket.fileno()

    def is_there(self) -> bool:
        """Whether a new worker finds this bus."""
        return inode_of(self.path) == self._inode

    def make_again(self) -> None:
        """Somebody removed the name: bind once more. Who is connected notices nothing. *Raises:* BusyError, OSError."""
        refuse_living(self.path)
        self._inode = self._bind()

    def _bind(self) -> int:
        """Bind under a passing name and rename it: libzmq removes the name that it knows when it closes a listener, some time
        after it was told to, and must not meet the new one then. Nobody else reaches it: the daemon's umask is 077 from its
        first line on (changing it here would change it for all threads). *Raises:* OSError."""
        former, passing = self._bound_as, self.path + PASSING[self._bound_as.endswith(PASSING[0])]
        try:
            self._socket.bind(f"ipc://{passing}")
        except zmq.ZMQError as cause:
            # What a full disk or a lost folder is to every other file: no bug, and `residence` knows what to do.
            raise OSError(cause.errno, os.strerror(cause.errno or 0), passing) from cause
        self._bound_as = passing
        inode = os.lstat(passing).st_ino
        os.rename(passing, self.path)
        if former:
            self._socket.unbind(f"ipc://{former}")
        return inode

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
