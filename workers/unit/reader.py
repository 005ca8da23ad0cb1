"""Reads the files of units, over as many kept descriptors as this process may have."""

from collections.abc import Callable, Iterator, Sequence
from errno import EACCES, ENODEV, ENOENT, ENOTDIR, EOPNOTSUPP, EPERM, ESRCH

from agent.model.absence import Absence
from agent.model.cgroup_path import path_text
from agent.model.errors import KernelFormatError
from agent.model.timebase import S
from agent.ports import KernelTree
from workers.framework.descriptor_pool import DescriptorPool, is_shortage
from workers.unit import value
from workers.unit.cgroup_file import When
from workers.unit.layout import CgroupLayout
from workers.unit.tracked_unit import NO_FILE, NOT_OPEN, DirectoryState, TrackedUnit
from workers.unit.value import COUNTERS_COUNT, Values

# Nearly every file is shorter, and a buffer of this size costs nothing; what fills it is read once more, whole.
FIRST_BYTES = 4096
# The kernel's answers for a file that was removed while it is open, and for a path that is not there.
GONE = frozenset({ENODEV, ESRCH, ENOENT, ENOTDIR})
_REASONS = {EACCES: Absence.NO_PERMISSION, EPERM: Absence.NO_PERMISSION, EOPNOTSUPP: Absence.NOT_IN_KERNEL}
# Longer texts are hardly ever the same at two readings.
KEPT_BYTES = 128
# What is read later is read at this interval, and when the memory charged has changed by more than this part and these bytes.
LATER_NS = 5 * S
MUCH_MEMORY, MUCH_BYTES = 16, 1 << 20
_FIRST = (0,)
# By controller of version 2, a file that it has in every kernel.
_SIGNS = {"cpu": "cpu.weight", "memory": "memory.current", "io": "io.stat", "pids": "pids.current"}
_UNKNOWN_CHARACTER = "\ufffd"


