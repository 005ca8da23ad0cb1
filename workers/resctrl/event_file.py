"""Event files and their descriptors: the last value of each, and why there is none.

What is read is kept as it was read; nothing is summed here. *Source:* Documentation/filesystems/resctrl.rst, `mon_data`.
"""

from collections.abc import Iterable, Iterator

from agent.model.absence import Absence
from workers.framework.descriptor_pool import DescriptorPool
from workers.resctrl.event import EVENT_BYTES_MAX, parse_event
from workers.resctrl.ports import FileReader
from workers.resctrl.rate import Counter


class EventFileReader:
    """One event of one domain in one directory: its last value, and for a counter its rate; or why there is none."""

    __slots__ = ("content", "counter", "descriptor", "is_failing", "path", "rate", "value")

    def __init__(self, path: str, *, is_counter: bool) -> None:
        self.path = path
        self.descriptor = -1
        self.counter = Counter() if is_counter else None
        self.content = b""
        self.value: int | Absence = Absence.UNREADABLE
        self.rate: float | Absence = Absence.FIRST_TICK
        self.is_failing = False

    def take(self, content: bytes, at_ns: int) -> None:
        """Keep the value that was read, and when."""
        self.content = content
        self.is_failing = False
        self.value = value = parse_event(content)
        if self.counter is not None:
            self.rate = self.counter.rate(value, at_ns) if value.__class__ is int else value

    def fail(self, reason: Absence) -> None:
        """Keep the reason why it could not be read."""
        self.value = self.rate = reason


class Domain:
    """One domain of one resource, or one node of it (`sub`); an event that it does not have is None."""

    __slots__ = ("events", "is_gone", "number", "resource", "sub")

    def __init__(self, resource: str, number: int, sub: int | None, events: tuple[EventFileReader | None, ...]) -> None:
        self.resource = resource
        self.number = number
        self.sub = sub
        self.events = events
        self.is_gone = False

    @property
    def files(self) -> Iterator[EventFileReader]:
        """The events that it has."""
        return (file for file in self.events if file is not None)


class OpenFiles:
    """The descriptors of all event files, as many as this process may have; the rest is opened for each reading."""

    def __init__(self, filesystem: FileReader) -> None:
        self.filesystem = filesystem
        self._pool: DescriptorPool[EventFileReader] = DescriptorPool(filesystem, _forget_descriptor)

    def __len__(self) -> int:
        return len(self._pool)

    def open(self, file: EventFileReader) -> bool:
        """Keep it open; False: it must be opened for each reading. *Raises:* OSError: there is no such file, or none for us."""
        descriptor = self._pool.keep(file, file.path)
        if descriptor is None:
            return False
        file.descriptor = descriptor
        return True

    def read_unopened(self, file: EventFileReader) -> bytes:
        """Read what is not open, and keep it open from now on where that is possible. *Raises:* OSError."""
        if self.open(file):
            return self.filesystem.read_open(file.descriptor, EVENT_BYTES_MAX)
        return self._pool.with_room(lambda: self.filesystem.read(file.path, EVENT_BYTES_MAX))

    def list_directories(self, path: str) -> list[str]:
        """The directories in a directory. *Raises:* OSError."""
        return self._pool.with_room(lambda: self.filesystem.list_directories(path))

    def close(self, files: Iterable[EventFileReader]) -> None:
        """Give their descriptors back."""
        for file in files:
            if file.descriptor >= 0:
                self._pool.give_back(file)
                _forget_descriptor(file)


def _forget_descriptor(file: EventFileReader) -> None:
    file.descriptor = -1
