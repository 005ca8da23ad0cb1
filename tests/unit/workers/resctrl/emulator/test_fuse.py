"""The FUSE protocol, spoken byte by byte over a pair of sockets instead of /dev/fuse."""

import os
import socket
import struct
from collections.abc import Iterator
from errno import EACCES, EBADF, EINTR, EINVAL, EIO, ENODEV, ENOENT, ENOSYS, EPERM
from stat import S_IFDIR, S_IFREG

import pytest

from workers.resctrl.emulator import fuse_protocol as wire
from workers.resctrl.emulator.fuse import FuseSession
from workers.resctrl.emulator.ports import Attributes, Caller

WRITER = Caller(thread_id=77, uid=5, gid=6)
WALL_NS = 1_700_000_000_000_000_123


class SmallFile:
    """Counts how often it is evaluated."""

    def __init__(self) -> None:
        self.evaluations = 0
        self.written: list[tuple[bytes, Caller]] = []
        self.failure: OSError | None = None

    def read(self, now_ns: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        self.evaluations += 1
        return b"value %d\n" % self.evaluations

    def write(self, content: bytes, caller: Caller, now_ns: int) -> None:
        self.written.append((content, caller))


class SmallTree:
    """Directories and files by path; inodes are given as they come."""

    def __init__(self) -> None:
        self.modes = {"": S_IFDIR | 0o755, "dir": S_IFDIR | 0o755, "tasks": S_IFREG | 0o644, "dir/fixed": S_IFREG | 0o444}
        self.inodes = {path: place for place, path in enumerate(self.modes, start=1)}
        self.files = {path: SmallFile() for path in ("tasks", "dir/fixed")}
        self.owners: dict[str, tuple[int, int]] = {}

    def attributes(self, path: str) -> Attributes:
        if path not in self.modes:
            raise FileNotFoundError(ENOENT, path)
        return Attributes(self.inodes[path], self.modes[path], *self.owners.get(path, (0, 0)), WALL_NS, 1)

    def list(self, path: str) -> list[tuple[str, bool]]:
        return [(name, True) for name in self.modes if name and "/" not in name]

    def open(self, path: str) -> SmallFile:
        return self.files[path]

    def mkdir(self, path: str, mode: int, caller: Caller, now_ns: int) -> None:
        self.modes[path] = S_IFDIR | mode
        self.inodes[path] = max(self.inodes.values()) + 1

    def rmdir(self, path: str, caller: Caller, now_ns: int) -> None:
        for each in [each for each in self.modes if each == path or each.startswith(f"{path}/")]:
            del self.modes[each]

    def rename(self, old: str, new: str, caller: Caller, now_ns: int) -> None:
        for each in [each for each in self.modes if each == old or each.startswith(f"{old}/")]:
            there = new + each[len(old) :]
            self.modes[there] = self.modes.pop(each)
            self.inodes[there] = self.inodes.pop(each)
            if each in self.files:
                self.files[there] = self.files.pop(each)

    def set_mode(self, path: str, mode: int) -> None:
        self.modes[path] = self.modes[path] & ~0o7777 | mode

    def set_owner(self, path: str, uid: int, gid: int) -> None:
        self.owners[path] = (uid, gid)

    def next_deadline_ns(self) -> int | None:
        return None

    def on_timer(self, now_ns: int) -> None:
        pass


class Delays:
    """Holds back every operation with this name."""

    def __init__(self, operation: str, duration_ns: int) -> None:
        self.delays = True
        self.operation = operation
        self.duration_ns = duration_ns

    def delay_ns(self, operation: str, path: str, now_ns: int) -> int:
        return self.duration_ns if operation == self.operation else 0


class Kernel:
    """The other end of the device: asks, and reads the answers."""

    def __init__(self, delays: Delays | None = None) -> None:
        self.tree = SmallTree()
        self.settled = 0
        self.now_ns = 1
        self.near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.near.setblocking(False)
        far.setblocking(False)
        self._far = far
        self._unique = 0
        self.session = FuseSession(far.fileno(), self.tree, self._clock_ns, self._settle, delays=delays)

    def _clock_ns(self) -> int:
        # It goes on, so that nobody looks for a next request for ever.
        self.now_ns += 1_000
        return self.now_ns

    def _settle(self) -> None:
        self.settled += 1

    def send(self, opcode: int, node: int = wire.ROOT_NODE, body: bytes = b"", caller: Caller = WRITER) -> int:
        """One request; gives its number."""
        self._unique += 1
        head = wire.HEAD.pack(
            wire.HEAD.size + len(body), opcode, self._unique, node, caller.uid, caller.gid, caller.thread_id, 0, 0
        )
        self.near.send(head + body)
        assert self.session.serve()
        return self._unique

    def answer(self) -> tuple[int, int, bytes] | None:
        """The next answer: errno, unique number, payload."""
        try:
            data = self.near.recv(1 << 17)
        except BlockingIOError:
            return None
        length, error, unique = wire.REPLY_HEAD.unpack_from(data)
        assert length == len(data)
        return -error, unique, data[wire.REPLY_HEAD.size :]

    def ask(self, opcode: int, node: int = wire.ROOT_NODE, body: bytes = b"") -> tuple[int, bytes]:
        """One request and its answer: errno and payload."""
        unique = self.send(opcode, node, body)
        answer = self.answer()
        assert answer is not None
        assert answer[1] == unique
        return answer[0], answer[2]

    def look_up(self, name: str, node: int = wire.ROOT_NODE) -> int:
        """The number of a name."""
        error, payload = self.ask(wire.LOOKUP, node, name.encode() + b"\0")
        assert error == 0, name
        return int(struct.unpack_from("<Q", payload)[0])

    def open(self, node: int, flags: int = os.O_RDONLY) -> int:
        """The number of an open file."""
        error, payload = self.ask(wire.OPEN, node, struct.pack("<II", flags, 0))
        assert error == 0
        number, open_flags, _ = struct.unpack("<QII", payload)
        assert open_flags == wire.DIRECT_IO
        return int(number)

    def read(self, handle: int, offset: int = 0, size: int = 4096) -> tuple[int, bytes]:
        """What an open file has there."""
        return self.ask(wire.READ, 0, struct.pack("<QQIIQII", handle, offset, size, 0, 0, 0, 0))

    def close(self) -> None:
        self.near.close()
        self._far.close()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """A kernel and a session with a small tree."""
    kernel = Kernel()
    yield kernel
    kernel.close()


def test_the_session_asks_for_no_lock_and_no_cache(kernel: Kernel) -> None:
    """INIT is answered in this side's version, with neither kind of lock: flock stays the kernel's own business."""
    error, payload = kernel.ask(wire.INIT, 0, struct.pack("<IIII", 7, 45, 0, 0xFFFF_FFFF))
    assert error == 0
    assert len(payload) == 64
    major, minor, _, flags, *_, write_max, _ = struct.unpack_from("<IIIIHHII", payload)
    assert (major, minor, write_max) == (7, 31, wire.WRITE_BYTES_MAX)
    assert flags & (1 << 10 | 1 << 1) == 0
    assert struct.unpack_from("<II", kernel.ask(wire.INIT, 0, struct.pack("<IIII", 7, 27, 0, 0))[1]) == (7, 27)


def test_a_name_has_the_attributes_of_the_tree(kernel: Kernel) -> None:
    """LOOKUP tells number, mode and time of a name, valid for no time at all, and ENOENT for one that is not."""
    error, payload = kernel.ask(wire.LOOKUP, wire.ROOT_NODE, b"tasks\0")
    node, generation, entry_valid, attr_valid, entry_ns, attr_ns = struct.unpack_from("<QQQQII", payload)
    inode, size, _, seconds = struct.unpack_from("<QQQQ", payload, 40)
    (mode,) = struct.unpack_from("<I", payload, 40 + 60)
    assert (error, generation, entry_valid, attr_valid, entry_ns, attr_ns) == (0, 0, 0, 0, 0, 0)
    assert (inode, size, seconds, mode) == (kernel.tree.inodes["tasks"], 0, WALL_NS // 10**9, S_IFREG | 0o644)
    assert kernel.ask(wire.GETATTR, node)[0] == 0
    assert kernel.ask(wire.LOOKUP, wire.ROOT_NODE, b"nothing\0")[0] == ENOENT


def test_a_file_is_evaluated_at_its_beginning_only(kernel: Kernel) -> None:
    """Reading on shows the rest of what stood at the beginning; reading the beginning again evaluates again."""
    handle = kernel.open(kernel.look_up("fixed", kernel.look_up("dir")))
    assert kernel.read(handle, 0, 3) == (0, b"val")
    assert kernel.read(handle, 3) == (0, b"ue 1\n")
    assert kernel.read(handle, 8) == (0, b"")
    assert kernel.read(handle) == (0, b"value 2\n")
    assert kernel.settled == 0


def test_threads_are_known_before_tasks_is_read_or_written(kernel: Kernel) -> None:
    """News of threads is taken before each read and write of `tasks`, and the writer is known by thread and user."""
    handle = kernel.open(kernel.look_up("tasks"), os.O_RDWR)
    kernel.read(handle)
    assert kernel.settled == 1
    error, payload = kernel.ask(wire.WRITE, 0, struct.pack("<QQIIQII", handle, 0, 4, 0, 0, 0, 0) + b"12\n\n")
    assert (error, struct.unpack_from("<I", payload)) == (0, (4,))
    assert kernel.settled == 2
    assert kernel.tree.files["tasks"].written == [(b"12\n\n", WRITER)]


def test_the_errno_of_the_tree_is_the_answer(kernel: Kernel) -> None:
    """A read that fails is answered by its errno; the handle stays, and one that is closed is EBADF."""
    handle = kernel.open(kernel.look_up("tasks"))
    kernel.tree.files["tasks"].failure = OSError(ENODEV, "gone")
    assert kernel.read(handle) == (ENODEV, b"")
    kernel.tree.files["tasks"].failure = OSError("without a number")
    assert kernel.read(handle) == (EIO, b"")
    kernel.tree.files["tasks"].failure = None
    assert kernel.read(handle)[0] == 0
    assert kernel.ask(wire.RELEASE, 0, struct.pack("<QIIQ", handle, 0, 0, 0))[0] == 0
    assert kernel.read(handle) == (EBADF, b"")


def test_what_the_file_system_has_not_is_refused(kernel: Kernel) -> None:
    """What kernfs has not has its errno; what the kernel can do by itself is ENOSYS, after which it never asks again."""
    expected = {wire.CREATE: EACCES, wire.SYMLINK: EPERM, wire.LINK: EPERM, wire.UNLINK: EPERM, wire.MKNOD: EPERM}
    assert {opcode: kernel.ask(opcode, body=b"a\0b\0")[0] for opcode in expected} == expected
    assert kernel.ask(wire.RENAME2, body=bytes(24))[0] == EINVAL
    # FLUSH, ACCESS, GETXATTR
    assert {kernel.ask(opcode, body=bytes(24))[0] for opcode in (25, 34, 22)} == {ENOSYS}


def test_nobody_opens_a_read_only_file_for_writing(kernel: Kernel) -> None:
    """Not even root, although the kernel lets root pass: resctrl has a check of its own."""
    node = kernel.look_up("fixed", kernel.look_up("dir"))
    assert kernel.ask(wire.OPEN, node, struct.pack("<II", os.O_WRONLY, 0))[0] == EACCES
    assert kernel.ask(wire.OPEN, node, struct.pack("<II", os.O_RDONLY, 0))[0] == 0


def test_modes_and_owners_change_and_sizes_do_not(kernel: Kernel) -> None:
    """chmod and chown are kept, each alone; a truncation succeeds and changes nothing."""
    node = kernel.look_up("tasks")
    body = bytearray(88)
    struct.pack_into("<I", body, 0, 1 << 3)
    assert kernel.ask(wire.SETATTR, node, bytes(body))[0] == 0
    assert kernel.tree.modes["tasks"] == S_IFREG | 0o644
    struct.pack_into("<I", body, 0, wire.SET_MODE | wire.SET_GID)
    struct.pack_into("<I", body, 68, S_IFREG | 0o600)
    struct.pack_into("<II", body, 76, 11, 22)
    assert kernel.ask(wire.SETATTR, node, bytes(body))[0] == 0
    assert kernel.tree.modes["tasks"] == S_IFREG | 0o600
    assert kernel.tree.owners["tasks"] == (0, 22)


def test_times_are_kept(kernel: Kernel) -> None:
    """utime changes the time of access, of change, or both, and stat shows them."""
    node = kernel.look_up("tasks")

    def times() -> tuple[int, ...]:
        payload = kernel.ask(wire.GETATTR, node)[1]
        return struct.unpack_from("<QQ", payload, 16 + 24) + struct.unpack_from("<II", payload, 16 + 48)

    body = bytearray(88)
    struct.pack_into("<I", body, 0, wire.SET_CHANGED)
    struct.pack_into("<Q", body, 40, 1_000)
    struct.pack_into("<I", body, 60, 7)
    assert kernel.ask(wire.SETATTR, node, bytes(body))[0] == 0
    assert times() == (WALL_NS // 10**9, 1_000, WALL_NS % 10**9, 7)
    struct.pack_into("<I", body, 0, wire.SET_ACCESSED)
    struct.pack_into("<Q", body, 32, 2_000)
    assert kernel.ask(wire.SETATTR, node, bytes(body))[0] == 0
    assert times() == (2_000, 1_000, 0, 7)


def test_what_counts_cannot_be_written_whatever_its_mode(kernel: Kernel) -> None:
    """An event file has no way to be written; a file that nobody may read is closed to root, too."""
    kernel.tree.modes |= {"mon_data": S_IFDIR | 0o755, "mon_data/count": S_IFREG | 0o666}
    kernel.tree.inodes |= {"mon_data": 50, "mon_data/count": 51}
    kernel.tree.files["mon_data/count"] = SmallFile()
    node = kernel.look_up("count", kernel.look_up("mon_data"))
    assert kernel.ask(wire.OPEN, node, struct.pack("<II", os.O_RDWR, 0))[0] == EACCES
    assert kernel.open(node)
    kernel.tree.modes["tasks"] = S_IFREG | 0o200
    node = kernel.look_up("tasks")
    assert kernel.ask(wire.OPEN, node, struct.pack("<II", os.O_RDONLY, 0))[0] == EACCES
    assert kernel.open(node, os.O_WRONLY)


def test_a_directory_is_listed_in_pieces(kernel: Kernel) -> None:
    """READDIR gives whole records up to the size asked for, goes on where it stopped, and ends with nothing."""
    for number in range(40):
        kernel.ask(wire.MKDIR, wire.ROOT_NODE, struct.pack("<II", 0o755, 0) + b"group%d\0" % number)
    handle = struct.unpack_from("<Q", kernel.ask(wire.OPENDIR, wire.ROOT_NODE, bytes(8))[1])[0]
    names, offset = [], 0
    while True:
        error, payload = kernel.ask(wire.READDIR, wire.ROOT_NODE, struct.pack("<QQIIQII", handle, offset, 300, 0, 0, 0, 0))
        assert error == 0
        assert len(payload) <= 300
        if not payload:
            break
        place = 0
        while place < len(payload):
            _, offset, length, _ = struct.unpack_from("<QQII", payload, place)
            names.append(payload[place + 24 : place + 24 + length].decode())
            place += (24 + length + 7) // 8 * 8
    assert names == [".", "..", "dir", "tasks", *(f"group{number}" for number in range(40))]
    assert kernel.ask(wire.RELEASEDIR, wire.ROOT_NODE, struct.pack("<QIIQ", handle, 0, 0, 0))[0] == 0


def test_a_number_of_a_removed_directory_reaches_nothing(kernel: Kernel) -> None:
    """A new file under an old name is another node; the old number still shows the old attributes and has no content."""
    old = kernel.look_up("dir")
    assert kernel.ask(wire.RMDIR, wire.ROOT_NODE, b"dir\0")[0] == 0
    kernel.ask(wire.MKDIR, wire.ROOT_NODE, struct.pack("<II", 0o755, 0) + b"dir\0")
    assert kernel.look_up("dir") != old
    assert kernel.ask(wire.LOOKUP, old, b"fixed\0")[0] == ENOENT
    error, payload = kernel.ask(wire.GETATTR, old)
    assert (error, struct.unpack_from("<Q", payload, 16)) == (0, (2,))


def test_a_renamed_directory_keeps_its_number(kernel: Kernel) -> None:
    """After RENAME the number means the new path, and so does that of a file in it."""
    node = kernel.look_up("dir")
    file = kernel.look_up("fixed", node)
    assert kernel.ask(wire.RENAME, wire.ROOT_NODE, struct.pack("<Q", wire.ROOT_NODE) + b"dir\0other\0")[0] == 0
    assert kernel.look_up("other") == node
    assert kernel.look_up("fixed", node) == file
    assert kernel.read(kernel.open(file)) == (0, b"value 1\n")


def test_what_the_kernel_forgets_costs_nothing(kernel: Kernel) -> None:
    """Numbers are given up when the kernel has let go of them as often as it was told them; no answer is sent."""
    before = kernel.session.stats()["known_nodes"]
    node = kernel.look_up("tasks")
    assert kernel.look_up("tasks") == node
    kernel.send(wire.FORGET, node, struct.pack("<Q", 1))
    assert kernel.session.stats()["known_nodes"] == before + 1
    kernel.send(wire.BATCH_FORGET, 0, struct.pack("<II", 1, 0) + struct.pack("<QQ", node, 1))
    assert kernel.session.stats()["known_nodes"] == before
    assert kernel.answer() is None


def test_an_answer_is_held_back_or_interrupted() -> None:
    """A delayed request is answered when it is due, one whose asker got a signal at once by EINTR; others are not delayed."""
    kernel = Kernel(Delays("read", 10**9))
    try:
        handle = kernel.open(kernel.look_up("tasks"))
        body = struct.pack("<QQIIQII", handle, 0, 4096, 0, 0, 0, 0)
        first, second = kernel.send(wire.READ, 0, body), kernel.send(wire.READ, 0, body)
        assert kernel.answer() is None
        kernel.look_up("dir")
        kernel.send(wire.INTERRUPT, 0, struct.pack("<Q", first))
        assert kernel.answer() == (EINTR, first, b"")
        due_ns = kernel.session.next_due_ns()
        assert due_ns is not None
        kernel.session.send_due(due_ns - 1)
        assert kernel.answer() is None
        kernel.session.send_due(due_ns)
        assert kernel.answer() == (0, second, b"value 1\n")
        assert kernel.session.next_due_ns() is None
    finally:
        kernel.close()
