"""Serves a tree over the raw FUSE device: reads requests, dispatches them, sends answers, one at a time.

It implements the protocol and no rule of resctrl; docs/decisions/0031 says why it is our own. *Source:* fuse(4), linux/fuse.h.
"""

import os
from collections.abc import Callable
from errno import EACCES, EINTR, EINVAL, EIO, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP, EPERM

from workers.resctrl.emulator import fuse_protocol as wire
from workers.resctrl.emulator.fuse_delay import Delays, HeldRequests
from workers.resctrl.emulator.fuse_file import FileRequests
from workers.resctrl.emulator.fuse_name import NameRequests
from workers.resctrl.emulator.fuse_node import Nodes
from workers.resctrl.emulator.fuse_request import Handler, RequestTime
from workers.resctrl.emulator.ports import Caller, Tree

# What kernfs, on which resctrl is built, answers to what it does not have. After ENOSYS the kernel would never ask again.
_REFUSED = {
    wire.READLINK: EINVAL,
    wire.SYMLINK: EPERM,
    wire.MKNOD: EPERM,
    wire.UNLINK: EPERM,
    wire.LINK: EPERM,
    wire.CREATE: EACCES,
    wire.RENAME2: EINVAL,
    wire.TMPFILE: EOPNOTSUPP,
}
# After an answer the next request is polled for POLL_NS; after BURST_NS at the latest the caller's other work gets its turn.
POLL_NS = 40_000
BURST_NS = 5_000_000


