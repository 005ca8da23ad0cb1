"""A tree served over the raw FUSE device: requests in, answers out, one at a time. It knows the protocol and no rule of resctrl."""

import os
import time
from collections.abc import Callable
from errno import EACCES, EBADF, EINTR, EINVAL, EIO, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP, EPERM
from itertools import count

from workers.resctrl.emulator import fuse_protocol as wire
from workers.resctrl.emulator.fuse_delay import Delays, HeldRequests
from workers.resctrl.emulator.fuse_node import Nodes
from workers.resctrl.emulator.ports import Caller, OpenFile, Tree

# Files whose content depends on which threads there are: what is known of these is brought up to date first.
THREAD_FILE = "tasks"
# What kernfs, on which resctrl is built, answers to what it does not have. ENOSYS makes the kernel never ask again.
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
_READ_BITS, _WRITE_BITS = 0o444, 0o222
# What counts has no way to be written, whatever its mode says.
NEVER_WRITABLE = "mon_data"
TIMES_MAX = 10_000
# How long the next request is looked for, and after how long at the latest others than readers get their turn.
LINGER_NS = 40_000
BURST_NS = 5_000_000
SLEEP_NS = 200_000


class _Handle:
    """One open file: its last evaluation is kept, for who reads it in pieces."""

    __slots__ = ("content", "depends_on_threads", "path", "read", "write")

    def __init__(self, path: str, file: OpenFile) -> None:
        self.path = path
        self.read = file.read
        self.write = file.write
        self.content = b""
        self.depends_on_threads = path.rpartition("/")[2] == THREAD_FILE


# One request: its unique number, its node, who asks, and what stands behind the head.
_Answer = Callable[[int, int, Caller, bytes], bytes | None]


