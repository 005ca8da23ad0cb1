"""All operations on monitoring groups in one object: what the control plane, or any other program, uses. PURE."""

from collections.abc import Iterable

from workers.resctrl.cleanup import Cleanup
from workers.resctrl.ports import ThreadSource
from workers.resctrl.reconciliation import Reconciliation, threads_of
from workers.resctrl.report import CleanupReport, Reconciled
from workers.resctrl.tree import GroupTree

# Two are the least: one that moves and one that proves. Forks between them take a third now and then; a pod that forks
# faster than this converges is tried again by the caller.
PASSES_MAX = 5


class MonitoringGroups(GroupTree):
    """The monitoring groups of one mount; see `GroupTree` for the single operations."""

    def reconciliation(self, path: str, source: ThreadSource, paths: Iterable[str] = ()) -> Reconciliation:
        """Reconcile pass by pass, for loops that may not be held up; `paths` as an earlier result named them."""
        return Reconciliation(self, path, source, paths)

    def reconcile_group(
        self, path: str, source: ThreadSource, max_passes: int = PASSES_MAX, paths: Iterable[str] = ()
    ) -> Reconciled:
        """Assign what is outside until a pass finds nobody there, at most `max_passes` times, and tell how it stands then.

        *Raises:* ResctrlError like `Reconciliation.step`.
        """
        assert max_passes > 0, "no pass can do nothing"
        work = self.reconciliation(path, source, paths)
        for _pass in range(max_passes):
            if work.step().is_clean:
                return work.result
            if work.is_stuck:
                break
        return work.look()

    def strays(self, path: str, wanted: ThreadSource, paths: Iterable[str] = ()) -> dict[str, frozenset[int]]:
        """The threads in each directory of a group that the source does not list: ids used again, or moved to another pod.

        *Absent:* directories without strays. *Raises:* ResctrlError.
        """
        # In the other order than in a reconciliation: a thread that starts in the group after it was listed is no stray.
        held = {}
        for directory in tuple(paths) or self.directories_of(path):
            with self.tolerating_gone():
                held[directory] = self.list_group_tasks(directory)
        listed = threads_of(wanted, self.absolute(path))
        return {directory: inside - listed for directory, inside in held.items() if inside - listed}

    def cleanup_all(self, *, also_in_control_groups: bool = False) -> CleanupReport:
        """Remove all our groups of the root and of its `mon_groups`, and with `also_in_control_groups` those in other groups too.

        Half a second for 448 groups; `Cleanup` does the same in steps. *Raises:* ResctrlError.
        """
        work = Cleanup(self, also_in_control_groups=also_in_control_groups)
        while not work.step():
            pass
        return work.report


__all__ = ["PASSES_MAX", "Cleanup", "MonitoringGroups", "Reconciliation"]
