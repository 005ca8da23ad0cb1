"""The event files of one group directory, read over descriptors that stay open: one read and one time stamp for each.

Which resources, domains and sub-nodes there are is found by their names and never assumed. What is read is kept as it was
read; nothing is summed here.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from errno import ENOENT

from agent.model.absence import Absence
from agent.model.timebase import MS, S
from agent.ports import Clock
from workers.resctrl.event import EVENT_BYTES_MAX, absence_of
from workers.resctrl.event_file import Domain, EventFileReader, OpenFiles
from workers.resctrl.rate import Counter

# In the order of the columns; only the first is no counter.
EVENTS = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
_DOMAIN = re.compile(r"mon_(?!sub_)(\w+)_(\d+)", re.ASCII)
_SUB_DOMAIN = re.compile(r"mon_sub_\w+_(\d+)", re.ASCII)
# Interval at which a domain that stays unreadable is looked for again.
LOOK_AGAIN_NS = 2 * S
# A reading that took longer says too little about when: half of it is 0.1 % of a second. It is taken once more, but not often:
# where every one is slow, that would only double the scan.
SLOW_READ_NS = 2 * MS
SLOW_READS_MAX = 3


class DirectoryReader:
    """All event files of one group directory (`path` below the root). Not open before its first scan.

    `on_slow` is called after each reading that was slow, so that a long scan is not taken for a hang.
    """

    def __init__(self, path: str, files: OpenFiles, clock: Clock, on_slow: Callable[[], object] = lambda: None) -> None:
        self.path = path
        self._files = files
        self._now = clock.now_ns
        self._on_slow = on_slow
        self._in_order: list[EventFileReader] = []
        self._found: dict[str, Domain] = {}
        self._scanned_at_ns = -1
        self._looked_at_ns = 0
        self._has_gone = False
        # Why nothing at all can be read here; None: something can.
        self.problem: Absence | None = None
        self.is_open = False
        # Grows whenever domains came or went.
        self.layout = 0
        # Files that gave no number in the last scan because they could not be read.
        self.failed = 0

    @property
    def domains(self) -> Iterable[Domain]:
        """The domains, each followed by its nodes; one that is gone stays for the scan that noticed it."""
        return self._found.values()

    @property
    def files(self) -> Sequence[EventFileReader]:
        """All event files, in the order in which they are read."""
        return self._in_order

    @property
    def looked_at_ns(self) -> int:
        """When the domains were last listed."""
        return self._looked_at_ns

    def scan(self, now_ns: int) -> None:
        """Read every file once. The second call with the same `now_ns` does nothing: two groups may share a directory."""
        if self._scanned_at_ns == now_ns:
            return
        self._scanned_at_ns = now_ns
        if self._has_gone:
            self._drop_gone()
        if not self.is_open:
            self.look(now_ns)
        if self._read(self._in_order):
            self._look_after_failure(now_ns)

    def look(self, now_ns: int) -> list[EventFileReader]:
        """List the domains, open what is new and what had vanished; gives the files that had vanished and were opened again."""
        self._looked_at_ns = now_ns
        try:
            names = self._list()
        except OSError as failure:
            self._on_unlisted(absence_of(failure))
            return []
        self.problem, self.is_open = None, True
        reopened: list[EventFileReader] = []
        for name, domain in self._found.items():
            if name not in names:
                domain.is_gone = self._has_gone = True
            else:
                reopened += self._reopen(domain)
        new = [(name, *place) for name, place in names.items() if name not in self._found]
        for name, resource, number, sub in new:
            self._found[name] = Domain(resource, number, sub, tuple(self._open(name, event) for event in EVENTS))
        if new:
            self._arrange()
        return reopened

    def close(self) -> None:
        """Give every descriptor back."""
        self._files.close(self._in_order)
        self._found.clear()
        self._arrange()
        self.is_open = False

    # ---- reading -----------------------------------------------------------------------------------

    def _read(self, files: Sequence[EventFileReader]) -> bool:
        """Read these files; whether one has vanished since the last time."""
        read, now = self._files.filesystem.read_open, self._now
        failed, has_vanished, retries_left = 0, False, SLOW_READS_MAX
        before_ns = now()
        for file in files:
            try:
                content = read(file.descriptor, EVENT_BYTES_MAX) if file.descriptor >= 0 else self._files.read_unopened(file)
                after_ns = now()
                if after_ns - before_ns > SLOW_READ_NS:
                    self._on_slow()
                    if retries_left and file.descriptor >= 0:
                        retries_left -= 1
                        before_ns = now()
                        content = read(file.descriptor, EVENT_BYTES_MAX)
                        after_ns = now()
            except OSError as failure:
                has_vanished |= self._on_failure(file, absence_of(failure))
                failed += 1
                before_ns = now()
                continue
            # The counter was read somewhere in between.
            file.take(content, (before_ns + after_ns) >> 1)
            before_ns = after_ns
        self.failed = failed
        return has_vanished

    def _on_failure(self, file: EventFileReader, reason: Absence) -> bool:
        file.fail(reason)
        if reason is not Absence.VANISHED:
            return False
        was_failing, file.is_failing = file.is_failing, True
        return not was_failing or self._scanned_at_ns - self._looked_at_ns >= LOOK_AGAIN_NS

    def _look_after_failure(self, now_ns: int) -> None:
        """A domain may be gone, or the whole group made again: then its files are there again, and read at once."""
        failed = self.failed
        reopened = self.look(now_ns)
        if reopened:
            self._read(reopened)
            self.failed += failed - len(reopened)

    # ---- finding -----------------------------------------------------------------------------------

    def _list(self) -> dict[str, tuple[str, int, int | None]]:
        """Domains and their nodes, by their path below `mon_data`. *Raises:* OSError."""
        found: dict[str, tuple[str, int, int | None]] = {}
        for name in sorted(self._files.list_directories(f"{self.path}/mon_data")):
            if (domain := _DOMAIN.fullmatch(name)) is None:
                continue
            resource, number = domain[1], int(domain[2])
            found[name] = resource, number, None
            with suppress(OSError):
                # It may be gone by now, or not be ours to list: its files will say so.
                for inner in sorted(self._files.list_directories(f"{self.path}/mon_data/{name}")):
                    if (sub := _SUB_DOMAIN.fullmatch(inner)) is not None:
                        found[f"{name}/{inner}"] = resource, number, int(sub[1])
        return found

    def _open(self, name: str, event: str) -> EventFileReader | None:
        file = EventFileReader(f"{self.path}/mon_data/{name}/{event}", is_counter=event != EVENTS[0])
        try:
            if not self._files.open(file):
                self._files.read_unopened(file)
        except OSError as failure:
            if failure.errno == ENOENT:
                return None
            # It is there and will be tried again at each scan.
            file.fail(absence_of(failure))
        return file

    def _reopen(self, domain: Domain) -> list[EventFileReader]:
        """Files that had vanished and are there again are others: their counts start from zero."""
        failing = [file for file in domain.files if file.is_failing]
        self._files.close(failing)
        reopened = []
        for file in failing:
            try:
                self._files.open(file)
            except OSError as failure:
                file.fail(absence_of(failure))
                continue
            file.counter = None if file.counter is None else Counter()
            reopened.append(file)
        return reopened

    def _on_unlisted(self, reason: Absence) -> None:
        if reason is Absence.VANISHED:
            self.close()
            self.problem = reason
        elif not self.is_open:
            self.problem = reason
        # Else the files that are open still speak for themselves.

    def _drop_gone(self) -> None:
        self._has_gone = False
        for name in [name for name, domain in self._found.items() if domain.is_gone]:
            self._files.close(self._found.pop(name).files)
        self._arrange()

    def _arrange(self) -> None:
        self._in_order = [file for domain in self._found.values() for file in domain.files]
        self.layout += 1
