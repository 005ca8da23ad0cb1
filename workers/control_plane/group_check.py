"""One pass over the threads of a group: who is outside, who was moved, and who is in the group without belonging there."""

from collections.abc import Mapping

from msgspec import Struct

from workers.control_plane.group_step import CheckResult
from workers.control_plane.unit_threads import UnitThreads
from workers.resctrl.failure import SourceError
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.problem import ProblemKind
from workers.resctrl.reconciliation import Reconciliation
from workers.resctrl.report import Reconciled


class CheckedGroup(Struct, frozen=True):
    """What one pass found. `may_hold_strays`: beside the known threads there are others in the group."""

    result: CheckResult
    may_hold_strays: bool


def check_group(groups: MonitoringGroups, threads: UnitThreads, paths: tuple[str, ...]) -> CheckedGroup:
    """Compare the threads of a group's units with those in its directories (the first is its own), and move them there.

    *Raises:* ResctrlError: EMPTY_THREAD_SET without any thread, IO with errno ENOENT or ENODEV when the directory is gone.
    """
    assert paths, "only a group with a directory is checked"
    reconciliation = groups.reconciliation(paths[0], threads, paths)
    found = reconciliation.step()
    refused, detail, kind = _refusal(reconciliation, found, threads)
    outside = threads.outside_by_part(reconciliation.outside_threads)
    # What is in the group beside those that are known may be threads that could not be listed.
    may_hold_strays = found.is_clean and bool(reconciliation.further_threads) and threads.failure is None
    return CheckedGroup(CheckResult(found.paths, outside, found.assigned, refused, detail, kind), may_hold_strays)


def _refusal(reconciliation: Reconciliation, found: Reconciled, threads: UnitThreads) -> tuple[int, str, ProblemKind]:
    """How many threads could not be moved, why, and the kind of it."""
    refused = len(found.refused)
    if reconciliation.problem is not None:
        # Threads in another tool's control group, for which there was no id.
        return max(refused, 1), reconciliation.problem.sentence, reconciliation.problem.kind
    if threads.failure is not None:
        # Of one container; one that nobody can list does not keep the others out of the group.
        failure = SourceError(threads.failure.filename or "", threads.failure)
        return max(refused, 1), failure.sentence, failure.kind
    return refused, found.refused[0].reason if found.refused else "", ProblemKind.NO_PERMISSION


def release_strays(groups: MonitoringGroups, threads: UnitThreads, own_path: str, paths: tuple[str, ...]) -> int:
    """Let threads go that are none of the units': an id used again, or one that moved to another cgroup. Gives how many.

    *Raises:* ResctrlError.
    """
    strays: Mapping[str, frozenset[int]] = groups.strays(own_path, threads, paths)
    for path, thread_ids in strays.items():
        groups.release(path, thread_ids)
    return sum(map(len, strays.values()))
