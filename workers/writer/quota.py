"""Which sealed files go so that the state folder stays within `writer.storage_quota`. PURE.

Sealed files, spool and set-aside files count together. Only files with a name of the agent's own count, and only sealed
ones go here: first those from the future, then the oldest. Age is the generation of the segment, which only grows; the time
in a name is the clock's, and a clock that was wrong for a while would make the newest data look like the oldest.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from agent.config import STORAGE_QUOTA
from agent.model.errors import StorageError
from agent.model.timebase import DAY, civil_date, compact_utc
from agent.setting import KIB, MIB
from agent.store.layout import date_folder, parse_date_folder, parse_sealed_name
from agent.store.segment import generation_of

# Of a walk over any number of files only the oldest are kept, some 300 bytes each; when all of them have gone and it is not
# enough, the next walk brings the next.
CANDIDATES_MAX = 4096

# A clock that is synchronized again may jump by seconds, a wrong time zone by half a day: neither makes data of the future.
AHEAD_NS = 1 * DAY


class StoredFile(Struct, frozen=True, gc=False):
    """One sealed file: `stamp`, the time of its latest row, and `segment` are those in its name; `path` begins at the data folder
    (`table/date=…/name`)."""

    stamp: str
    path: str
    size_bytes: int
    segment: str


class Horizon(Struct, frozen=True):
    """What is later is from the future: the time of a file's latest row, the date of its folder."""

    stamp: str
    date: str

    def is_ahead(self, file: StoredFile) -> bool:
        """Whether a file, or rows in it, are later than any right clock can have said."""
        return file.stamp > self.stamp or file.path.split("/", 2)[1] > self.date

    def age(self) -> "Callable[[StoredFile], tuple[bool, int, str, str]]":
        """The order in which files go."""
        return lambda file: (not self.is_ahead(file), generation_of(file.segment), file.stamp, file.path)


def horizon(wall_ns: int) -> Horizon:
    """A day after now."""
    return Horizon(compact_utc(wall_ns + AHEAD_NS), date_folder(civil_date(wall_ns + AHEAD_NS)))


# Later than any name: nothing is from the future.
NO_HORIZON = Horizon("~", "~")


class Quota(Struct, frozen=True):
    """The limit, 0 for none, and how the names of each table's files begin; of other tables they begin as the table is called."""

    limit_bytes: int
    prefixes: Mapping[str, str]

    def is_table(self, folder: str) -> bool:
        """Whether files of a declared table lie in this folder of the data folder."""
        return folder in self.prefixes

    def parse_file(self, table: str, date: str, name: str, size_bytes: int) -> StoredFile | None:
        """A sealed file by its folders and name; None: it is none of the agent's."""
        prefix = self.prefixes.get(table, f"{table}-")
        found = parse_sealed_name(name, prefix)
        if found is None or not is_date(date):
            return None
        return StoredFile(compact_utc(found.last_wall_ns), f"{table}/{date}/{name}", size_bytes, found.segment)


def is_date(folder: str) -> bool:
    """Whether the sealed files of one date lie in a folder of this name."""
    return parse_date_folder(folder) is not None


def choose(
    files: Sequence[StoredFile], surplus_bytes: int, spooled: Collection[str] = (), ahead_of: Horizon = NO_HORIZON
) -> list[StoredFile]:
    """The files that go, until so many bytes are free or none is left: those from the future, then the oldest; where
    generations are equal or unknown, by the time in their names and then by path.

    `spooled` are the segments that are still in the spool: their files may be made again at any moment and stay.
    """
    chosen: list[StoredFile] = []
    for file in sorted(files, key=ahead_of.age()):
        if surplus_bytes <= 0:
            break
        if file.segment not in spooled:
            chosen.append(file)
            surplus_bytes -= file.size_bytes
    return chosen


def surplus_bytes(limit_bytes: int, sealed_bytes: int, spool_bytes: int) -> int:
    """How much is above the limit; 0 also where the spool, set-aside files included, is so by itself: the limit cannot be
    kept then, and data stays for it."""
    return max(0, sealed_bytes + spool_bytes - limit_bytes) if spool_bytes <= limit_bytes else 0


class Inventory:
    """What one walk found: how much there is, and the oldest files by name."""

    def __init__(self, candidates_max: int = CANDIDATES_MAX, ahead_of: Horizon = NO_HORIZON) -> None:
        self._candidates_max = candidates_max
        self._age = ahead_of.age()
        self.foreign = 0
        self.generation = 0
        self.files = 0
        self.bytes = 0
        self.removed_files = 0
        self.removed_bytes = 0
        # Whether there are more files than those in `oldest`.
        self.is_cut = False
        self.oldest: list[StoredFile] = []

    def add(self, file: StoredFile) -> None:
        """One more file was found."""
        self.files += 1
        self.bytes += file.size_bytes
        self.generation = max(self.generation, generation_of(file.segment))
        self.oldest.append(file)
        if len(self.oldest) >= 2 * self._candidates_max:
            self.oldest.sort(key=self._age)
            del self.oldest[self._candidates_max :]
            self.is_cut = True

    def on_gone(self, file: StoredFile, *, by_us: bool) -> None:
        """A file is not there any more."""
        self.files -= 1
        self.bytes -= file.size_bytes
        if by_us:
            self.removed_files += 1
            self.removed_bytes += file.size_bytes

    def pass_over(self, files: Collection[StoredFile]) -> None:
        """These were tried, and are no candidates any more."""
        tried = {file.path for file in files}
        self.oldest = [file for file in self.oldest if file.path not in tried]


def complaint(quota: Quota, found: Inventory, spool_bytes: int, failure: StorageError | None) -> str:
    """Why the limit is not kept, or at what price, with the remedy; '': all is well. Set-aside files are part of the spool."""
    limit = STORAGE_QUOTA.show(quota.limit_bytes)
    if failure is not None:
        return f"not all of the old data can be counted and removed: {failure.sentence}"
    if spool_bytes > quota.limit_bytes:
        problem = f"the spool alone holds {_rounded(spool_bytes)}, more than {limit}; nothing is removed for it"
        return _sentence(problem, "raise it, or see why the spool is not sealed")
    if found.bytes + spool_bytes > quota.limit_bytes:
        held = f"{_rounded(found.bytes)} sealed and {_rounded(spool_bytes)} in the spool are more than {limit}"
        return _sentence(f"{held}, and nothing more can be removed", "raise it")
    if found.removed_files and not found.files:
        return _sentence(f"not one sealed file fits into {limit} beside the spool", "raise it, or lower writer.seal_bytes")
    return ""


def _sentence(problem: str, remedy: str) -> str:
    return StorageError(STORAGE_QUOTA.key, problem, remedy).sentence


def _rounded(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.1f}MiB" if size_bytes >= MIB else f"{size_bytes / KIB:.1f}KiB"