class UnitReader:
    """`look_at` gives the state of a directory below the cgroup root. *Raises:* OSError."""

    def __init__(self, tree: KernelTree, look_at: Callable[[str], DirectoryState], layout: CgroupLayout) -> None:
        self._tree = tree
        self._look_at = look_at
        self.layout = layout
        self._pread = tree.read_open
        self._pool: DescriptorPool[tuple[TrackedUnit, int]] = DescriptorPool(tree, self._on_closed)
        by_when = {when: tuple(index for index, file in enumerate(layout.files) if index and file.when is when) for when in When}
        self._always, self._above = by_when[When.ALWAYS], by_when[When.COUNTED_ABOVE]
        self._later, self._limited = by_when[When.LATER], by_when[When.LIMITED]
        # What is read of a unit that was not looked at when something moved above it.
        self.every_above = frozenset((0, *self._above))
        self._stalls = tuple(index for index in self._above if layout.files[index].name in ("io.pressure", "memory.pressure"))
        self._all = tuple(range(1, len(layout.files)))
        self._parse = tuple(file.parse for file in layout.files)
        self._begun = 0
        self.reads = 0
        self.unreadable = 0

    @property
    def kept(self) -> int:
        """How many files are kept open."""
        return len(self._pool)

    def begin(self, unit: TrackedUnit) -> bool:
        """Find its directory; whether there is one."""
        unit.path = unit.cgroup
        state = self._find(unit)
        if state is None and _UNKNOWN_CHARACTER in unit.cgroup:
            unit.path = self._path_by_listing(unit.cgroup)
            state = self._find(unit)
        if state is None:
            return False
        self._begun += 1
        unit.number = self._begun
        unit.state, unit.started_wall_ns = state, state.modified_ns
        unit.descriptors = [NOT_OPEN] * len(self.layout.files)
        unit.texts = [None] * len(self.layout.files)
        unit.is_gone = False
        return True

    def directory(self, unit: TrackedUnit) -> str:
        """The unit's directory in its home hierarchy, relative to the cgroup root."""
        return f"{unit.home}{unit.path}".lstrip("/")

    def state(self, unit: TrackedUnit) -> DirectoryState | None:
        """What its directory is now. *Absent:* it is gone, or another one has taken its path."""
        try:
            state = self._look_at(self.directory(unit))
        except OSError as refused:
            return None if refused.errno in GONE else unit.state
        return state if state.inode == unit.state.inode else None

    def names_below(self, unit: TrackedUnit) -> frozenset[str] | None:
        """The directories in its own. *Absent:* they cannot be listed."""
        try:
            return frozenset(self._tree.list_directories(self.directory(unit) or "."))
        except OSError:
            return None

    def read_cpu(self, unit: TrackedUnit) -> int | None:
        """The file that tells whether the unit did anything; by how much its CPU time grew. *Absent:* nobody knows."""
        before = unit.values[value.CPU]
        self._read(unit, _FIRST)
        now = unit.values[value.CPU]
        return None if before is None or now is None or now < before else now - before

    def read_changing(self, unit: TrackedUnit, above: frozenset[int], now_ns: int) -> None:
        """Those that change when a unit does something; of those that are counted above it only what moved there."""
        self._read(unit, self._always)
        if above:
            self._read(unit, [index for index in self._above if index in above])
        if unit.limits[0] is not None and self._limited:
            self._read(unit, self._limited)
        charged = unit.values[value.CURRENT] or 0
        if now_ns >= unit.later_at_ns or abs(charged - unit.charged) > MUCH_BYTES + unit.charged // MUCH_MEMORY:
            unit.later_at_ns, unit.charged = now_ns + LATER_NS, charged
            self._read(unit, self._later)

    def read_stalls(self, unit: TrackedUnit, above: frozenset[int]) -> None:
        """Where something moved above: what a unit that uses no CPU may wait for."""
        if moved := [index for index in self._stalls if index in above]:
            self._read(unit, moved)

    def read_gate(self, unit: TrackedUnit) -> frozenset[int]:
        """Of a cgroup with units directly below it: which files of theirs may say more than before, the first one too."""
        before = unit.values[:COUNTERS_COUNT]
        self._read(unit, _FIRST)
        self._read(unit, self._above)
        return self.moved(unit, before)

    def moved(self, unit: TrackedUnit, before: Values) -> frozenset[int]:
        """Which of these files have other numbers than before, or none."""
        values, files = unit.values, self.layout.files
        found = [
            index for index in self._above
            if any(values[place] is None or values[place] != before[place] for place in files[index].places)
        ]  # fmt: skip
        if values[value.CPU] is None or values[value.CPU] != before[value.CPU]:
            found.append(0)
        return frozenset(found)

    def read_rest(self, unit: TrackedUnit) -> None:
        """All others, those too that were not there the last time."""
        for index in self._all:
            if unit.descriptors[index] == NO_FILE:
                unit.descriptors[index] = NOT_OPEN
        self._read(unit, self._all)

    def end(self, unit: TrackedUnit) -> None:
        """Close its descriptors."""
        for index, descriptor in enumerate(unit.descriptors):
            if descriptor >= 0:
                self._pool.give_back((unit, index))
                unit.descriptors[index] = NOT_OPEN

    def close(self, beat: Callable[[], None]) -> None:
        """Close everything."""
        self._pool.close(beat)

    # ---- files -------------------------------------------------------------------------------------

    def _read(self, unit: TrackedUnit, indexes: Sequence[int]) -> None:
        """Nearly all time of the sampler is spent here."""
        descriptors, texts, pread = unit.descriptors, unit.texts, self._pread
        self.reads += len(indexes)
        for index in indexes:
            try:
                if (descriptor := descriptors[index]) >= 0:
                    text = pread(descriptor, FIRST_BYTES)
                    if len(text) == FIRST_BYTES:
                        text = pread(descriptor, self.layout.files[index].bytes_max)
                elif descriptor == NO_FILE or unit.is_gone:
                    continue
                else:
                    text = self._open_and_read(unit, index)
                if text != texts[index]:
                    self._parse[index](text, unit.values)
                    # Only what is often the same again: ten thousand units are many.
                    texts[index] = text if len(text) <= KEPT_BYTES else None
            except OSError as refused:
                if self._is_worth_another(unit, index, refused):
                    # Its controller was taken away and given back: the file of this name is another one now.
                    self._read(unit, (index,))
                else:
                    self._on_refused(unit, index, refused)
            except KernelFormatError:
                self.unreadable += 1
                self._forget(unit, index, Absence.UNREADABLE)
            else:
                if unit.absences:
                    unit.absences.pop(self.layout.files[index].name, None)

    def _is_worth_another(self, unit: TrackedUnit, index: int, refused: OSError) -> bool:
        """Whether an open file is gone while its cgroup is there: it is closed then."""
        if unit.descriptors[index] < 0 or refused.errno not in GONE:
            return False
        self._pool.give_back((unit, index))
        unit.descriptors[index] = NOT_OPEN
        return self.state(unit) is not None

    def _open_and_read(self, unit: TrackedUnit, index: int) -> bytes:
        file = self.layout.files[index]
        root = self.layout.roots.get(file.controller)
        if root is None:
            raise OSError(ENOENT, "no such hierarchy")
        path = f"{root}{unit.path}/{file.name}".lstrip("/")
        descriptor = self._pool.keep((unit, index), path)
        if descriptor is None:
            text = self._pool.with_room(lambda: self._tree.read(path, file.bytes_max))
        else:
            unit.descriptors[index] = descriptor
            text = self._pread(descriptor, file.bytes_max)
        # Another cgroup may have taken the path since the unit's own was found.
        if self.state(unit) is None:
            raise OSError(ENODEV, "the cgroup is another one")
        return text

    def _on_refused(self, unit: TrackedUnit, index: int, refused: OSError) -> None:
        file = self.layout.files[index]
        if unit.descriptors[index] >= 0:
            self._pool.give_back((unit, index))
        unit.descriptors[index] = NOT_OPEN
        if refused.errno in GONE:
            if self.state(unit) is None:
                # What was last known stays, for its last row.
                unit.is_gone = True
                return
            unit.descriptors[index] = NO_FILE
            reason = Absence.NO_CONTROLLER if self._lacks_controller(unit, file.controller) else Absence.NOT_IN_KERNEL
        elif is_shortage(refused):
            reason = Absence.DESCRIPTORS_SHORT
        else:
            reason = _REASONS.get(refused.errno or 0, Absence.UNREADABLE)
            unit.descriptors[index] = NO_FILE
        self._forget(unit, index, reason)

    def _forget(self, unit: TrackedUnit, index: int, reason: Absence) -> None:
        file = self.layout.files[index]
        unit.texts[index] = None
        unit.absences[file.name] = reason
        for place in file.places:
            unit.values[place] = None

    def _lacks_controller(self, unit: TrackedUnit, controller: str) -> bool:
        """Whether no file of a controller can be read: it is not mounted, or not enabled for this cgroup."""
        if not controller:
            return False
        root = self.layout.roots.get(controller)
        sign = f"/{_SIGNS[controller]}" if self.layout.hierarchy == "v2" else ""
        try:
            self._look_at(f"{root}{unit.path}{sign}".lstrip("/"))
        except OSError:
            return True
        return root is None

    def _on_closed(self, key: tuple[TrackedUnit, int]) -> None:
        unit, index = key
        unit.descriptors[index] = NOT_OPEN

    # ---- where it is -------------------------------------------------------------------------------

    def _find(self, unit: TrackedUnit) -> DirectoryState | None:
        for home in self.layout.homes:
            unit.home = home
            try:
                return self._look_at(self.directory(unit))
            except OSError:
                continue
        return None

    def _path_by_listing(self, cgroup: str) -> str:
        """The kernel's own path of a unit whose names are not all text; the path as it is where there is none."""
        for home in self.layout.homes:
            path = ""
            for wanted in cgroup.strip("/").split("/"):
                name = next((name for name in self._names(f"{home}{path}") if path_text(f"/{name}") == f"/{wanted}"), None)
                if name is None:
                    break
                path = f"{path}/{name}"
            else:
                return path
        return cgroup

    def _names(self, directory: str) -> Iterator[str]:
        try:
            yield from self._tree.list_directories(directory.lstrip("/") or ".")
        except OSError:
            return
