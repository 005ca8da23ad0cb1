"""The bytes of the FUSE device protocol. *Source:* linux/fuse.h, protocol 7.31.

Every structure is compiled once. Numbers are little-endian, as all machines with resctrl are.
"""

import os
from struct import Struct
from typing import NamedTuple

from workers.resctrl.emulator.ports import Attributes

# The version that this side speaks; a newer kernel uses the older of the two.
MAJOR, MINOR = 7, 31
ROOT_NODE = 1

LOOKUP, FORGET, GETATTR, SETATTR, READLINK, SYMLINK = 1, 2, 3, 4, 5, 6
MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK, OPEN, READ, WRITE, STATFS = 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
RELEASE, FSYNC, INIT, OPENDIR, READDIR, RELEASEDIR = 18, 20, 26, 27, 28, 29
CREATE, INTERRUPT, DESTROY, BATCH_FORGET, RENAME2, TMPFILE = 35, 36, 38, 42, 45, 51

# A command is at most one page; this is enough to recognize a longer one.
WRITE_BYTES_MAX = 8192
# The kernel refuses a smaller buffer than this: the longest write with both of its heads.
REQUEST_BYTES_MAX = 40 + 40 + WRITE_BYTES_MAX
REPLY_HEAD_BYTES = 16

# INIT flags. Locks stay the kernel's own because FLOCK_LOCKS and POSIX_LOCKS are not asked for; truncation comes as SETATTR.
BIG_WRITES, PARALLEL_DIROPS = 1 << 5, 1 << 18
DIRECT_IO = 1 << 0
# Which fields of SETATTR hold something.
SET_MODE, SET_UID, SET_GID, SET_ACCESSED, SET_CHANGED = 1 << 0, 1 << 1, 1 << 2, 1 << 4, 1 << 5

# len, opcode, unique, node, uid, gid, pid (the thread's id), length of extensions
HEAD = Struct("<IIQQIIIHH")
# unique, then handle, offset, size: all that a READ needs, in one go
READ_HEAD = Struct("<8xQ24xQQI")
REPLY_HEAD = Struct("<IiQ")
HANDLE_OFFSET_SIZE = Struct("<QQI")
HANDLE = Struct("<Q")
TWO_WORDS = Struct("<II")
# valid, seconds of access and change, their nanoseconds, mode, uid, gid
_SETATTR_IN = Struct("<I28xQQ8xII4xI4xII")
RENAME_IN, RENAME2_IN = Struct("<Q"), Struct("<QII")
WRITE_IN_BYTES = 40
OPEN_OUT = Struct("<QII")
WRITE_OUT = Struct("<II")
STATFS_OUT = Struct("<QQQQQIII28x")
# major, minor, readahead, flags, background, congestion, max_write, granularity of times, and what stays 0
INIT_OUT = Struct("<IIIIHHII36x")
FORGET_ONE = Struct("<QQ")
# inode, size, blocks, three times and their nanoseconds, mode, links, uid, gid, device, block size, flags
_ATTRIBUTES = Struct("<QQQQQQIIIIIIIIII")
_ENTRY_HEAD = Struct("<QQQQII")
_ATTRIBUTES_HEAD = Struct("<QII")
_DIRENT = Struct("<QQII")

PAGE_BYTES = 4096
NAME_BYTES_MAX = 255
_NANOSECONDS = 1_000_000_000
# FUSE_UNKNOWN_INO: the caller must not use the inode numbers of a READDIR answer.
_UNKNOWN_INODE = 0xFFFF_FFFF
_IS_DIRECTORY, _IS_FILE = 4, 8


class SetAttributes(NamedTuple):
    """What SETATTR asks to change; None: unchanged."""

    mode: int | None
    uid: int | None
    gid: int | None
    accessed_ns: int | None
    changed_ns: int | None

    @classmethod
    def parse(cls, body: bytes) -> "SetAttributes":
        """From the body of a SETATTR request."""
        valid, accessed, changed, accessed_rest, changed_rest, mode, uid, gid = _SETATTR_IN.unpack_from(body)
        return cls(
            mode & 0o7777 if valid & SET_MODE else None,
            uid if valid & SET_UID else None,
            gid if valid & SET_GID else None,
            accessed * _NANOSECONDS + accessed_rest if valid & SET_ACCESSED else None,
            changed * _NANOSECONDS + changed_rest if valid & SET_CHANGED else None,
        )


Times = tuple[int, int]
"""Last access and last change of the content, in nanoseconds since 1970."""


def _attributes_bytes(attributes: Attributes, times: Times | None) -> bytes:
    seconds, nanoseconds = divmod(attributes.changed_at_wall_ns, _NANOSECONDS)
    accessed_ns, changed_ns = times or (attributes.changed_at_wall_ns,) * 2
    accessed, accessed_rest = divmod(accessed_ns, _NANOSECONDS)
    changed, changed_rest = divmod(changed_ns, _NANOSECONDS)
    return _ATTRIBUTES.pack(
        attributes.inode, 0, 0, accessed, changed, seconds, accessed_rest, changed_rest, nanoseconds,
        attributes.mode, attributes.links, attributes.uid, attributes.gid, 0, PAGE_BYTES, 0,
    )  # fmt: skip


def entry(node: int, attributes: Attributes, times: Times | None, valid_ns: int) -> bytes:
    """The answer to LOOKUP and MKDIR. A node number is never reused, so the generation is always 0."""
    seconds, nanoseconds = divmod(valid_ns, _NANOSECONDS)
    return _ENTRY_HEAD.pack(node, 0, seconds, seconds, nanoseconds, nanoseconds) + _attributes_bytes(attributes, times)


def attributes_out(attributes: Attributes, times: Times | None, valid_ns: int) -> bytes:
    """The answer to GETATTR and SETATTR."""
    seconds, nanoseconds = divmod(valid_ns, _NANOSECONDS)
    return _ATTRIBUTES_HEAD.pack(seconds, nanoseconds, 0) + _attributes_bytes(attributes, times)


def directory_records(names: list[tuple[str, bool]]) -> list[bytes]:
    """One record for each name of a directory, the two dots first; the offset of each is its place in the list."""
    records = []
    for place, (name, is_directory) in enumerate([(".", True), ("..", True), *names], start=1):
        raw = os.fsencode(name)
        padding = bytes(-len(raw) % 8)
        records.append(_DIRENT.pack(_UNKNOWN_INODE, place, len(raw), _IS_DIRECTORY if is_directory else _IS_FILE) + raw + padding)
    return records


def cut_records(records: list[bytes], offset: int, bytes_max: int) -> bytes:
    """As many whole records from `offset` on as fit into the kernel's buffer."""
    taken: list[bytes] = []
    for record in records[offset:]:
        bytes_max -= len(record)
        if bytes_max < 0:
            break
        taken.append(record)
    return b"".join(taken)


def reply(unique: int, payload: bytes = b"") -> bytes:
    """The answer to a request that succeeded."""
    return REPLY_HEAD.pack(REPLY_HEAD_BYTES + len(payload), 0, unique) + payload


def refusal(unique: int, number: int) -> bytes:
    """The answer to a request that failed, with its errno."""
    return REPLY_HEAD.pack(REPLY_HEAD_BYTES, -number, unique)


def text_of(raw: bytes) -> str:
    """A name in a request, up to its NUL."""
    return os.fsdecode(raw.partition(b"\0")[0])
