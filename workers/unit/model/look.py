"""One look at the processes of a unit: what their arguments say. It runs in a thread of its own (`workers.unit.model.side_queue`).

Every read may be of a process that is just ending, or that another user wrote to deceive or to delay: bounded bytes, and only files
of `/proc`. Reading a command line takes the memory lock of that process, which may never be free again.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from errno import EACCES, EPERM

from msgspec import Struct

from agent.kernel_file import read_whole
from agent.model.absence import Absence
from agent.model.cgroup_path import WORKLOAD_SUFFIX, unit_of
from agent.model.errors import KernelFormatError
from agent.model.proc_stat import STAT_BYTES_MAX, parse_comm, parse_stat
from agent.model.served_model import model_by_arguments, parse_environment, variables_wanted
from agent.model.served_model_document import with_store_name
from agent.model.served_model_title import model_by_title
from agent.ports import KernelTree
from workers.unit.model.family import Relative, in_order_of_descent, parse_pids
from workers.unit.model.finding import ModelFinding, ModelSource, in_common
from workers.unit.model.spawn_record import RECORD_BYTES_MAX, RECORD_SUFFIX, RECORDS_FOLDER, findings_of_record

# Of a unit with more processes the root is most often among the first, which entered it first.
PROCESSES_MAX, DESCENDANTS_MAX = 64, 16
PROCS_BYTES_MAX = 16 << 10
# Of one command line, and of all of a unit together: in the milliseconds that they take the loop has to share the interpreter.
# Lines of servers are far shorter. A word that is cut is left out.
LINE_BYTES_MAX, LINES_BYTES_MAX = 32 << 10, 64 << 10
# A unit may put its processes into cgroups of its own below it, as engines do: `libpod-….scope/container`.
DIRECTORIES_MAX = 16
# Environments of containers in Kubernetes have some twenty variables for each service of their namespace.
ENVIRONMENT_BYTES_MAX = 256 << 10

# The bytes of the keeper's record of a workload, by its cgroup. *Raises:* OSError.
ReadRecord = Callable[[str], bytes]


class LookOrder(Struct, frozen=True):
    """The unit to look at. `directory` is its cgroup below the root of the tree, `known` what told its model before.

    *Absent:* `known` is empty before anything is known.
    """

    uid: str
    cgroup: str
    directory: str
    is_workload: bool = False
    known: tuple[Relative, ...] = ()


class Look(Struct, frozen=True):
    """What was seen. `is_same`: all of `known` are still there under their names, and nothing else was read.

    `root` is the first process of the unit. `tellers` are the processes whose arguments say something.
    """

    findings: tuple[ModelFinding, ...] = ()
    root: Relative | None = None
    tellers: tuple[Relative, ...] = ()
    is_same: bool = False


class UnitLook:
    """Looks at units. `cgroups` and `proc` are used by this thread alone."""

    def __init__(self, cgroups: KernelTree, proc: KernelTree, read_record: ReadRecord) -> None:
        self._cgroups = cgroups
        self._proc = proc
        self._read_record = read_record
        # Of command lines, of the unit that is being looked at.
        self._bytes_left = 0

    def __call__(self, order: LookOrder) -> Look:
        """One look; what cannot be read is absent."""
        if order.known and all(map(self._is_there, order.known)):
            return Look(is_same=True)
        findings: list[ModelFinding] = list(self._record(order)) if order.is_workload else []
        family = in_order_of_descent(self._processes(order))
        if not family:
            return Look(tuple(findings))
        root, others = family[0], family[1:]
        self._bytes_left = LINES_BYTES_MAX
        titles: list[ModelFinding] = []
        tellers: list[Relative] = []
        said = self._said(root, ModelSource.ARGUMENTS, titles)
        if said is not None:
            findings.append(said)
            tellers += [root] * (said.told is not None)
        if said is None or said.told is None or said.told.model is None:
            told = [
                (each, found) for each in others[:DESCENDANTS_MAX] if (found := self._said(each, ModelSource.DESCENDANT, titles))
            ]
            # That the arguments of a descendant cannot be read says nothing of the unit.
            telling = [(each, found) for each, found in told if found.told is not None]
            tellers += [each for each, _ in telling]
            if (together := in_common([found for _, found in telling])) is not None:
                findings.append(together)
        return Look((*findings, *titles[:1]), root, tuple(tellers))

    # ---- reading -----------------------------------------------------------------------------------

    def _record(self, order: LookOrder) -> tuple[ModelFinding, ...]:
        try:
            return findings_of_record(self._read_record(order.cgroup), order.cgroup)
        except OSError:
            return ()

    def _processes(self, order: LookOrder) -> list[Relative]:
        return [each for pid in self._pids(order) if (each := self._process(pid)) is not None]

    def _process(self, pid: int) -> Relative | None:
        """*Absent:* it is gone. Reading this file takes no lock of the process."""
        try:
            line = self._proc.read(f"{pid}/stat", STAT_BYTES_MAX)
            return Relative(pid, parse_comm(line), parse_stat(line))
        except (OSError, KernelFormatError):
            return None

    def _pids(self, order: LookOrder) -> list[int]:
        """The processes in its own cgroup, otherwise in those directly below that are no other unit's."""
        if found := self._pids_of(order.directory):
            return found
        names: list[str] = []
        with suppress(OSError):
            names = self._cgroups.list_directories(order.directory)
        for name in names[:DIRECTORIES_MAX]:
            identity = unit_of(f"{order.cgroup}/{name}")
            if identity is not None and identity.uid == order.uid:
                found += self._pids_of(f"{order.directory}/{name}")
        return found[:PROCESSES_MAX]

    def _pids_of(self, directory: str) -> list[int]:
        try:
            return parse_pids(self._cgroups.read(f"{directory}/cgroup.procs", PROCS_BYTES_MAX), PROCESSES_MAX)
        except OSError:
            return []

    def _is_there(self, before: Relative) -> bool:
        now = self._process(before.pid)
        return now is not None and now.is_as(before)

    def _said(self, process: Relative, source: ModelSource, titles: list[ModelFinding]) -> ModelFinding | None:
        """What one process says; a title goes to `titles`. *Absent:* nothing, or it has ended."""
        try:
            line = self._read_line(process.pid)
        except OSError as refused:
            reason = _why(refused)
            return None if reason is Absence.VANISHED else ModelFinding(source, None, reason)
        told = model_by_arguments(line)
        if told is None:
            title = model_by_title(line)
            titles += [] if title is None else [ModelFinding(ModelSource.TITLE, title)]
            return None
        absent: Absence | None = None
        if told.model is None and (wanted := variables_wanted(line)):
            try:
                content = self._proc.read(f"{process.pid}/environ", ENVIRONMENT_BYTES_MAX)
                told = model_by_arguments(line, parse_environment(content, wanted)) or told
            except OSError as refused:
                absent = _why(refused)
        # Read by number: only where it was the same process all the time, with the same program, it said this.
        return ModelFinding(source, with_store_name(told, {}), absent) if self._is_there(process) else None

    def _read_line(self, pid: int) -> bytes:
        """The words that are whole. *Raises:* OSError."""
        most = min(LINE_BYTES_MAX, self._bytes_left)
        if not most:
            return b""
        line = self._proc.read(f"{pid}/cmdline", most)
        self._bytes_left -= len(line)
        return line if len(line) < most else line[: line.rfind(b"\0") + 1]


def _why(refused: OSError) -> Absence:
    if isinstance(refused, FileNotFoundError | ProcessLookupError):
        return Absence.VANISHED
    return Absence.NO_PERMISSION if refused.errno in (EACCES, EPERM) else Absence.UNREADABLE


def records_below(state_dir: str) -> ReadRecord:
    """What reads the keeper's record of the workload in a cgroup."""

    def read_record(cgroup: str) -> bytes:
        name = cgroup.rpartition("/")[2].removesuffix(WORKLOAD_SUFFIX)
        return read_whole(os.path.join(state_dir, RECORDS_FOLDER, name + RECORD_SUFFIX), RECORD_BYTES_MAX)

    return read_record
