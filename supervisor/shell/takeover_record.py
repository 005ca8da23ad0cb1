"""The takeover record: where the fork server is and how often each worker was started, for the next supervisor.

A file in the runtime folder, mapped into memory: each entry is there as soon as it is stored, however the writer dies after
that, and a full disk cannot refuse it. The room is allocated when the file is made.

    header   magic · boot id · run · fingerprint · server (pid, start ticks, inode of its pipe, address)
    slots    one per worker: epoch, name
"""

import mmap
import os
import threading
from collections.abc import Iterable, Mapping
from struct import Struct as Layout

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.errors import StorageError
from agent.paths import SOCKET_PATH_BYTES_MAX
from supervisor.shell.runtime_names import inode_of

_MAGIC = b"evgtake1"
# PID_MAX_LIMIT of linux/threads.h.
_PID_MAX = 1 << 22
# No worker is started this often; the number must still grow without leaving its field.
_EPOCH_MAX = 1 << 53
RECORD_BYTES_MAX = 1 << 20
_HEADER = Layout("<8s16s16s32s")
_SERVER = Layout(f"<QQQ{SOCKET_PATH_BYTES_MAX + 1}s")
_PID = Layout("<Q")
# A longer name of a worker would be cut; then nothing fits at a takeover, and the old workers are ended.
_SLOT = Layout("<Q120s")
_SERVER_AT = 128
_SLOTS_AT = 384


class ServerRecord(Struct, frozen=True):
    """A fork server: pid and start time (clock ticks since boot) identify it; the inode of the pipe whose end it waits for."""

    pid: int
    start_ticks: int
    alive_inode: int
    address: str


class TakeoverRecord(Struct, frozen=True):
    """What a takeover record says. *Absent:* `server` when the dead supervisor had none yet."""

    boot_id: bytes
    run: str
    fingerprint: bytes
    server: ServerRecord | None
    epochs: dict[str, int]


class TakeoverRecordFile:
    """The takeover record of this run, for writing."""

    def __init__(
        self,
        path: str,
        *,
        boot_id: bytes,
        run: str,
        fingerprint: bytes,
        epochs: Mapping[str, int],
        server: ServerRecord | None = None,
    ) -> None:
        """Make a new one in the place of any other, with a slot for each worker in `epochs`.

        A `server` that is taken over is in it from the first moment: a supervisor that dies after this leaves it to be found.
        *Raises:* StorageError when there is no room.
        """
        self.path = path
        # Entries are written by the loop and by the launcher's thread.
        self._lock = threading.Lock()
        size = _SLOTS_AT + _SLOT.size * len(epochs)
        assert len(boot_id) == 16
        assert len(fingerprint) == 32
        self._slots = {name: _SLOTS_AT + number * _SLOT.size for number, name in enumerate(epochs)}
        content = bytearray(size)
        for name, epoch in epochs.items():
            _SLOT.pack_into(content, self._slots[name], epoch, name.encode())
        _HEADER.pack_into(content, 0, _MAGIC, boot_id, run.encode(), fingerprint)
        if server is not None:
            _pack_server(content, server)
        self._map, self._inode = _make(path, bytes(content))

    def is_there(self) -> bool:
        """Whether the next supervisor would find it."""
        return inode_of(self.path) == self._inode

    def make_again(self) -> None:
        """The file was removed: write another with the same content. *Raises:* StorageError."""
        with self._lock:
            lost = self._map
            self._map, self._inode = _make(self.path, lost[:])
        lost.close()

    def note_server(self, server: ServerRecord) -> None:
        """This is the fork server from now on. The pid is written last, so that a half-written entry reads as none."""
        assert server.pid > 0, server
        with self._lock:
            _pack_server(self._map, server)

    def change(self, fingerprint: bytes, names: Iterable[str]) -> None:
        """The agent has these workers and settings from now on: another record with the same server and epochs takes the place of
        this one in one step. *Raises:* StorageError; then this one stays."""
        with self._lock:
            before = self._map
            epochs = {name: _PID.unpack_from(before, at)[0] for name, at in self._slots.items()}
            # Of one that is not wanted any more the epoch is kept, should it be wanted again.
            names = dict.fromkeys([*self._slots, *names])
            content = bytearray(_SLOTS_AT + _SLOT.size * len(names))
            content[:_SLOTS_AT] = before[:_SLOTS_AT]
            magic, boot, run, _fingerprint = _HEADER.unpack_from(before, 0)
            _HEADER.pack_into(content, 0, magic, boot, run, fingerprint)
            slots = {name: _SLOTS_AT + number * _SLOT.size for number, name in enumerate(names)}
            for name, at in slots.items():
                _SLOT.pack_into(content, at, epochs.get(name, 0), name.encode())
            self._map, self._inode = _make(self.path, bytes(content))
            self._slots = slots
        before.close()

    def note_epoch(self, name: str, epoch: int) -> None:
        """This start of this worker is about to be ordered."""
        assert epoch > 0, epoch
        with self._lock:
            _PID.pack_into(self._map, self._slots[name], epoch)

    def close(self) -> None:
        """Let go of the mapping; the file stays."""
        self._map.close()


