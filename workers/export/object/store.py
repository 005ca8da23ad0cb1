"""What stores files under a name once and for all, and how it says that it cannot. PURE."""

from typing import Protocol

from workers.export.sink import Later, Paused


class StoreFailure(Exception):
    """It could not be stored now; the verdict says what becomes of it."""

    def __init__(self, verdict: Later | Paused) -> None:
        super().__init__(verdict.sentence)
        self.verdict = verdict


class Store(Protocol):
    """A bucket, or a folder. *Raises:* StoreFailure."""

    def put(self, name: str, content: bytes) -> bool:
        """Store it under a name that nobody has: True, also where it has this content already (an answer was lost). False: it is
        there with another content, which stays as it is."""
        ...

    def probe(self) -> str:
        """Whether it can be reached, without storing anything. A sentence: it can, but something could not be found out."""
        ...
