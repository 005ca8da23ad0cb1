"""Which node number of the FUSE protocol means which path. PURE."""

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
    """The kernel holds numbers, the tree knows paths. A number is never given again, and one whose node is gone stays gone,
    even when another of the same name takes its place."""

    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {ROOT_NODE: _Node("", None)}
        self._number_of: dict[str, int] = {"": ROOT_NODE}
        self._next = ROOT_NODE + 1

    def __len__(self) -> int:
        return len(self._nodes)

    def path(self, number: int) -> str:
        """*Raises:* FileNotFoundError: what this number meant is gone."""
        node = self._nodes.get(number)
        if node is None or node.path is None:
            raise FileNotFoundError(ENOENT, "this file is gone")
        return node.path

    def child(self, parent: int, name: str) -> str:
        """The path of a name in a directory. *Raises:* FileNotFoundError."""
        path = self.path(parent)
        return f"{path}/{name}" if path else name

    def last_attributes(self, number: int) -> Attributes | None:
        """What was last told of a number that the kernel still holds."""
        node = self._nodes.get(number)
        return node.attributes if node is not None else None

    def look_up(self, path: str, attributes: Attributes) -> int:
        """The number of what stands at a path now; the kernel then holds it once more."""
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
        """The kernel lets go of a number that many times."""
        node = self._nodes.get(number)
        if node is None or number == ROOT_NODE:
            return
        node.lookups -= lookups
        if node.lookups <= 0:
            del self._nodes[number]
            if node.path is not None:
                self._number_of.pop(node.path, None)

    def forget_below(self, path: str) -> None:
        """What stood at a path, and all below it, is gone; who holds its numbers reaches nothing by them."""
        for each in self._at_or_below(path):
            self._nodes[self._number_of.pop(each)].path = None

    def move(self, old: str, new: str) -> None:
        """A directory has another path now, and so has all below it."""
        self.forget_below(new)
        for each in self._at_or_below(old):
            number = self._number_of.pop(each)
            path = new + each[len(old) :]
            self._nodes[number].path = path
            self._number_of[path] = number

    def _at_or_below(self, path: str) -> list[str]:
        below = path + "/"
        return [each for each in self._number_of if each == path or each.startswith(below)]