def _make(path: str, content: bytes) -> tuple[mmap.mmap, int]:
    """A file with this content in the place of any other, mapped, and its inode. *Raises:* StorageError."""
    temporary = f"{path}.new"
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, len(content))
            mapping = mmap.mmap(descriptor, len(content))
            inode = os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)
        mapping[:] = content
        failpoint("takeover_record.written")
        os.rename(temporary, path)
        failpoint("takeover_record.named")
    except OSError as cause:
        raise StorageError(path, f"cannot be written: {cause.strerror}", "make room, or choose another --runtime-dir") from cause
    return mapping, inode


def _pack_server(area: bytearray | mmap.mmap, server: ServerRecord) -> None:
    _PID.pack_into(area, _SERVER_AT, 0)
    _SERVER.pack_into(area, _SERVER_AT, 0, server.start_ticks, server.alive_inode, server.address.encode())
    _PID.pack_into(area, _SERVER_AT, server.pid)


def read_takeover_record(path: str) -> TakeoverRecord | None:
    """The takeover record of an earlier run. *Absent:* there is none, or it is damaged or of another version."""
    try:
        with open(path, "rb") as file:
            record = parse_takeover_record(file.read(RECORD_BYTES_MAX))
    except OSError:
        return None
    assert record is None or record.server is None or record.server.pid > 0
    return record


def parse_takeover_record(data: bytes) -> TakeoverRecord | None:
    """What the bytes of a record say. *Absent:* they are damaged or of another version; a number out of its range is damage."""
    if len(data) < _SLOTS_AT or not data.startswith(_MAGIC):
        return None
    _magic, boot_id, run, fingerprint = _HEADER.unpack_from(data, 0)
    pid, start_ticks, inode, address = _SERVER.unpack_from(data, _SERVER_AT)
    if pid > _PID_MAX:
        return None
    server = ServerRecord(pid, start_ticks, inode, os.fsdecode(address.rstrip(b"\0"))) if pid else None
    slots = range(_SLOTS_AT, len(data) - _SLOT.size + 1, _SLOT.size)
    entries = [_SLOT.unpack_from(data, at) for at in slots]
    if any(epoch > _EPOCH_MAX for epoch, _name in entries):
        return None
    epochs = {name.rstrip(b"\0").decode("utf-8", "replace"): epoch for epoch, name in entries}
    return TakeoverRecord(boot_id, run.rstrip(b"\0").decode("ascii", "replace"), fingerprint, server, epochs)


def boot_id() -> bytes:
    """Which boot of the machine this is: pids and clock ticks are valid only within it. *Source:* random(4)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return bytes.fromhex(file.read().decode("ascii").strip().replace("-", ""))
    except (OSError, ValueError):
        # A proc file system without it: then nothing is taken over, ever.
        return os.urandom(16)
