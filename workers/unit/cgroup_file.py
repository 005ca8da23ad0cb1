"""The files of a cgroup that are read again and again, and how their numbers are found. PURE."""

from collections.abc import Callable

from msgspec import Struct

from agent.model.errors import KernelFormatError
from workers.host.number import NUMBER_MAX
from workers.unit.value import Values

# Twenty digits hold every number of 64 bits.
_DIGITS_MAX = 20


class CgroupFile(Struct, frozen=True):
    """One file in each unit's cgroup. `parse` puts its numbers into their places of the list, which are `places`.

    `controller` must be enabled for the cgroup, empty: the file needs none. `is_slow`: what it says changes slowly or matters
    little, so it is read less often. *Raises:* `parse` a KernelFormatError, with the list as it was or in part.
    """

    name: str
    controller: str
    places: tuple[int, ...]
    parse: Callable[[bytes, Values], None]
    bytes_max: int = 4096
    is_slow: bool = False


def number(word: bytes, scale: int = 1) -> int | None:
    """The number that a word is, times `scale`. *Absent:* it is none, or does not fit a column of 64 bits."""
    if not word.isdigit() or len(word) > _DIGITS_MAX:
        return None
    found = int(word) * scale
    return found if found <= NUMBER_MAX else None


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
