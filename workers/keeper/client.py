"""A worker's way to the keeper: connects, starts one where none runs and systemd is not its starter, and never waits.

Its owner hands it the descriptors and the time of its own loop (`agent.ports.Work`). After each new connection the owner asks
for the list again: what was sent before may have been lost with the connection.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import ECONNREFUSED, ENOENT

import msgspec

from agent.kernel_file import read_text
from agent.model.foreign import readable
from agent.ports import Interest
from workers.keeper.listener import SOCKET_NAME
from workers.keeper.program import start_detached
from workers.keeper.protocol import FromKeeper, ToKeeper

READ_BYTES = 256 << 10
AGAIN_NS_MIN, AGAIN_NS_MAX = 50_000_000, 5_000_000_000
# A started keeper listens after some 100 ms, on a busy machine later, and somebody waits for the workload: it is looked for so
# often, for so long.
STARTING_AGAIN_NS, STARTING_NS = 10_000_000, 2_000_000_000
# One that was started is given this long to listen before another is started; the second would meet the first one's lock.
START_AGAIN_NS = 10_000_000_000
# All records of a keeper in one line. A keeper that sends more is none.
LINE_BYTES_MAX = 128 << 20
WAITING_BYTES_MAX = 64 << 20
# Under systemd the agent's own unit confines what it starts.
AGENT_SERVICE = "evergauge.service"

Start = Callable[[str, str], int]


class KeeperClient:
    """One connection to the keeper of a state folder, made again when it ends."""

    def __init__(self, state_dir: str, cgroup_root: str, *, may_start: bool | None = None, start: Start = start_detached) -> None:
        self._state_dir = state_dir
        self._cgroup_root = cgroup_root
        self._may_start = not is_started_by_systemd() if may_start is None else may_start
        self._start = start
        self._peer: socket.socket | None = None
        self._came = bytearray()
        self._searched = 0
        self._waiting = bytearray()
        self._messages: deque[FromKeeper] = deque()
        self._decoder: msgspec.json.Decoder[FromKeeper] = msgspec.json.Decoder(FromKeeper)
        self._encoder = msgspec.json.Encoder()
        self._connect_at_ns: int | None = 0
        self._pause_ns = AGAIN_NS_MIN
        self._started_at_ns: int | None = None
        self._starter: int | None = None
        # How often it has connected: the owner lists again when this changes.
        self.connections = 0
        # Why it is not connected; empty while it is.
        self.problem = "it has not yet been asked"

    @property
    def is_connected(self) -> bool:
        """Whether a keeper is at the other end."""
        return self._peer is not None

    def send(self, order: ToKeeper) -> bool:
        """Send an order as soon as the keeper takes it. False: there is no connection, or the keeper does not read."""
        if self._peer is None or len(self._waiting) > WAITING_BYTES_MAX:
            return False
        self._waiting += self._encoder.encode(order)
        self._waiting += b"\n"
        self._flush()
        return True

    def take(self) -> Sequence[FromKeeper]:
        """What the keeper has said since the last call."""
        messages = tuple(self._messages)
        self._messages.clear()
        return messages

    def interests(self) -> tuple[Interest, ...]:
        """For `agent.ports.Work.interests`."""
        if self._peer is None:
            return ()
        return (Interest(self._peer.fileno(), readable=True, writable=bool(self._waiting)),)

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` wants to be called. None: never."""
        return self._connect_at_ns

    def on_timer(self, now_ns: int) -> None:
        """Connect, where it is time for that."""
        self._wait_for_starter()
        if self._connect_at_ns is None or now_ns < self._connect_at_ns:
            return
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.setblocking(False)
        try:
            self._connect(peer)
        except OSError as cause:
            peer.close()
            self._on_refused(cause, now_ns)
            return
        self._peer = peer
        self._connect_at_ns = None
        self._pause_ns = AGAIN_NS_MIN
        self._started_at_ns = None
        self.connections += 1
        self.problem = ""

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Read what has come."""
        if self._peer is None or descriptor != self._peer.fileno():
            return
        try:
            data = self._peer.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as cause:
            self._lose(f"the keeper's connection broke: {cause.strerror}", now_ns)
            return
        if not data:
            self._lose("the keeper has ended", now_ns)
            return
        self._came += data
        self._take_lines(now_ns)

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """Write what waits."""
        if self._peer is not None and descriptor == self._peer.fileno():
            self._flush()

    def close(self) -> None:
        """Let the keeper go; it lives on."""
        self._wait_for_starter()
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        self._connect_at_ns = None

    def _connect(self, peer: socket.socket) -> None:
        # By a descriptor, since the folder's own path may be longer than a socket's address.
        folder = os.open(os.path.join(self._state_dir, "workloads"), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            peer.connect(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
        finally:
            os.close(folder)

    def _on_refused(self, cause: OSError, now_ns: int) -> None:
        if self._started_at_ns is not None and now_ns - self._started_at_ns < STARTING_NS:
            self._connect_at_ns = now_ns + STARTING_AGAIN_NS
            return
        self._connect_at_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, AGAIN_NS_MAX)
        if cause.errno not in (ENOENT, ECONNREFUSED):
            self.problem = f"the keeper cannot be reached: {cause.strerror}"
        elif not self._may_start:
            self.problem = "no keeper runs; systemctl start evergauge-keeper.socket"
        elif self._started_at_ns is None or now_ns - self._started_at_ns >= START_AGAIN_NS:
            self.problem = "no keeper runs; one is being started"
            self._started_at_ns = now_ns
            self._connect_at_ns = now_ns + STARTING_AGAIN_NS
            self._pause_ns = AGAIN_NS_MIN
            try:
                self._starter = self._start(self._state_dir, self._cgroup_root)
            except OSError as refused:
                self.problem = f"no keeper runs, and none can be started: {refused.strerror}"

    def _wait_for_starter(self) -> None:
        if self._starter is None:
            return
        with suppress(ChildProcessError):
            if os.waitpid(self._starter, os.WNOHANG) == (0, 0):
                return
        self._starter = None

    def _take_lines(self, now_ns: int) -> None:
        begin = 0
        while (end := self._came.find(b"\n", max(begin, self._searched))) >= 0:
            try:
                self._messages.append(self._decoder.decode(bytes(self._came[begin:end])))
            except (msgspec.DecodeError, UnicodeDecodeError) as cause:
                # A later keeper may say more than this client knows; what it knows it still hears.
                self.problem = f"the keeper said what is not understood: {readable(str(cause), 200)}"
            begin = end + 1
        del self._came[:begin]
        self._searched = len(self._came)
        if len(self._came) > LINE_BYTES_MAX:
            self._lose("the keeper's line has no end", now_ns)

    def _flush(self) -> None:
        assert self._peer is not None
        try:
            while self._waiting:
                del self._waiting[: self._peer.send(self._waiting[:READ_BYTES])]
        except BlockingIOError:
            pass
        except OSError:
            # Reading tells it too, with the time.
            self._waiting.clear()

    def _lose(self, problem: str, now_ns: int) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer = None
        self._came.clear()
        self._searched = 0
        self._waiting.clear()
        self._connect_at_ns = now_ns
        self.problem = problem


def is_started_by_systemd() -> bool:
    """Whether this process belongs to the agent's service, beside which systemd starts the keeper."""
    try:
        return f"/{AGENT_SERVICE}" in read_text("/proc/self/cgroup", 64 << 10)
    except OSError:
        return False
