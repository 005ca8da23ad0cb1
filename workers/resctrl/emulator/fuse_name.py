"""Requests for names and attributes: look up, stat, change, make, remove, rename. *Source:* linux/fuse.h."""

import os

from workers.resctrl.emulator import fuse_protocol as wire
from workers.resctrl.emulator.fuse_node import Nodes
from workers.resctrl.emulator.fuse_request import Handler, RequestTime
from workers.resctrl.emulator.ports import Attributes, Caller, Tree

# Times that utimensat(2) has set are kept for this many inodes; most of them belong to groups that are gone.
TIMES_MAX = 10_000


class NameRequests:
    """The names of one mount. `valid_ns`: how long the kernel may keep names and attributes that it was told."""

    def __init__(self, tree: Tree, nodes: Nodes, at: RequestTime, valid_ns: int) -> None:
        assert valid_ns >= 0
        self._tree = tree
        self._nodes = nodes
        self._at = at
        self._valid_ns = valid_ns
        # What utimensat(2) has set, by inode: last access and last change.
        self._times: dict[int, tuple[int, int]] = {}

    @property
    def handlers(self) -> dict[int, Handler]:
        """Each request that is answered here, by its opcode."""
        return {
            wire.LOOKUP: self.look_up,
            wire.FORGET: self.forget,
            wire.BATCH_FORGET: self.batch_forget,
            wire.GETATTR: self.get_attributes,
            wire.SETATTR: self.set_attributes,
            wire.MKDIR: self.mkdir,
            wire.RMDIR: self.rmdir,
            wire.RENAME: self.rename,
            wire.STATFS: self.statfs,
        }

    def _entry(self, unique: int, path: str) -> bytes:
        attributes = self._tree.attributes(path)
        number = self._nodes.look_up(path, attributes)
        return wire.reply(unique, wire.entry(number, attributes, self._times.get(attributes.inode), self._valid_ns))

    def _attributes(self, unique: int, attributes: Attributes) -> bytes:
        times = self._times.get(attributes.inode)
        return wire.reply(unique, wire.attributes_out(attributes, times, self._valid_ns))

    def look_up(self, unique: int, node: int, _caller: Caller, body: bytes) -> bytes:
        """*Raises:* FileNotFoundError."""
        return self._entry(unique, self._nodes.child(node, wire.text_of(body)))

    def forget(self, _unique: int, node: int, _caller: Caller, body: bytes) -> None:
        """The kernel drops its references to a node."""
        self._nodes.forget(node, wire.HANDLE.unpack_from(body)[0])

    def batch_forget(self, _unique: int, _node: int, _caller: Caller, body: bytes) -> None:
        """The kernel drops its references to several nodes."""
        number_of_nodes, _ = wire.TWO_WORDS.unpack_from(body)
        for place in range(number_of_nodes):
            self._nodes.forget(*wire.FORGET_ONE.unpack_from(body, wire.TWO_WORDS.size + place * wire.FORGET_ONE.size))

    def get_attributes(self, unique: int, node: int, _caller: Caller, _body: bytes) -> bytes:
        """*Raises:* FileNotFoundError for a file that is gone and that the kernel never looked up."""
        try:
            attributes = self._tree.attributes(self._nodes.path(node))
        except FileNotFoundError:
            # A process that has the file open may still ask for its attributes.
            last = self._nodes.last_attributes(node)
            if last is None:
                raise
            attributes = last
        return self._attributes(unique, attributes)

    def set_attributes(self, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        """Keeps mode, owner and times. A size is accepted and ignored, so that a shell can redirect into a file.

        *Raises:* FileNotFoundError.
        """
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
            self._keep_times(before.inode, wanted.accessed_ns or accessed_ns, wanted.changed_ns or changed_ns)
        return self.get_attributes(unique, node, caller, body)

    def _keep_times(self, inode: int, accessed_ns: int, changed_ns: int) -> None:
        if len(self._times) >= TIMES_MAX:
            del self._times[next(iter(self._times))]
        self._times[inode] = (accessed_ns, changed_ns)

    def mkdir(self, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        """*Raises:* OSError as the tree's rules say; so do `rmdir` and `rename`."""
        mode, _ = wire.TWO_WORDS.unpack_from(body)
        path = self._nodes.child(node, wire.text_of(body[wire.TWO_WORDS.size :]))
        self._at.bring_up_to_date()
        self._tree.mkdir(path, mode, caller, self._at.now_ns)
        return self._entry(unique, path)

    def rmdir(self, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        """Removes a group."""
        path = self._nodes.child(node, wire.text_of(body))
        self._at.bring_up_to_date()
        self._tree.rmdir(path, caller, self._at.now_ns)
        self._nodes.forget_below(path)
        return wire.reply(unique)

    def rename(self, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        """Moves a group; open files and nodes below it go on under the new path."""
        (new_parent,) = wire.RENAME_IN.unpack_from(body)
        old_name, new_name, *_ = body[wire.RENAME_IN.size :].split(b"\0")
        old = self._nodes.child(node, os.fsdecode(old_name))
        new = self._nodes.child(new_parent, os.fsdecode(new_name))
        self._at.bring_up_to_date()
        self._tree.rename(old, new, caller, self._at.now_ns)
        self._nodes.move(old, new)
        return wire.reply(unique)

    def statfs(self, unique: int, _node: int, _caller: Caller, _body: bytes) -> bytes:
        """A file system without blocks."""
        return wire.reply(unique, wire.STATFS_OUT.pack(0, 0, 0, 0, 0, wire.PAGE_BYTES, wire.NAME_BYTES_MAX, wire.PAGE_BYTES))
