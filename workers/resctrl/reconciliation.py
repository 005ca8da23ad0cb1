"""Brings all threads of a source into a group, one pass at a time, until a whole pass finds none outside. PURE.

Why one clean pass is enough: the source is listed before the group. A thread listed by the source is looked for in the group
afterwards; one born later has a listed thread for its creator, which was inside, and a child begins where its creator is. What
this cannot see is a fork that began before its creator was moved, for the kernel copies the group first and lists the child
last: a caller that wants to be sure compares again after a while.
"""

from collections.abc import Iterable
from itertools import islice

from agent.model.heartbeat import beating
from workers.resctrl.failure import SourceError, empty_thread_set
from workers.resctrl.place import name_of
from workers.resctrl.ports import ThreadSource
from workers.resctrl.problem import ProblemKind, ResctrlError
from workers.resctrl.report import Assigned, MoveRefused, Reconciled
from workers.resctrl.tree import GONE, GroupTree

# Answers that stand for the whole mount: another directory of the group would fail the same way.
_ENDS_ALL = frozenset({ProblemKind.NOT_MOUNTED, ProblemKind.LOCKED})

# Each thread that the kernel refuses costs three calls. So many are tried at a time; what they say of where they live is used for
# the rest, which thousands of single refusals would hold up for seconds.
_TRIED_AT_ONCE = 256

_NOT_FOUND = "it lives in another control group, and was found in none"


class Reconciliation:
    """One group and its source. Each `step` is one pass: tens of milliseconds at most for thousands of threads.

    Threads that live in other control groups are put into a directory of the same name there; `paths` grows by it.
    """

    def __init__(self, tree: GroupTree, path: str, source: ThreadSource, paths: Iterable[str] = ()) -> None:
        """`paths`: the directories of the group, where they are known already; else they are looked up in the first pass."""
        self._tree = tree
        self._path = path
        self._source = source
        self._paths = tuple(paths)
        self._assigned = 0
        self._passes = 0
        self._is_clean = False
        self._refused: tuple[MoveRefused, ...] = ()
        self._problem: ResctrlError | None = None
        self.is_stuck = False
        self.outside_threads: frozenset[int] = frozenset()
        """Who was outside in the last look, before anybody was moved."""
        self.further_threads: frozenset[int] = frozenset()
        """Who was in the group in the last look and not in the source: new threads, or strays (`MonitoringGroups.strays`)."""

    @property
    def result(self) -> Reconciled:
        """What stands after the last pass or look."""
        return Reconciled(
            assigned=self._assigned,
            passes=self._passes,
            outside=len(self.outside_threads),
            is_clean=self._is_clean,
            paths=self._paths or (self._path,),
            refused=self._refused,
            problem=None if self._problem is None else self._problem.kind,
        )

    @property
    def problem(self) -> ResctrlError | None:
        """Why some threads of the last pass could not be placed, with the whole sentence."""
        return self._problem

    def step(self) -> Reconciled:
        """One pass: list, compare, assign what is outside.

        *Raises:* ResctrlError EMPTY_THREAD_SET when there is no thread (yet, or any more); IO with ENOENT or ENODEV when the
        group is gone: make it again and start over; SourceError when nobody can say which threads there are.
        """
        outside = self._look_outside()
        self._passes += 1
        self._problem = None
        self._refused = ()
        if not outside:
            return self.result
        before = self._assigned
        done = self._assign(outside)
        self._assigned += done.assigned
        self._refused = done.refused
        has_raced = bool(done.missing)
        if done.foreign:
            has_raced = self._place_foreign(done.foreign) or has_raced
        # Nothing moved and nothing changed meanwhile: the next pass would be the same.
        self.is_stuck = self._assigned == before and not has_raced
        return self.result

    def look(self) -> Reconciled:
        """Count who is outside now, without moving anybody. *Raises:* like `step`."""
        self._look_outside()
        return self.result

    def _look_outside(self) -> frozenset[int]:
        if not self._paths:
            self._paths = self._tree.directories_of(self._path)
        # The order of these two is what makes a clean pass a proof.
        wanted = threads_of(self._source, self._tree.absolute(self._path))
        if not wanted:
            raise empty_thread_set(self._tree.absolute(self._path))
        held = tasks_by_path(self._tree, self._paths)
        # What went with its control group is none of the group's directories any more: nobody is to read it, or to miss it.
        self._paths = tuple(held)
        inside = frozenset().union(*held.values())
        self.outside_threads = wanted - inside
        self.further_threads = inside - wanted
        self._is_clean = not self.outside_threads
        return self.outside_threads

    def _assign(self, outside: frozenset[int]) -> Assigned:
        """Move threads into the main directory. Threads in a directory where the kernel has refused another one are not tried."""
        left, foreign, known = outside, frozenset[int](), frozenset[int]()
        assigned, missing, refused = 0, 0, tuple[MoveRefused, ...]()
        while left:
            self._tree.heartbeat()
            batch = frozenset(islice(sorted(left), _TRIED_AT_ONCE))
            done = self._tree.assign(self._path, batch)
            left -= batch
            assigned, missing, refused = assigned + done.assigned, missing + done.missing, refused + done.refused
            foreign |= done.foreign
            if left and done.foreign - known:
                for control in self._tree.holders_of(done.foreign):
                    with self._tree.tolerating_gone():
                        known |= self._tree.list_group_tasks(control) if control else frozenset()
                foreign |= left & known
                left -= known
        return Assigned(assigned, missing, foreign, refused)

    def _place_foreign(self, foreign: frozenset[int]) -> bool:
        """Put threads into a directory of ours inside the control groups where they live; True when something changed meanwhile."""
        holders = self._tree.holders_of(foreign)
        lost = foreign.difference(*holders.values())
        self._refused += tuple(MoveRefused(thread_id, _NOT_FOUND) for thread_id in sorted(lost))
        has_raced = bool(lost)
        for control, thread_ids in holders.items():
            try:
                self._place(control, thread_ids)
            except ResctrlError as problem:
                if problem.kind in _ENDS_ALL:
                    raise
                # The rest of the pod is still measured; ids may be free at the next try.
                self._problem = problem
                has_raced = has_raced or problem.errno in GONE
        return has_raced

    def _place(self, control: str, thread_ids: frozenset[int]) -> None:
        path = self._tree.create_named(control, name_of(self._path))
        if path not in self._paths:
            self._paths += (path,)
        done = self._tree.assign(path, thread_ids)
        self._assigned += done.assigned
        self._refused += done.refused


def threads_of(source: ThreadSource, path: str) -> frozenset[int]:
    """What the source lists. *Raises:* SourceError."""
    try:
        return source.threads()
    except OSError as problem:
        where = problem.filename if isinstance(problem.filename, str) else path
        raise SourceError(where, problem) from problem


def tasks_by_path(tree: GroupTree, paths: tuple[str, ...]) -> dict[str, frozenset[int]]:
    """The threads in each directory of a group that is there; only the first of them has to be."""
    main, *others = paths
    found = {main: tree.list_group_tasks(main)}
    for path in beating(others, tree.heartbeat, 1):
        with tree.tolerating_gone():
            found[path] = tree.list_group_tasks(path)
    return found