class FuseSession:
    """One mount. `device` is the open /dev/fuse that it was mounted with, non-blocking.

    `clock_ns` is CLOCK_MONOTONIC. `settle` is called before anything that depends on threads. `delays` decides which answers
    are held back while other requests are served. `valid_ns`: how long the kernel may keep names and attributes that it was
    told. `read_cost_ns`: how long each evaluation of a file blocks all requests.
    """

    def __init__(
        self,
        device: int,
        tree: Tree,
        clock_ns: Callable[[], int],
        settle: Callable[[], None],
        *,
        delays: Delays | None = None,
        valid_ns: int = 0,
        read_cost_ns: int = 0,
    ) -> None:
        self._device = device
        self._delays = delays
        self._at = RequestTime(clock_ns, settle)
        self._nodes = Nodes()
        self._files = FileRequests(tree, self._nodes, self._at, read_cost_ns)
        self._held = HeldRequests()
        self.requests = 0
        self._handlers: dict[int, Handler] = {
            **NameRequests(tree, self._nodes, self._at, valid_ns).handlers,
            **self._files.handlers,
            wire.FSYNC: self._accept,
            wire.DESTROY: self._accept,
            wire.INTERRUPT: self._interrupt,
            wire.INIT: self._init,
        }

    @property
    def reads(self) -> int:
        """How many reads were answered."""
        return self._files.reads

    def stats(self) -> dict[str, int]:
        """Numbers of this session, for measurements."""
        return {
            "requests": self.requests,
            "reads": self.reads,
            "open_files": len(self._files),
            "known_nodes": len(self._nodes),
            "held_answers": len(self._held),
        }

    def forget_path(self, path: str) -> None:
        """Something other than a request has removed what was at this path."""
        self._nodes.forget_below(path)

    def serve(self) -> bool:
        """Answers what has been asked; False: the mount is gone. *Raises:* OSError when the device fails otherwise.

        A caller that reads many files asks again within microseconds. Polling for its next request for a moment costs less than
        sleeping and waking up: on a virtual machine a read is then four times as fast, and both sides use less CPU.
        """
        clock_ns, device, at, answer_one = self._at.clock_ns, self._device, self._at, self._answer_one
        now_ns = clock_ns()
        leave_ns, end_ns = now_ns + POLL_NS, now_ns + BURST_NS
        while now_ns < leave_ns:
            try:
                request = os.read(device, wire.REQUEST_BYTES_MAX)
            except BlockingIOError:
                now_ns = clock_ns()
                continue
            except OSError as failure:
                # ENOENT: a request was withdrawn between its announcement and this read.
                if failure.errno not in (EINTR, ENOENT):
                    if failure.errno == ENODEV:
                        return False
                    raise
            else:
                at.now_ns = clock_ns()
                answer_one(request)
            now_ns = clock_ns()
            leave_ns = min(now_ns + POLL_NS, end_ns)
        return True

    def _answer_one(self, request: bytes) -> None:
        self.requests += 1
        if self._delays is not None and self._delays.delays and self._hold(request):
            return
        # READ comes thousands of times a second and does not go through the table of handlers.
        if request[4] == wire.READ:
            self._send(self._files.answer_read(*wire.READ_HEAD.unpack_from(request)))
        else:
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        length, opcode, unique, node, uid, gid, thread_id, _, _ = wire.HEAD.unpack_from(request)
        handler = self._handlers.get(opcode)
        if handler is None:
            self._send(wire.refusal(unique, _REFUSED.get(opcode, ENOSYS)))
            return
        try:
            answer = handler(unique, node, Caller(thread_id, uid, gid), request[wire.HEAD.size : length])
        except OSError as failure:
            answer = wire.refusal(unique, failure.errno or EIO)
        if answer is not None:
            self._send(answer)

    def _send(self, answer: bytes) -> None:
        try:
            os.write(self._device, answer)
        except OSError as failure:
            # ENOENT: the caller has been interrupted. ENODEV: the mount is gone; the next read says so.
            if failure.errno not in (ENOENT, ENODEV):
                raise

    def _init(self, unique: int, _node: int, _caller: Caller, body: bytes) -> bytes:
        _, minor = wire.TWO_WORDS.unpack_from(body)
        flags = wire.BIG_WRITES | wire.PARALLEL_DIROPS
        answer = wire.INIT_OUT.pack(wire.MAJOR, min(minor, wire.MINOR), 0, flags, 0, 0, wire.WRITE_BYTES_MAX, 1)
        return wire.reply(unique, answer)

    def _accept(self, unique: int, _node: int, _caller: Caller, _body: bytes) -> bytes:
        return wire.reply(unique)

    # ---- answers that are held back ------------------------------------------------------------

    def next_due_ns(self) -> int | None:
        """When the next answer that is held back is due. *Absent:* None when there is none."""
        return self._held.next_due_ns()

    def send_due(self, now_ns: int) -> None:
        """Evaluates and sends the answers that are due."""
        self._at.now_ns = now_ns
        while (request := self._held.take_due(now_ns)) is not None:
            self._answer(request)

    def _hold(self, request: bytes) -> bool:
        assert self._delays is not None
        operation, path = self._meaning(request)
        delay_ns = self._delays.delay_ns(operation, path, self._at.now_ns) if operation else 0
        if delay_ns:
            self._held.hold(self._at.now_ns + delay_ns, wire.HEAD.unpack_from(request)[2], request)
        return bool(delay_ns)

    def _meaning(self, request: bytes) -> tuple[str, str]:
        """The operation and path of a request, for rules about them; two empty words if no rule applies."""
        _, opcode, _, node, *_ = wire.HEAD.unpack_from(request)
        try:
            if opcode in (wire.READ, wire.WRITE):
                path = self._files.path_of(wire.HANDLE.unpack_from(request, wire.HEAD.size)[0])
                return ("", "") if path is None else ("read" if opcode == wire.READ else "write", path)
            if opcode == wire.MKDIR:
                return "mkdir", self._nodes.child(node, wire.text_of(request[wire.HEAD.size + wire.TWO_WORDS.size :]))
            if opcode == wire.RMDIR:
                return "rmdir", self._nodes.child(node, wire.text_of(request[wire.HEAD.size :]))
            if opcode == wire.RENAME:
                return "rename", self._nodes.child(node, wire.text_of(request[wire.HEAD.size + wire.RENAME_IN.size :]))
            if opcode == wire.OPEN:
                return "open", self._nodes.path(node)
        except OSError:
            # The node is gone, so there is nothing to delay.
            return "", ""
        return "", ""

    def _interrupt(self, _unique: int, _node: int, _caller: Caller, body: bytes) -> None:
        """A signal reached a caller. If its answer is held back it gets EINTR; any other answer has been sent already."""
        (target,) = wire.HANDLE.unpack_from(body)
        if self._held.drop(target):
            self._send(wire.refusal(target, EINTR))
