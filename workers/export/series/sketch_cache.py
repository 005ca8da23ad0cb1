"""What was made of a sketch, kept as long as it is shown: its row comes once a minute and is shown several times. PURE."""

from collections.abc import Callable
from typing import Generic, TypeVar

from agent.model.sketch import SketchColumns

M = TypeVar("M")


class SketchCache(Generic[M]):
    """`get` makes something of a sketch once; `sweep` forgets all that were not asked for since the last sweep."""

    def __init__(self, make: Callable[[SketchColumns], M]) -> None:
        self._make = make
        # By the identity of the sketch, which is held so that no other one has it.
        self._held: dict[int, tuple[SketchColumns, M]] = {}
        self._used: dict[int, tuple[SketchColumns, M]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def get(self, sketch: SketchColumns) -> M:
        """What was made of it."""
        found = self._held.get(id(sketch))
        if found is None:
            found = self._held[id(sketch)] = (sketch, self._make(sketch))
        self._used[id(sketch)] = found
        return found[1]

    def sweep(self) -> None:
        """All of one answer was made."""
        self._held, self._used = self._used, {}
