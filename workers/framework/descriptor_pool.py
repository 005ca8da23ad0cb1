"""Files that are read again and again stay open, as many as this process may have.

When the system refuses another descriptor, the pool gives some back, for everything else in the process that must still be opened,
and keeps no more than are left from then on. What is not kept is opened for each reading.
"""

from collections.abc import Callable, Hashable
from contextlib import suppress
from errno import EMFILE, ENFILE
from typing import Generic, Protocol, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
T = TypeVar("T")

# Given back when this process may open no more files: directories must still be listed, and sockets connected.
SPARE_DESCRIPTORS = 16


class FileOpener(Protocol):
    """What descriptors come from: a kernel tree or a resctrl mount."""

    def open(self, path: str) -> int:
        """A descriptor to read with. *Raises:* OSError."""
        ...

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        ...


def is_shortage(refused: OSError) -> bool:
    """Whether there is no descriptor left, for this process or for the host."""
    return refused.errno in (EMFILE, ENFILE)


class DescriptorPool(Generic[KeyT]):
    """The descriptors that are kept, by key. `on_closed` is called with the key of each that the pool has given back by itself."""

    def __init__(self, opener: FileOpener, on_closed: Callable[[KeyT], None] = lambda _key: None) -> None:
        self._opener = opener
        self._on_closed = on_closed
        self._kept: dict[KeyT, int] = {}
        self._kept_max: int | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: KeyT) -> int | None:
        """The descriptor of a key. *Absent:* it is not kept."""
        return self._kept.get(key)

    def keep(self, key: KeyT, path: str) -> int | None:
        """Open a file and keep it. *Absent:* there are as many as this process may have.

        *Raises:* OSError: there is no such file, or this process may not read it, or there is no descriptor and none to give back.
        """
        assert key not in self._kept, "a key is kept once"
        if self._kept_max is not None and len(self._kept) >= self._kept_max:
            return None
        try:
            descriptor = self._opener.open(path)
        except OSError as refused:
            self.make_room(refused)
            return None
        self._kept[key] = descriptor
        return descriptor

    def give_back(self, key: KeyT) -> None:
        """Keep this one open no longer, if it is."""
        descriptor = self._kept.pop(key, None)
        if descriptor is not None:
            # On a file system that is gone even this may fail; the descriptor is free in any case.
            with suppress(OSError):
                self._opener.close(descriptor)

    def with_room(self, read: Callable[[], T]) -> T:
        """What `read` gives, which opens something else; tried once more after making room. *Raises:* OSError."""
        try:
            return read()
        except OSError as refused:
            self.make_room(refused)
            return read()

    def make_room(self, refused: OSError) -> None:
        """Give some descriptors back and keep no more from now on. *Raises:* the refusal, when that does not help."""
        if not is_shortage(refused) or not self._kept:
            raise refused
        for _ in range(min(SPARE_DESCRIPTORS, len(self._kept))):
            key = next(reversed(self._kept))
            self.give_back(key)
            self._on_closed(key)
        self._kept_max = len(self._kept)

    def close(self, heartbeat: Callable[[], None] = lambda: None, closes_per_beat: int = 256) -> None:
        """Give everything back; thousands take milliseconds."""
        for number, key in enumerate(list(self._kept), start=1):
            self.give_back(key)
            if number % closes_per_beat == 0:
                heartbeat()
