"""The values of a window that no sketch can be built of: each with how often it came. PURE, bounded.

It takes the place of a `Sketch` in a window, and cannot fail.
"""

from collections.abc import Iterable

from agent.model.sketch import VALUE_MAX

# Of all units and commands together: a window of 500 processes has some thousand, because most use no CPU and keep their memory.
VALUES_MAX = 4_096


class RawRoom:
    """How many further values the distributions of a window may keep together, and how often one came that had no room."""

    def __init__(self, values_max: int = VALUES_MAX) -> None:
        self.left = values_max
        self.dropped = 0


class RawValues:
    """What was counted, by value. `sum` is that of the window, with `sum_before` of the sketch whose place it takes."""

    __slots__ = ("_room", "sum", "times")

    def __init__(self, room: RawRoom, sum_before: int = 0) -> None:
        self._room = room
        self.sum = sum_before
        self.times: dict[int, int] = {}

    def add(self, value: int, times: int = 1) -> None:
        """Count a value. *Range:* what a column holds; a value that would be one too many is counted as dropped."""
        self.sum += value * times
        value = max(-VALUE_MAX, min(value, VALUE_MAX))
        if value not in self.times:
            if not self._room.left:
                self._room.dropped += times
                return
            self._room.left -= 1
        self.times[value] = self.times.get(value, 0) + times

    def add_all(self, values: Iterable[int]) -> None:
        """Count each of them once."""
        for value in values:
            self.add(value)
