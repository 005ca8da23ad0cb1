"""What a compactor is told, as arguments of its process. PURE."""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.errors import MisuseError

_OPTIONS = ("--prefix", "--id", "--install", "--reader-gid", "--parent")


class Order(Struct, frozen=True):
    """What to compact: the folder `date=…` of a table, whose files' names begin with `prefix`; `segment` is the new file's id,
    `install` whose files are taken, `reader_gid` the group that may read the result."""

    state_directory: str
    table: str
    folder: str
    prefix: str
    segment: str
    install: str = ""
    reader_gid: int | None = None

    def arguments(self) -> list[str]:
        """As `parse_arguments` takes them."""
        words = [self.state_directory, self.table, self.folder]
        words += ["--prefix", self.prefix, "--id", self.segment, "--install", self.install]
        return words if self.reader_gid is None else [*words, "--reader-gid", str(self.reader_gid)]


def parse_arguments(arguments: Sequence[str]) -> tuple[str, Order | None, int | None]:
    """The state folder, the order (None: only clean up) and the parent's number. *Raises:* MisuseError."""
    words = list(arguments)
    options: dict[str, str] = {}
    while len(words) > 2 and words[-2] in _OPTIONS:
        options[words[-2]] = words[-1]
        del words[-2:]
    numbers = [options.get(name) for name in ("--reader-gid", "--parent")]
    is_whole = len(words) == 1 or (len(words) == 3 and "--prefix" in options and "--id" in options)
    if not is_whole or not all(number is None or number.isdecimal() for number in numbers):
        raise MisuseError("compactor", f"needs STATE_DIR, or STATE_DIR TABLE DATE and of {' '.join(_OPTIONS)} the first two")
    reader_gid, parent = (None if number is None else int(number) for number in numbers)
    if len(words) == 1:
        return words[0], None, parent
    state_directory, table, folder = words
    install = options.get("--install", "")
    return state_directory, Order(state_directory, table, folder, options["--prefix"], options["--id"], install, reader_gid), parent
