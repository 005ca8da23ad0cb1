"""The entry of the log by which a compaction counts. PURE."""

from collections.abc import Collection, Sequence

from agent.lake.commit import AddedFile, LakeCommit, LedgerStep
from agent.lake.lake_state import LakeState
from workers.compactor.plan import LakeJob


def commit_of(job: LakeJob, used: Collection[str], adds: Sequence[AddedFile], ledger: str, state: LakeState) -> LakeCommit | None:
    """The entry that puts `adds` in place of those sources of a job that were `used`.

    `ledger`: that of the day when they were chosen. *Absent:* None where somebody else has taken a source meanwhile, or one of
    our files counts already or was given up.
    """
    taken = frozenset(used)
    consumed = tuple(source.path for source in job.sources if source.is_landing and source.path in taken)
    removes = tuple(source.path for source in job.sources if not source.is_landing and source.path in taken)
    day = f"{job.table}/{job.date}"
    if state.ledgers.get(day, "") != ledger or any(path in state.consumed for path in consumed):
        return None
    if any(path not in state.files for path in removes):
        return None
    if any(file.path in state.files or file.path in state.removed or file.path in state.condemned for file in adds):
        return None
    ledgers = {day: LedgerStep(ledger)} if consumed else {}
    return LakeCommit(adds=tuple(adds), removes=removes, consumed=consumed, ledgers=ledgers)
