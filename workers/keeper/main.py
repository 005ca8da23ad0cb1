"""The keeper's process: one that outlives the agent, and imports little for that.

Started by systemd with a socket, or by worker `workloads` without. It ends by itself when nothing runs and nobody asks.
"""

import os
import resource
import signal
import socket
import sys
from contextlib import suppress

from agent.clock import SystemClock
from agent.kernel_file import read_text
from agent.model.errors import ExitCode
from agent.model.foreign import readable
from agent.prctl import PR_SET_CHILD_SUBREAPER, PR_SET_NAME, prctl
from agent.process_mark import KEEPER_MARK, set_mark
from workers.keeper.adoption import TITLE
from workers.keeper.cgroup_place import find_place
from workers.keeper.connection import ClientConnection
from workers.keeper.keeper import Keeper
from workers.keeper.listener import SOCKET_NAME, accept, inherited_listener, make_listener
from workers.keeper.notes import KeeperNotes
from workers.keeper.poller import DescriptorPoller
from workers.keeper.program import DETACHED
from workers.keeper.workload_folder import WorkloadFolder

# A client that comes back, or a workload that is started again, finds the same keeper.
IDLE_NS = 60_000_000_000
# After a refusal to accept: no descriptor is left, and asking again at once would be a busy loop.
ACCEPT_AGAIN_NS = 1_000_000_000
# What lies beyond the standard streams, and beyond a socket of systemd's, was its starter's.
FIRST_FREE, FIRST_FREE_WITH_SOCKET = 3, 4
DESCRIPTORS_END = 1 << 20
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def run(state_dir: str, cgroup_root: str, idle_ns: int = IDLE_NS) -> ExitCode:
    """Be the keeper of this state folder until told to end, or until nobody needs one."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    _name()
    # Four descriptors for each workload; a workload itself begins with the kernel's own limit.
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    notes = KeeperNotes()
    os.umask(0o077)
    os.chdir("/")
    try:
        folder = WorkloadFolder(os.path.join(state_dir, "workloads"))
        if not folder.lock():
            notes.add(f"{folder.path}: another keeper is at work there")
            return ExitCode.TRY_AGAIN
        place = find_place(cgroup_root, read_text("/proc/self/cgroup", 64 << 10))
        listener = inherited_listener(os.environ)
        is_own = listener is None
        listener = listener or make_listener(folder.descriptor)
        poller = DescriptorPoller()
        clock = SystemClock()
        keeper = Keeper(folder, place, clock, boot_id=read_text(_BOOT_ID, 64).strip(), poller=poller, notes=notes)
        keeper.adopt()
    except OSError as cause:
        notes.add(f"{readable(state_dir)}: {cause.strerror}; give the keeper a state folder that it can write")
        return ExitCode.IO
    loop = KeeperLoop(keeper, listener, poller, clock, idle_ns)
    loop.run()
    keeper.close()
    if is_own:
        with suppress(OSError):
            os.unlink(SOCKET_NAME, dir_fd=folder.descriptor)
    return ExitCode.DONE


def _name() -> None:
    """`ps` shows it among the agent's processes."""
    import ctypes

    name = ctypes.create_string_buffer(TITLE.encode())
    with suppress(OSError):
        prctl(PR_SET_NAME, ctypes.addressof(name))


class KeeperLoop:
    """Clients, signals and the keeper on one poller."""

    def __init__(self, keeper: Keeper, listener: socket.socket, poller: DescriptorPoller, clock: SystemClock, idle_ns: int) -> None:
        self._keeper = keeper
        self._listener = listener
        self._poller = poller
        self._clock = clock
        self._idle_ns = idle_ns
        self._is_told_to_end = False
        self._may_have_orphans = True
        self._accept_at_ns: int | None = None
        self._idle_since_ns: int | None = None
        self._clients = 0

    def run(self) -> None:
        """Until the end."""
        self._listener.setblocking(False)
        self._poller.watch(self._listener.fileno(), lambda _events: self._accept())
        woken = self._hear_signals()
        self._poller.watch(woken.fileno(), lambda _events: self._on_signal(woken))
        while not self._is_told_to_end and not self._is_unneeded():
            if self._may_have_orphans:
                self._may_have_orphans = self._keeper.reap()
            self._poller.turn(self._seconds())
            self._keeper.step()
            if self._accept_at_ns is not None and self._clock.now_ns() >= self._accept_at_ns:
                self._accept_at_ns = None
                self._poller.watch(self._listener.fileno(), lambda _events: self._accept())

    def _hear_signals(self) -> socket.socket:
        woken, waking = socket.socketpair()
        woken.setblocking(False)
        waking.setblocking(False)
        signal.set_wakeup_fd(waking.detach(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_end)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return woken

    def _on_end(self, _number: int, _frame: object) -> None:
        self._is_told_to_end = True

    def _on_signal(self, woken: socket.socket) -> None:
        with suppress(BlockingIOError):
            woken.recv(4096)
        self._may_have_orphans = True

    def _is_unneeded(self) -> bool:
        if not self._keeper.is_idle:
            self._idle_since_ns = None
            return False
        now_ns = self._clock.now_ns()
        if self._idle_since_ns is None:
            self._idle_since_ns = now_ns
        return now_ns - self._idle_since_ns >= self._idle_ns

    def _seconds(self) -> float | None:
        if self._may_have_orphans:
            return 0.0
        wanted = [each for each in (self._keeper.next_deadline_ns(), self._accept_at_ns) if each is not None]
        if self._idle_since_ns is not None:
            wanted.append(self._idle_since_ns + self._idle_ns)
        return None if not wanted else max(0, min(wanted) - self._clock.now_ns()) / 1e9

    def _accept(self) -> None:
        try:
            accept(self._listener, self._add, self._clients)
        except OSError:
            self._accept_at_ns = self._clock.now_ns() + ACCEPT_AGAIN_NS
            self._poller.forget(self._listener.fileno())

    def _add(self, peer: socket.socket) -> None:
        self._clients += 1
        self._keeper.add_client(ClientConnection(peer, self._poller, self._keeper.on_order, self._remove))

    def _remove(self, client: ClientConnection) -> None:
        self._clients -= 1
        self._keeper.remove_client(client)


def main() -> None:
    """As a program: the state folder and the cgroup root are its arguments, and `detached` where its starter is not to be its
    parent."""
    os.closerange(FIRST_FREE_WITH_SOCKET if "LISTEN_FDS" in os.environ else FIRST_FREE, DESCRIPTORS_END)
    # Before it is anybody's orphan: an agent ends those that bear its own mark.
    set_mark(KEEPER_MARK)
    if sys.argv[3:] == [DETACHED] and os.fork() != 0:
        os._exit(0)
    code = run(sys.argv[1], sys.argv[2])
    sys.stderr.flush()
    os._exit(int(code))
