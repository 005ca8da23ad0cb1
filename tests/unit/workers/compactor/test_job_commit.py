"""When a compaction counts, and when somebody else was faster."""

import pytest

from agent.lake.commit import AddedFile, LakeCommit, LedgerStep, why_malformed
from agent.lake.lake_state import LakeState
from agent.lake.path import ledger_path, merged_path
from workers.compactor.job_commit import commit_of
from workers.compactor.plan import LakeCandidate, LakeJob

DATE = "2024-01-31"
DAY = f"process/{DATE}"
LANDED = f"process/date={DATE}/host=a/x.parquet"
OLD, NEW = merged_path("process", DATE, "k-1"), merged_path("process", DATE, "c-1")
LEDGER = ledger_path("process", DATE, "aa")
JOB = LakeJob("process", DATE, (LakeCandidate(LANDED, 1, 0, is_landing=True), LakeCandidate(OLD, 1, 0, is_landing=False)))
ADDS = [AddedFile(NEW, "process", DATE, 2, 2)]


def state_of(*commits: LakeCommit) -> LakeState:
    """A lake with the old file, and what came later."""
    state = LakeState()
    for commit in (LakeCommit(adds=(AddedFile(OLD, "process", DATE, 1, 1),)), *commits):
        state.apply(state.number + 1, commit)
        assert state.void == 0
    return state


def test_the_result_counts_in_place_of_what_was_used() -> None:
    """All at once."""
    commit = commit_of(JOB, [LANDED, OLD], ADDS, "", state_of())
    assert commit == LakeCommit(adds=tuple(ADDS), removes=(OLD,), consumed=(LANDED,), ledgers={DAY: LedgerStep("")})
    assert why_malformed(commit) == ""
    assert state_of().why_refused(commit) == ""


def test_what_was_not_used_stays() -> None:
    """And without landing files no ledger is named."""
    assert commit_of(JOB, [OLD], ADDS, "", state_of()) == LakeCommit(adds=tuple(ADDS), removes=(OLD,))


@pytest.mark.parametrize(
    "commit",
    [
        LakeCommit(removes=(OLD,)),
        LakeCommit(consumed=(LANDED,), ledgers={DAY: LedgerStep()}),
        LakeCommit(ledgers={DAY: LedgerStep("", LEDGER)}),
        LakeCommit(adds=tuple(ADDS)),
        LakeCommit(condemned=(NEW,)),
    ],
)
def test_who_was_late_changes_nothing(commit: LakeCommit) -> None:
    """A source is taken, or was and is forgotten; the result is there or was given up."""
    assert commit_of(JOB, [LANDED, OLD], ADDS, "", state_of(commit)) is None
    if commit.condemned:
        assert commit_of(JOB, [LANDED, OLD], ADDS, "", state_of(commit, LakeCommit(forgotten=(NEW,)))) is None
    if commit.adds:
        assert commit_of(JOB, [LANDED, OLD], ADDS, "", state_of(commit, LakeCommit(removes=(NEW,)))) is None
