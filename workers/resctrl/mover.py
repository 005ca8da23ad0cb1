"""Moves threads into a group, as many with one write as the kernel takes, and sorts out those that cannot be moved. PURE.

A write of a list stops at the first thread that fails, and `info/last_cmd_status` names it. That file belongs to everybody, so
the name is a hint only: the named thread is tried alone, and those before it are looked up afterwards.
"""

from collections.abc import Callable, Iterable
from errno import E2BIG, EINVAL, EPERM, ESRCH, errorcode

from agent.model.heartbeat import beating
from workers.resctrl.place import inside, is_monitoring
from workers.resctrl.ports import Filesystem
from workers.resctrl.report import Assigned, MoveRefused
from workers.resctrl.task_list import TASKS_BYTES_MAX, command_of, commands, failed_id, parse_tasks, says_foreign

# Errors of one thread; every other one is an error of the group or of the mount and ends the work.
_OF_ONE_THREAD = frozenset({ESRCH, EPERM, EINVAL, E2BIG})
# Each hint costs the write of the rest, the status and one thread alone: where every third or fourth fails, singles are cheaper.
_THREADS_PER_HINT = 4
# One that is refused costs three calls, through an emulation up to a millisecond.
_THREADS_PER_BEAT = 16


class Mover:
    """Writes to the `tasks` files of one mount. It remembers when the kernel knows no lists (before Linux 6.7)."""

    def __init__(self, filesystem: Filesystem, status: Callable[[], str], heartbeat: Callable[[], None] | None = None) -> None:
        self._filesystem = filesystem
        self._status = status
        self._heartbeat = heartbeat
        self.takes_lists = True

    def move(self, path: str, thread_ids: Iterable[int]) -> Assigned:
        """Move the threads into the group at `path`, `""` for the default group. *Raises:* OSError when the group is gone or
        nothing can be written; threads moved until then stay moved."""
        move = _Move(self._filesystem, self._status, path, self._heartbeat)
        for batch in beating(commands(thread_ids), self._heartbeat, 1):
            if self.takes_lists:
                self.takes_lists = move.as_list(batch)
            else:
                move.singly(batch)
        return move.result()


class _Move:
    """One move in progress."""

    def __init__(self, filesystem: Filesystem, status: Callable[[], str], path: str, heartbeat: Callable[[], None] | None) -> None:
        self._heartbeat = heartbeat
        self._filesystem = filesystem
        self._status = status
        self._path = path
        self._tasks = inside(path, "tasks")
        self._assigned: set[int] = set()
        self._missing: set[int] = set()
        self._foreign: set[int] = set()
        self._refused: dict[int, str] = {}

    def result(self) -> Assigned:
        """What became of all of them."""
        refused = tuple(MoveRefused(thread_id, reason) for thread_id, reason in sorted(self._refused.items()))
        return Assigned(len(self._assigned), len(self._missing), frozenset(self._foreign), refused)

    def as_list(self, batch: list[int]) -> bool:
        """Move one list; False when the kernel turned out to know no lists."""
        left = batch
        unproven: list[int] = []
        takes_lists = True
        for _hint in beating(range(1 + len(batch) // _THREADS_PER_HINT), self._heartbeat, _THREADS_PER_BEAT):
            if len(left) < 2:
                break
            code = self._try(left)
            if code is None:
                self._assigned.update(left)
                left = []
                break
            named = failed_id(self._status())
            if named not in left:
                takes_lists = self._explained_by_singles(left, code)
                left = []
                break
            at = left.index(named)
            unproven += left[:at]
            self._single(named)
            left = left[at + 1 :]
        self.singly(left)
        self._prove(unproven)
        return takes_lists

    def singly(self, batch: list[int]) -> None:
        """Move threads one by one."""
        for thread_id in beating(batch, self._heartbeat, _THREADS_PER_BEAT):
            self._single(thread_id)

    def _explained_by_singles(self, batch: list[int], code: int) -> bool:
        """Move one by one what failed as a list with EINVAL for no named thread; False when none fails so alone."""
        codes = {self._single(thread_id) for thread_id in beating(batch, self._heartbeat, _THREADS_PER_BEAT)}
        return code != EINVAL or EINVAL in codes

    def _single(self, thread_id: int) -> int | None:
        code = self._try([thread_id])
        if code is None:
            self._assigned.add(thread_id)
        elif code == ESRCH:
            self._missing.add(thread_id)
        else:
            status = self._status()
            if code == EINVAL and says_foreign(status):
                self._foreign.add(thread_id)
            else:
                self._refused[thread_id] = status or errorcode[code]
        return code

    def _try(self, batch: list[int]) -> int | None:
        try:
            self._filesystem.write(self._tasks, command_of(batch))
        except OSError as problem:
            if problem.errno not in _OF_ONE_THREAD:
                raise
            return problem.errno
        return None

    def _prove(self, unproven: list[int]) -> None:
        """Those before a thread that failed are in the group by now, unless the hint was another program's."""
        if not unproven:
            return
        # A control group lists the threads of its monitoring groups too: being listed there does not prove the move.
        listed = parse_tasks(self._filesystem.read(self._tasks, TASKS_BYTES_MAX)) if is_monitoring(self._path) else frozenset()
        self._assigned.update(listed.intersection(unproven))
        self.singly([thread_id for thread_id in unproven if thread_id not in listed])
