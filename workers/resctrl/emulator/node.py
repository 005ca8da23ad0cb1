"""Which files and directories a group has, and the ordinary files among them. PURE."""

from collections.abc import Callable
from errno import E2BIG, EINVAL, ENODEV
from stat import S_IFDIR, S_IFREG
from typing import NamedTuple

from workers.resctrl.emulator.command import WRITE_BYTES_MAX, refusal
from workers.resctrl.emulator.event_file import Host
from workers.resctrl.emulator.group import EmulatedGroup
from workers.resctrl.emulator.ports import Caller, OpenFile

READ_ONLY = S_IFREG | 0o444
READ_WRITE = S_IFREG | 0o644

# A group's serial number and the number of a name within a group make an inode; no group has nearly as many names.
NAMES_MAX = 1 << 16

Show = Callable[[EmulatedGroup, int], str]
Write = Callable[[EmulatedGroup, bytes, Caller, int], None]


class Node(NamedTuple):
    """One name below a group. A directory has no `open`, and of its mode only the kind: the rest is the group's."""

    mode: int
    number: int
    open: Callable[[EmulatedGroup], OpenFile] | None


class Numbering:
    """A number for each name that ever existed, the same in every group, so that inodes stay when files come and go."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {"": 0}

    def number(self, rest: str) -> int:
        """The number of a name; a new name gets the next one."""
        return self._numbers.setdefault(rest, len(self._numbers))


class Shape:
    """The tree below one kind of group: `nodes` by path relative to the group, `names` by directory."""

    def __init__(self, numbering: Numbering):
        self._numbering = numbering
        self.nodes: dict[str, Node] = {}
        self.names: dict[str, list[tuple[str, bool]]] = {}
        self.directory("")

    def directory(self, rest: str) -> None:
        """Adds a directory."""
        self.nodes[rest] = Node(S_IFDIR, self._numbering.number(rest), None)
        self.names[rest] = []
        if rest:
            self._enter(rest, is_directory=True)

    def file(self, rest: str, mode: int, open_file: Callable[[EmulatedGroup], OpenFile]) -> None:
        """Adds a file; `open_file` opens it for a group."""
        self.nodes[rest] = Node(mode, self._numbering.number(rest), open_file)
        self._enter(rest, is_directory=False)

    def text(self, host: Host, rest: str, show: Show, write: Write | None = None) -> None:
        """Adds a text file; without `write` it is read-only."""
        self.file(rest, READ_ONLY if write is None else READ_WRITE, lambda group: TextFile(host, group, rest, show, write))

    def _enter(self, rest: str, *, is_directory: bool) -> None:
        above, _, name = rest.rpartition("/")
        self.names[above].append((name, is_directory))


class TextFile:
    """A file whose content is computed at every read."""

    __slots__ = ("_group", "_host", "_rest", "_show", "_write")

    def __init__(self, host: Host, group: EmulatedGroup, rest: str, show: Show, write: Write | None):
        self._host = host
        self._group = group
        self._rest = rest
        self._show = show
        self._write = write

    def _check(self, operation: str, now_ns: int) -> None:
        if self._group.removed:
            raise refusal(ENODEV)
        if self._host.faults is not None:
            self._host.faults.check(operation, f"{self._group.path}/{self._rest}".lstrip("/"), now_ns)

    def read(self, now_ns: int) -> bytes:
        """*Raises:* OSError: ENODEV for a removed group, and what a fault or the file's own rules order."""
        self._check("read", now_ns)
        return self._show(self._group, now_ns).encode("utf-8", "surrogateescape")

    def write(self, content: bytes, caller: Caller, now_ns: int) -> None:
        """*Raises:* OSError: as `read`; E2BIG above one page, EINVAL for a file that cannot be written."""
        self._check("write", now_ns)
        if len(content) > WRITE_BYTES_MAX:
            raise refusal(E2BIG)
        if self._write is None:
            raise refusal(EINVAL)
        self._write(self._group, content, caller, now_ns)
