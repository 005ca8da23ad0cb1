"""The last seconds of one thing: a few numbers for each second, in a fixed room. PURE."""

from array import array
from collections.abc import Sequence
from math import isnan, nan

# Numbers of a second are kept as 32-bit floats: seven digits, more than a picture shows.
_TYPE = "f"


class SecondRing:
    """So many columns over `seconds` seconds. *Units:* a second is a whole number of unix time.

    *Absent:* what was not put is None; of a second before the room, or after the newest, everything is.
    """

    __slots__ = ("_cells", "_columns", "_seconds", "first", "newest")

    def __init__(self, columns: int, seconds: int) -> None:
        self._columns = columns
        self._seconds = seconds
        self._cells = array(_TYPE, [nan]) * (columns * seconds)
        # Of all that was put, also what is no longer in the room.
        self.first: int | None = None
        self.newest: int | None = None

    def put(self, second: int, values: Sequence[float | None]) -> bool:
        """Keep the values of a second; None leaves what is there. False: it is before the room."""
        assert len(values) == self._columns
        newest = self.newest
        if newest is not None and second <= newest - self._seconds:
            return False
        if newest is None or second > newest:
            self._clear(newest, second)
            self.newest = second
        self.first = second if self.first is None else min(self.first, second)
        base = second % self._seconds * self._columns
        for column, value in enumerate(values):
            if value is not None:
                self._cells[base + column] = value
        return True

    def get(self, second: int, column: int) -> float | None:
        """One value."""
        if self.newest is None or not self.newest - self._seconds < second <= self.newest:
            return None
        value = self._cells[second % self._seconds * self._columns + column]
        return None if isnan(value) else value

    def column(self, column: int, since: int, until: int) -> list[float | None]:
        """The values of the seconds from `since` to before `until`."""
        return [self.get(second, column) for second in range(since, until)]

    def _clear(self, newest: int | None, second: int) -> None:
        """Forget the seconds whose room the new ones take."""
        begin = second - self._seconds + 1 if newest is None else max(newest + 1, second - self._seconds + 1)
        for each in range(begin, second + 1):
            base = each % self._seconds * self._columns
            for place in range(base, base + self._columns):
                self._cells[place] = nan
