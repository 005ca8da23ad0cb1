"""The supervisor's end of the bus: one ROUTER that never blocks and never drops a message unnoticed."""

import os
import string
from collections.abc import Iterator

import zmq

from agent.model.errors import ProtocolError
from agent.model.message import FRAME_BYTES_MAX, Identity, ToWorker, decode_from_worker, decode_identity, encode
from supervisor.core.effect import MessageReceived
from supervisor.shell.runtime_names import inode_of, refuse_living

# Few enough that a client of the control socket, which is served after them, waits only some milliseconds in a flood.
MESSAGES_PER_TURN_MAX = 64
# Messages that wait for one worker. A snapshot replaces all that came before it, so a small number is enough:
# a worker that has this many waiting lags behind, and gets a snapshot when it reads again.
QUEUE_MAX = 64
# What follows the bus's own name while it is bound: one of these, in turn.
SUFFIXES = string.ascii_letters + string.digits
# Fewer than there are such names: two for each of some ten workers are needed.
LISTENERS_MAX = 32
# A process that may connect can call itself by any name; at most this many are remembered.
CHILDREN_MAX = 64


class BusRouter:
    """Messages from and to the workers of one run. Frames of other runs, and malformed ones, are counted.

    *Raises:* OSError, zmq.ZMQError where it cannot listen at `path`.
    """

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
        # Every listener that is kept: its number, and the name it was bound to. The present one has the highest number.
        self._listeners: dict[int, str] = {}
        self._number = 0
        # For each worker, its epoch and the listener that accepted it.
        self._came_through: dict[str, tuple[int, int]] = {}
        # A dead supervisor's file is replaced; it cannot be a living one's, because the runtime folder is locked.
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
        """The name was removed: bind again. Connected workers notice nothing. *Raises:* BusyError, OSError."""
        refuse_living(self.path)
        self._inode = self._bind()
        self._close_listeners()

    def _bind(self) -> int:
        """Bind under a temporary name and rename it. *Raises:* OSError.

        libzmq removes the name that it knows when it closes a listener, some time after it was told to, and must not remove
        the new one then. No other user reaches it: the daemon's umask is 077 from its first line on (changing it here would
        change it for all threads).
        """
        number, temporary = self._number + 1, self._next_temporary()
        try:
            self._socket.bind(f"ipc://{temporary}")
        except zmq.ZMQError as cause:
            # A full disk or a lost folder, as for every other file: `runtime_names` handles it.
            raise OSError(cause.errno, os.strerror(cause.errno or 0), temporary) from cause
        self._number = number
        self._listeners[number] = temporary
        inode = os.lstat(temporary).st_ino
        os.rename(temporary, self.path)
        return inode

    def _next_temporary(self) -> str:
        """A name that no listener has, the longest unused first: libzmq may still be removing that of a closing listener."""
        names = [f"{self.path}.{SUFFIXES[(self._number + turn) % len(SUFFIXES)]}" for turn in range(len(SUFFIXES))]
        return next(name for name in names if name not in self._listeners.values())

    def _note_listener(self, who: Identity) -> None:
        epoch, _number = self._came_through.get(who.worker, (0, 0))
        if epoch < who.epoch and (epoch or len(self._came_through) < CHILDREN_MAX):
            self._came_through[who.worker] = (who.epoch, self._number)

    def _close_listeners(self) -> None:
        """Close listeners that accepted no living worker: with a listener libzmq (4.3) ends the connections that it accepted,
        and does not tell the other side."""
        # A worker may have connected just before a name was removed, and been heard after it.
        needed = {self._number, self._number - 1}
        for _epoch, number in self._came_through.values():
            needed |= {number, number - 1}
        for number in self._listeners.keys() - set(sorted(needed)[-LISTENERS_MAX:]):
            self._socket.unbind(f"ipc://{self._listeners.pop(number)}")

    def has_more(self) -> bool:
        """Whether a message can be received. The descriptor shows changes only, so this must be asked before waiting."""
        return bool(int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN)

    def receive(self) -> Iterator[MessageReceived]:
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
                said = MessageReceived(who.worker, who.epoch, decode_from_worker(frames[1]))
                self._note_listener(who)
                yield said
            except ProtocolError:
                self.malformed += 1

    def send(self, child: str, epoch: int, message: ToWorker) -> bool:
        """Send without waiting; False when the worker is not connected or does not drain its socket. *Raises:* zmq.ZMQError."""
        assert epoch > 0, epoch
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