class FuseSession:
    """One mount. `device` is the open /dev/fuse that it was mounted with, non-blocking.

    `clock_ns` is CLOCK_MONOTONIC. `settle` is called before what depends on threads. `delays` says which answers are held back
    while others are served. `valid_ns`: how long the kernel may believe what it was told of names and attributes.
    `read_cost_ns`: how long each read keeps everybody waiting.
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
        self._tree = tree
        self._clock_ns = clock_ns
        self._settle = settle
        self._delays = delays
        self._read_cost_ns = read_cost_ns
        self._valid_ns = valid_ns
        self._nodes = Nodes()
        self._handles: dict[int, _Handle] = {}
        self._listings: dict[int, list[bytes]] = {}
        self._handle_numbers = count(1)
        self._held = HeldRequests()
        # What utime(2) has set, by inode: last access and last change.
        self._times: dict[int, tuple[int, int]] = {}
        self.now_ns = clock_ns()
        self.requests = 0
        self.reads = 0
        self._answers: dict[int, _Answer] = {
            wire.LOOKUP: self._look_up,
            wire.FORGET: self._forget,
            wire.BATCH_FORGET: self._batch_forget,
            wire.GETATTR: self._get_attributes,
            wire.SETATTR: self._set_attributes,
            wire.OPEN: self._open,
            wire.OPENDIR: self._open_directory,
            wire.READ: self._read,
            wire.READDIR: self._read_directory,
            wire.WRITE: self._write,
            wire.RELEASE: self._release,
            wire.RELEASEDIR: self._release_directory,
            wire.MKDIR: self._mkdir,
            wire.RMDIR: self._rmdir,
            wire.RENAME: self._rename,
            wire.STATFS: self._statfs,
            wire.FSYNC: self._nothing,
            wire.DESTROY: self._nothing,
            wire.INTERRUPT: self._interrupt,
            wire.INIT: self._init,
        }

    def stats(self) -> dict[str, int]:
        """Numbers of this session, for people who measure it."""
        return {
            "requests": self.requests,
            "reads": self.reads,
            "open_files": len(self._handles),
            "known_nodes": len(self._nodes),
            "held_answers": len(self._held),
        }

    def serve(self) -> bool:
        """Answer what has been asked; False: the mount is gone.

        Who has asked once asks again within microseconds, when it reads many files. To look for that for a moment costs less
        than to sleep and be woken: on a virtual machine a read is then four times as fast, and both sides use less CPU.
        """
        clock_ns, device, answer_one = self._clock_ns, self._device, self._answer_one
        now_ns = clock_ns()
        leave_ns, end_ns = now_ns + LINGER_NS, now_ns + BURST_NS
        while now_ns < leave_ns:
            try:
                request = os.read(device, wire.REQUEST_BYTES_MAX)
            except BlockingIOError:
                now_ns = clock_ns()
                continue
            except OSError as failure:
                # ENOENT: a request was taken back between the news of it and the reading.
                if failure.errno not in (EINTR, ENOENT):
                    if failure.errno == ENODEV:
                        return False
                    raise
            else:
                self.now_ns = clock_ns()
                answer_one(request)
            now_ns = clock_ns()
            leave_ns = min(now_ns + LINGER_NS, end_ns)
        return True

    def _answer_one(self, request: bytes) -> None:
        self.requests += 1
        if self._delays is not None and self._delays.delays and self._hold(request):
            return
        # The one request that comes thousands of times a second is not sent through the table.
        if request[4] == wire.READ:
            self._send(self._read_answer(*wire.READ_HEAD.unpack_from(request)))
        else:
            self._answer(request)

    # ---- answers that are held back ------------------------------------------------------------

    def next_due_ns(self) -> int | None:
        """When the next answer that is held back is due."""
        return self._held.next_due_ns()

    def send_due(self, now_ns: int) -> None:
        """Evaluate and send the answers whose time has come."""
        self.now_ns = now_ns
        while (request := self._held.take_due(now_ns)) is not None:
            self._answer(request)

    def _hold(self, request: bytes) -> bool:
        assert self._delays is not None
        operation, path = self._meaning(request)
        delay_ns = self._delays.delay_ns(operation, path, self.now_ns) if operation else 0
        if delay_ns:
            self._held.hold(self.now_ns + delay_ns, wire.HEAD.unpack_from(request)[2], request)
        return bool(delay_ns)

    def _meaning(self, request: bytes) -> tuple[str, str]:
        """The operation and path of a request, for rules about them; two empty words where no rule applies."""
        _, opcode, _, node, *_ = wire.HEAD.unpack_from(request)
        try:
            if opcode in (wire.READ, wire.WRITE):
                handle = self._handles.get(wire.HANDLE.unpack_from(request, wire.HEAD.size)[0])
                return ("", "") if handle is None else ("read" if opcode == wire.READ else "write", handle.path)
            if opcode == wire.MKDIR:
                return "mkdir", self._nodes.child(node, wire.text_of(request[wire.HEAD.size + wire.TWO_WORDS.size :]))
            if opcode == wire.RMDIR:
                return "rmdir", self._nodes.child(node, wire.text_of(request[wire.HEAD.size :]))
            if opcode == wire.RENAME:
                return "rename", self._nodes.child(node, wire.text_of(request[wire.HEAD.size + wire.RENAME_IN.size :]))
            if opcode == wire.OPEN:
                return "open", self._nodes.path(node)
        except OSError:
            # The node is gone: there is nothing to delay.
            return "", ""
        return "", ""

    def _interrupt(self, _unique: int, _node: int, _caller: Caller, body: bytes) -> None:
        """Who waits for an answer that is held back got a signal: it hears EINTR. Every other answer is on its way already."""
        (target,) = wire.HANDLE.unpack_from(body)
        if self._held.drop(target):
            self._send(wire.refusal(target, EINTR))

    # ---- one request ----------------------------------------------------------------------------

    def _answer(self, request: bytes) -> None:
        length, opcode, unique, node, uid, gid, thread_id, _, _ = wire.HEAD.unpack_from(request)
        answer = self._answers.get(opcode)
        if answer is None:
            self._send(wire.refusal(unique, _REFUSED.get(opcode, ENOSYS)))
            return
        try:
            sent = answer(unique, node, Caller(thread_id, uid, gid), request[wire.HEAD.size : length])
        except OSError as failure:
            sent = wire.refusal(unique, failure.errno or EIO)
        if sent is not None:
            self._send(sent)

    def _bring_up_to_date(self) -> None:
        """Hear of all forks and exits before the instant at which the request then happens."""
        self._settle()
        self.now_ns = self._clock_ns()

    def _send(self, answer: bytes) -> None:
        try:
            os.write(self._device, answer)
        except OSError as failure:
            # ENOENT: who asked has been interrupted. ENODEV: the mount has gone; the next read says so.
            if failure.errno not in (ENOENT, ENODEV):
                raise

    def _init(self, unique: int, _node: int, _caller: Caller, body: bytes) -> bytes:
        _, minor = wire.TWO_WORDS.unpack_from(body)
        flags = wire.BIG_WRITES | wire.PARALLEL_DIROPS
        answer = wire.INIT_OUT.pack(wire.MAJOR, min(minor, wire.MINOR), 0, flags, 0, 0, wire.WRITE_BYTES_MAX, 1)
        return wire.reply(unique, answer)

    def _nothing(self, unique: int, _node: int, _caller: Caller, _body: bytes) -> bytes:
        return wire.reply(unique)

    # ---- names ----------------------------------------------------------------------------------

    def forget_path(self, path: str) -> None:
        """Something else than a request has removed what stands here."""
        self._nodes.forget_below(path)

    def _entry(self, unique: int, path: str) -> bytes:
        attributes = self._tree.attributes(path)
        number = self._nodes.look_up(path, attributes)
        return wire.reply(unique, wire.entry(number, attributes, self._times.get(attributes.inode), self._valid_ns))

    def _look_up(self, unique: int, node: int, _caller: Caller, body: bytes) -> bytes:
        return self._entry(unique, self._nodes.child(node, wire.text_of(body)))

    def _forget(self, _unique: int, node: int, _caller: Caller, body: bytes) -> None:
        self._nodes.forget(node, wire.HANDLE.unpack_from(body)[0])

    def _batch_forget(self, _unique: int, _node: int, _caller: Caller, body: bytes) -> None:
        number_of_nodes, _ = wire.TWO_WORDS.unpack_from(body)
        for place in range(number_of_nodes):
            self._nodes.forget(*wire.FORGET_ONE.unpack_from(body, wire.TWO_WORDS.size + place * wire.FORGET_ONE.size))

    def _get_attributes(self, unique: int, node: int, _caller: Caller, _body: bytes) -> bytes:
        try:
            attributes = self._tree.attributes(self._nodes.path(node))
        except FileNotFoundError:
            # Who has it open can still ask what it was.
            last = self._nodes.last_attributes(node)
            if last is None:
                raise
            attributes = last
        return wire.reply(unique, wire.attributes_out(attributes, self._times.get(attributes.inode), self._valid_ns))

    def _set_attributes(self, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        """Mode, owner and times are kept; a size is accepted and means nothing, so that a shell can redirect into a file."""
        path = self._nodes.path(node)
        before = self._tree.attributes(path)
        wanted = wire.SetAttributes.parse(body)
        if wanted.mode is not None:
            self._tree.set_mode(path, wanted.mode)
        if wanted.uid is not None or wanted.gid is not None:
            uid = before.uid if wanted.uid is None else wanted.uid
            self._tree.set_owner(path, uid, before.gid if wanted.gid is None else wanted.gid)
        if wanted.accessed_ns is not None or wanted.changed_ns is not None:
            accessed_ns, changed_ns = self._times.get(before.inode, (before.changed_at_wall_ns,) * 2)
            self._remember_times(before.inode, wanted.accessed_ns or accessed_ns, wanted.changed_ns or changed_ns)
        return self._get_attributes(unique, node, caller, body)

    def _remember_times(self, inode: int, accessed_ns: int, changed_ns: int) -> None:
        # The oldest goes: most of them are of groups that have gone.
        if len(self._times) >= TIMES_MAX:
            del self._times[next(iter(self._times))]
        self._times[inode] = (accessed_ns, changed_ns)

    def _mkdir(self, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        mode, _ = wire.TWO_WORDS.unpack_from(body)
        path = self._nodes.child(node, wire.text_of(body[wire.TWO_WORDS.size :]))
        self._bring_up_to_date()
        self._tree.mkdir(path, mode, caller, self.now_ns)
        return self._entry(unique, path)

    def _rmdir(self, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        path = self._nodes.child(node, wire.text_of(body))
        self._bring_up_to_date()
        self._tree.rmdir(path, caller, self.now_ns)
        self._nodes.forget_below(path)
        return wire.reply(unique)

    def _rename(self, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        (new_parent,) = wire.RENAME_IN.unpack_from(body)
        old_name, new_name, *_ = body[wire.RENAME_IN.size :].split(b"\0")
        old = self._nodes.child(node, os.fsdecode(old_name))
        new = self._nodes.child(new_parent, os.fsdecode(new_name))
        self._bring_up_to_date()
        self._tree.rename(old, new, caller, self.now_ns)
        self._nodes.move(old, new)
        return wire.reply(unique)

    def _statfs(self, unique: int, _node: int, _caller: Caller, _body: bytes) -> bytes:
        return wire.reply(unique, wire.STATFS_OUT.pack(0, 0, 0, 0, 0, wire.PAGE_BYTES, wire.NAME_BYTES_MAX, wire.PAGE_BYTES))

    # ---- open files -----------------------------------------------------------------------------

    def _open(self, unique: int, node: int, _caller: Caller, body: bytes) -> bytes:
        path = self._nodes.path(node)
        flags, _ = wire.TWO_WORDS.unpack_from(body)
        access, mode = flags & os.O_ACCMODE, self._tree.attributes(path).mode
        # Root may do what the mode allows nobody, but not here: resctrl asks kernfs for the extra check.
        if (access != os.O_WRONLY and not mode & _READ_BITS) or (
            access != os.O_RDONLY and (not mode & _WRITE_BITS or NEVER_WRITABLE in path.split("/"))
        ):
            raise PermissionError(EACCES, "nobody may do this with this file")
        number = next(self._handle_numbers)
        self._handles[number] = _Handle(path, self._tree.open(path))
        return wire.reply(unique, wire.OPEN_OUT.pack(number, wire.DIRECT_IO, 0))

    def _release(self, unique: int, _node: int, _caller: Caller, body: bytes) -> bytes:
        self._handles.pop(wire.HANDLE.unpack_from(body)[0], None)
        return wire.reply(unique)

    def _read(self, unique: int, _node: int, _caller: Caller, body: bytes) -> bytes:
        return self._read_answer(unique, *wire.HANDLE_OFFSET_SIZE.unpack_from(body))

    def _read_answer(self, unique: int, number: int, offset: int, size: int) -> bytes:
        handle = self._handles.get(number)
        if handle is None:
            return wire.refusal(unique, EBADF)
        self.reads += 1
        try:
            # At its beginning a file is evaluated anew; behind it stands what was evaluated then.
            if offset == 0 or not handle.content:
                if handle.depends_on_threads:
                    self._bring_up_to_date()
                if self._read_cost_ns:
                    self._spend(self._read_cost_ns)
                handle.content = handle.read(self.now_ns)
        except OSError as failure:
            return wire.refusal(unique, failure.errno or EIO)
        payload = handle.content[offset : offset + size]
        return wire.REPLY_HEAD.pack(wire.REPLY_HEAD_BYTES + len(payload), 0, unique) + payload

    def _spend(self, cost_ns: int) -> None:
        end_ns = self.now_ns + cost_ns
        # A sleep is not exact to tens of microseconds; the last of it is waited out.
        if cost_ns > SLEEP_NS:
            time.sleep((cost_ns - SLEEP_NS) / 1e9)
        while self.now_ns < end_ns:
            self.now_ns = self._clock_ns()

    def _write(self, unique: int, _node: int, caller: Caller, body: bytes) -> bytes:
        number, _, size = wire.HANDLE_OFFSET_SIZE.unpack_from(body)
        handle = self._handles.get(number)
        if handle is None:
            raise OSError(EBADF, "this file is not open")
        if handle.depends_on_threads:
            self._bring_up_to_date()
        handle.write(body[wire.WRITE_IN_BYTES : wire.WRITE_IN_BYTES + size], caller, self.now_ns)
        return wire.reply(unique, wire.WRITE_OUT.pack(size, 0))

    def _open_directory(self, unique: int, _node: int, _caller: Caller, _body: bytes) -> bytes:
        # Who stands in a removed group may still open «.»: it lists nothing.
        number = next(self._handle_numbers)
        self._listings[number] = []
        return wire.reply(unique, wire.OPEN_OUT.pack(number, 0, 0))

    def _read_directory(self, unique: int, node: int, _caller: Caller, body: bytes) -> bytes:
        number, offset, size = wire.HANDLE_OFFSET_SIZE.unpack_from(body)
        if number not in self._listings:
            raise OSError(EBADF, "this directory is not open")
        if offset == 0 or not self._listings[number]:
            self._listings[number] = wire.directory_records(self._tree.list(self._nodes.path(node)))
        return wire.reply(unique, wire.cut_records(self._listings[number], offset, size))

    def _release_directory(self, unique: int, _node: int, _caller: Caller, body: bytes) -> bytes:
        self._listings.pop(wire.HANDLE.unpack_from(body)[0], None)
        return wire.reply(unique)
