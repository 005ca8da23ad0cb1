"""The files of a cgroup that are read again and again, and how their numbers are found. PURE."""

from collections.abc import Callable, Iterable
from enum import Enum

from msgspec import Struct

from agent.model.errors import KernelFormatError
from workers.host.number import NUMBER_MAX
from workers.unit.value import Values

# Twenty digits hold every number of 64 bits.
_DIGITS_MAX = 20


class When(Enum):
    """When a file is read, of a unit that did something; at long intervals every file is."""

    ALWAYS = "always"
    COUNTED_ABOVE = "counted above"
    """What it counts is counted in all cgroups above it too: it is left out while nothing moved there."""
    LATER = "later"
    """Costly, or of little weight: some seconds after the last time, or when the unit's memory has changed much."""
    LIMITED = "limited"
    """Only where a CPU limit is in force, without which all of it stays 0."""
    SELDOM = "seldom"
    """What changes slowly."""


class CgroupFile(Struct, frozen=True):
    """One file in each unit's cgroup. `parse` puts its numbers into their places of the list, which are `places`.

    `controller` must be enabled for the cgroup, empty: the file needs none. *Raises:* `parse` a KernelFormatError, perhaps with
    some places filled.
    """

    name: str
    controller: str
    places: tuple[int, ...]
    parse: Callable[[bytes, Values], None]
    bytes_max: int = 4096
    when: When = When.ALWAYS


def number(word: bytes, scale: int = 1) -> int | None:
    """The number that a word is, times `scale`. *Absent:* it is none, or does not fit a column of 64 bits."""
    if not word.isdigit() or len(word) > _DIGITS_MAX:
        return None
    found = int(word) * scale
    return found if found <= NUMBER_MAX else None


def total_of(parts: Iterable[bytes]) -> int | None:
    """The sum of the numbers that words are. *Absent:* one is none, or the sum does not fit a column of 64 bits."""
    total = 0
    for part in parts:
        if (found := number(part)) is None:
            return None
        total += found
    return total if total <= NUMBER_MAX else None


def level_of(place: int, name: str) -> Callable[[bytes, Values], None]:
    """The parser of a file that has one number, such as `memory.current`, or `max` for none."""

    def parse(text: bytes, values: Values) -> None:
        word = text.rstrip(b"\n")
        found = number(word)
        if found is None and word != b"max":
            raise unreadable(name, text)
        values[place] = found

    return parse


def unreadable(name: str, text: bytes) -> KernelFormatError:
    """What is raised for a text without the numbers that it must have."""
    return KernelFormatError(name, f"cannot be read: {text[:80]!r}")
