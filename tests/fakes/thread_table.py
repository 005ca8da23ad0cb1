"""Threads of an imagined host, for the rules that ask who lives and who owns what."""

from collections.abc import Iterable


class ThreadTable:
    """Implements `Threads`. Threads live until they are ended, and belong to root where nothing else is said."""

    def __init__(self, living: Iterable[int] = ()):
        self._owners: dict[int, tuple[int, int]] = dict.fromkeys(living, (0, 0))

    def start(self, thread_id: int, *, uid: int = 0, suid: int | None = None) -> None:
        self._owners[thread_id] = (uid, uid if suid is None else suid)

    def end(self, thread_id: int) -> None:
        del self._owners[thread_id]

    def exists(self, thread_id: int) -> bool:
        return thread_id in self._owners

    def owner(self, thread_id: int) -> tuple[int, int]:
        try:
            return self._owners[thread_id]
        except KeyError:
            raise ProcessLookupError(thread_id) from None

    def live(self) -> Iterable[int]:
        return tuple(self._owners)
