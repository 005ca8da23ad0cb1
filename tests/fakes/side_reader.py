"""A side reader without a thread: what sticks in it is said by the test."""

from collections.abc import Callable, Hashable, Sequence

from agent.side_reader import SideReader, Unanswered


class InlineReader(SideReader[bytes]):
    """Answers in the caller's thread; the paths in `stuck_paths` are not answered, those in `unasked_paths` not asked."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        super().__init__(read)
        self._read_inline = read
        self.stuck_paths: set[str] = set()
        self.unasked_paths: set[str] = set()
        self.hand_overs: list[list[str]] = []
        self.before_read: Callable[[], object] = lambda: None
        # Which file an open descriptor is of.
        self.path_of: Callable[[str], str] = lambda word: word

    @property
    def stuck(self) -> int:
        """How many reads have not come back."""
        return len(self.stuck_paths)

    def read_all(self, asks: Sequence[tuple[Hashable, str]]) -> dict[Hashable, bytes | OSError | Unanswered]:
        """See `SideReader`."""
        self.hand_overs.append([self.path_of(word) for _, word in asks])
        return {key: self._answer(word) for key, word in asks}

    def _answer(self, word: str) -> bytes | OSError | Unanswered:
        path = self.path_of(word)
        if path in self.stuck_paths:
            return Unanswered.STUCK
        if path in self.unasked_paths:
            return Unanswered.NOT_ASKED
        self.before_read()
        try:
            return self._read_inline(word)
        except OSError as failure:
            return failure
