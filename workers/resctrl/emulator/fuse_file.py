"""Requests for open files and directories: open, read, write, list, release. *Source:* linux/fuse.h."""

import os
import time
from errno import EACCES, EBADF, EIO
from itertools import count

from workers.resctrl.emulator import fuse_protocol as wire
from workers.resctrl.emulator.fuse_node import Nodes
from workers.resctrl.emulator.fuse_request import Handler, RequestTime
from workers.resctrl.emulator.ports import Caller, OpenFile, Tree

# The content of these files depends on which threads exist, so forks and exits are taken in before they are read.
THREAD_FILE = "tasks"
# Event files cannot be written, whatever their mode says.
NEVER_WRITABLE = "mon_data"
_READ_BITS, _WRITE_BITS = 0o444, 0o222
# A sleep is not exact to tens of microseconds; the last SLEEP_NS of a wait are spent polling the clock.
SLEEP_NS = 200_000


class _Handle:
    """One open file. It keeps the content of its last evaluation for callers that read it in parts."""

    __slots__ = ("content", "depends_on_threads", "path", "read", "write")

    def __init__(self, path: str, file: OpenFile) -> None:
        self.path = path
        self.read = file.read
        self.write = file.write
        self.content = b""
        self.depends_on_threads = path.rpartition("/")[2] == THREAD_FILE


class FileRequests:
    """The open files and directories of one mount. `read_cost_ns`: how long each evaluation of a file blocks all requests."""

    def __init__(self, tree: Tree, nodes: Nodes, at: RequestTime, read_cost_ns: int) -> None:
        assert read_cost_ns >= 0
        self._tree = tree
        self._nodes = nodes
        self._at = at
        self._read_cost_ns = read_cost_ns
        self._handles: dict[int, _Handle] = {}
        self._listings: dict[int, list[bytes]] = {}
        self._handle_numbers = count(1)
        self.reads = 0

    def __len__(self) -> int:
        return len(self._handles)

    @property
    def handlers(self) -> dict[int, Handler]:
        """Each request that is answered here, by its opcode."""
        return {
            wire.OPEN: self.open,
            wire.READ: self.read,
            wire.WRITE: self.write,
            wire.RELEASE: self.release,
            wire.OPENDIR: self.open_directory,
            wire.READDIR: self.read_directory,
            wire.RELEASEDIR: self.release_directory,
        }

    def path_of(self, handle: int) -> str | None:
        """The path under which a file was opened. *Absent:* None for a handle that is not open."""
        found = self._handles.get(handle)
        return None if found is None else found.path

    def open(self, unique: int, node: int, _caller: Caller, body: bytes) -> bytes:
        """*Raises:* PermissionError when the mode lets nobody do this; OSError as the tree raises it."""
        path = self._nodes.path(node)
        flags, _ = wire.TWO_WORDS.unpack_from(body)
        access, mode = flags & os.O_ACCMODE, self._tree.attributes(path).mode
        # Usually root may do what the mode allows nobody. Not here: resctrl asks kernfs for the extra check.
        if (access != os.O_WRONLY and not mode & _READ_BITS) or (
            access != os.O_RDONLY and (not mode & _WRITE_BITS or NEVER_WRITABLE in path.split("/"))
        ):
            raise PermissionError(EACCES, "nobody may do this with this file")
        number = next(self._handle_numbers)
        self._handles[number] = _Handle(path, self._tree.open(path))
        return wire.reply(unique, wire.OPEN_OUT.pack(number, wire.DIRECT_IO, 0))

    def release(self, unique: int, _node: int, _caller: Caller, body: bytes) -> bytes:
        """Forgets an open file."""
        self._handles.pop(wire.HANDLE.unpack_from(body)[0], None)
        return wire.reply(unique)

    def read(self, unique: int, _node: int, _caller: Caller, body: bytes) -> bytes:
        """A part of a file."""
        return self.answer_read(unique, *wire.HANDLE_OFFSET_SIZE.unpack_from(body))

    def answer_read(self, unique: int, number: int, offset: int, size: int) -> bytes:
        """The answer to a READ. A read at offset 0 evaluates the file; others return parts of that evaluation."""
        handle = self._handles.get(number)
        if handle is None:
            return wire.refusal(unique, EBADF)
        self.reads += 1
        try:
            if offset == 0 or not handle.content:
                if handle.depends_on_threads:
                    self._at.bring_up_to_date()
                if self._read_cost_ns:
                    self._spend(self._read_cost_ns)
                handle.content = handle.read(self._at.now_ns)
        except OSError as failure:
            return wire.refusal(unique, failure.errno or EIO)
        payload = handle.content[offset : offset + size]
        return wire.REPLY_HEAD.pack(wire.REPLY_HEAD_BYTES + len(payload), 0, unique) + payload

    def _spend(self, cost_ns: int) -> None:
        at = self._at
        end_ns = at.now_ns + cost_ns
        if cost_ns > SLEEP_NS:
            time.sleep((cost_ns - SLEEP_NS) / 1e9)
        while at.now_ns < end_ns:
            at.now_ns = at.clock_ns()

    def write(self, unique: int, _node: int, caller: Caller, body: bytes) -> bytes:
        """*Raises:* OSError: EBADF for a file that is not open, else what the file's own rules say."""
        number, _, size = wire.HANDLE_OFFSET_SIZE.unpack_from(body)
        handle = self._handles.get(number)
        if handle is None:
            raise OSError(EBADF, "this file is not open")
        if handle.depends_on_threads:
            self._at.bring_up_to_date()
        handle.write(body[wire.WRITE_IN_BYTES : wire.WRITE_IN_BYTES + size], caller, self._at.now_ns)
        return wire.reply(unique, wire.WRITE_OUT.pack(size, 0))

    def open_directory(self, unique: int, _node: int, _caller: Caller, _body: bytes) -> bytes:
        """Always succeeds: a process whose working directory is a removed group may open it, and it lists nothing."""
        number = next(self._handle_numbers)
        self._listings[number] = []
        return wire.reply(unique, wire.OPEN_OUT.pack(number, 0, 0))

    def read_directory(self, unique: int, node: int, _caller: Caller, body: bytes) -> bytes:
        """*Raises:* OSError: EBADF for a directory that is not open; FileNotFoundError for one that is gone."""
        number, offset, size = wire.HANDLE_OFFSET_SIZE.unpack_from(body)
        if number not in self._listings:
            raise OSError(EBADF, "this directory is not open")
        if offset == 0 or not self._listings[number]:
            self._listings[number] = wire.directory_records(self._tree.list(self._nodes.path(node)))
        return wire.reply(unique, wire.cut_records(self._listings[number], offset, size))

    def release_directory(self, unique: int, _node: int, _caller: Caller, body: bytes) -> bytes:
        """Forgets an open directory."""
        self._listings.pop(wire.HANDLE.unpack_from(body)[0], None)
        return wire.reply(unique)
