"""The node numbers of the FUSE protocol and their paths. PURE."""

from errno import ENOENT

from workers.resctrl.emulator.fuse_protocol import ROOT_NODE
from workers.resctrl.emulator.ports import Attributes


class _Node:
    __slots__ = ("attributes", "lookups", "path")

    def __init__(self, path: str | None, attributes: Attributes | None) -> None:
        self.path = path
        self.attributes = attributes
        self.lookups = 0


class Nodes:
    """Maps the kernel's node numbers to the tree's paths. A number is never reused, and the number of a removed file stays invalid,
    even if another file gets its name."""

    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {ROOT_NODE: _Node("", None)}
        self._number_of: dict[str, int] = {"": ROOT_NODE}
        self._next = ROOT_NODE + 1

    def __len__(self) -> int:
        return len(self._nodes)

    def path(self, number: int) -> str:
        """The path of a number. *Raises:* FileNotFoundError when the file is gone."""
        node = self._nodes.get(number)
        if node is None or node.path is None:
            raise FileNotFoundError(ENOENT, "this file is gone")
        return node.path

    def child(self, parent: int, name: str) -> str:
        """The path of a name in a directory. *Raises:* FileNotFoundError."""
        path = self.path(parent)
        return f"{path}/{name}" if path else name

    def last_attributes(self, number: int) -> Attributes | None:
        """The last attributes given for a number that the kernel still holds. *Absent:* None without any."""
        node = self._nodes.get(number)
        return node.attributes if node is not None else None

    def look_up(self, path: str, attributes: Attributes) -> int:
        """The number of the file at a path now; the kernel then holds one more reference to it."""
        number = self._number_of.get(path)
        if number is not None and self._is_another(self._nodes[number], attributes):
            self.forget_below(path)
            number = None
        if number is None:
            number = self._next
            self._next += 1
            self._nodes[number] = _Node(path, attributes)
            self._number_of[path] = number
        node = self._nodes[number]
        node.attributes = attributes
        node.lookups += 1
        return number

    @staticmethod
    def _is_another(node: _Node, attributes: Attributes) -> bool:
        return node.attributes is not None and node.attributes.inode != attributes.inode

    def forget(self, number: int, lookups: int) -> None:
        """The kernel drops this many references to a number."""
        node = self._nodes.get(number)
        if node is None or number == ROOT_NODE:
            return
        node.lookups -= lookups
        if node.lookups <= 0:
            del self._nodes[number]
            if node.path is not None:
                self._number_of.pop(node.path, None)

    def forget_below(self, path: str) -> None:
        """The file at a path and all below it are gone; their numbers become invalid."""
        for each in self._at_or_below(path):
            self._nodes[self._number_of.pop(each)].path = None

    def move(self, old: str, new: str) -> None:
        """A directory, and all below it, has another path now."""
        self.forget_below(new)
        for each in self._at_or_below(old):
            number = self._number_of.pop(each)
            path = new + each[len(old) :]
            self._nodes[number].path = path
            self._number_of[path] = number

    def _at_or_below(self, path: str) -> list[str]:
        below = path + "/"
        return [each for each in self._number_of if each == path or each.startswith(below)]
