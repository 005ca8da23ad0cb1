"""What entries say together: what fits behind what, and that everybody folds the same."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lake.commit import AddedFile, LakeCommit, LakeMark, LedgerStep, OffsetSpan
from agent.lake.lake_state import CHECKPOINT_BYTES_MAX, CONDEMNED_MAX, LakeState, decode_state
from agent.lake.path import ledger_path, merged_path
from agent.model.errors import FormatError

DATE = "2024-01-31"
DAY = f"process/{DATE}"


def path(name: str) -> str:
    """Of a merged file."""
    return merged_path("process", DATE, name)


def landed(name: str) -> str:
    """Of a landing file."""
    return f"process/date={DATE}/host=a/{name}.parquet"


def ledger(name: str) -> str:
    """Of a ledger."""
    return ledger_path("process", DATE, name)


def added(*names: str) -> LakeCommit:
    """An entry that adds files."""
    return LakeCommit(adds=tuple(AddedFile(path(name), "process", DATE, 1, 1) for name in names))


def folded(*commits: LakeCommit) -> LakeState:
    """The state behind some entries."""
    state = LakeState()
    for commit in commits:
        state.apply(state.number + 1, commit)
    return state


CONSUMED = LakeCommit(at_ns=9, adds=added("c").adds, consumed=(landed("x"),), ledgers={DAY: LedgerStep()})
FORGOTTEN = LakeCommit(forgotten=(landed("x"),), ledgers={DAY: LedgerStep("", ledger("a"))})


def test_files_count_from_their_entry_to_the_one_that_removes_them() -> None:
    """A removed file is known until its deletion is."""
    state = folded(added("a", "b"), LakeCommit(at_ns=5, removes=(path("a"),)))
    assert list(state.files) == [path("b")]
    assert state.removed == {path("a"): 5}
    state.apply(3, LakeCommit(forgotten=(path("a"),)))
    assert state.removed == {}


def test_a_consumed_file_is_known_until_a_ledger_has_it() -> None:
    """And the ledger before is deleted later."""
    state = folded(CONSUMED)
    assert state.consumed == {landed("x"): 9}
    state.apply(2, FORGOTTEN)
    assert state.consumed == {}
    assert state.ledgers == {DAY: ledger("a")}
    state.apply(3, LakeCommit(ledgers={DAY: LedgerStep(ledger("a"), ledger("b"))}))
    assert state.ledgers == {DAY: ledger("b")}
    assert state.removed == {ledger("a"): 9}
    state.apply(4, LakeCommit(ledgers={DAY: LedgerStep(ledger("b"), ledger("b"))}))
    assert ledger("b") not in state.removed


def test_offsets_and_marks_are_replaced() -> None:
    """A mark may go back: a clock was set."""
    state = folded(
        LakeCommit(offsets={"t/0": OffsetSpan(5, 9)}, marks={"process": {"a": LakeMark(9), "b": LakeMark(1)}}),
        LakeCommit(offsets={"t/0": OffsetSpan(9, 11), "t/1": OffsetSpan(0, 1)}, marks={"process": {"a": LakeMark(3)}}),
    )
    assert state.offsets == {"t/0": 11, "t/1": 1}
    assert state.marks == {"process": {"a": LakeMark(3), "b": LakeMark(1)}}


@pytest.mark.parametrize(
    ("before", "commit", "problem"),
    [
        ((added("a"),), added("a"), "added before"),
        ((added("a"), LakeCommit(removes=(path("a"),))), added("a"), "added before"),
        ((LakeCommit(condemned=(path("a"),)),), added("a"), "added before"),
        ((LakeCommit(condemned=(path("a"),)), LakeCommit(forgotten=(path("a"),))), added("a"), "nobody's"),
        ((), LakeCommit(removes=(path("a"),)), "does not count"),
        ((CONSUMED,), msgspec.structs.replace(CONSUMED, adds=()), "consumed before"),
        ((added("a"),), LakeCommit(condemned=(path("a"),)), "was added"),
        ((added("a"), LakeCommit(removes=(path("a"),))), LakeCommit(condemned=(path("a"),)), "was added"),
        ((CONSUMED, FORGOTTEN), LakeCommit(condemned=(ledger("a"),)), "was added"),
        ((CONSUMED, FORGOTTEN), msgspec.structs.replace(CONSUMED, adds=()), "another by now"),
        (
            (CONSUMED, FORGOTTEN, LakeCommit(ledgers={DAY: LedgerStep(ledger("a"), ledger("b"))})),
            LakeCommit(ledgers={DAY: LedgerStep(ledger("b"), ledger("a"))}),
            "no more",
        ),
        (
            (LakeCommit(condemned=(ledger("a"),)), LakeCommit(forgotten=(ledger("a"),))),
            LakeCommit(ledgers={DAY: LedgerStep("", ledger("a"))}),
            "no more",
        ),
        ((LakeCommit(offsets={"t/0": OffsetSpan(0, 4)}),), LakeCommit(offsets={"t/0": OffsetSpan(3, 5)}), "up to 4, not 3"),
        ((), added("a", "a"), "twice"),
        ((added("a"),), LakeCommit(removes=(path("a"), path("a"))), "twice"),
    ],
)
def test_an_entry_that_does_not_fit_changes_nothing(before: tuple[LakeCommit, ...], commit: LakeCommit, problem: str) -> None:
    """For nobody: its number is taken, and that is all."""
    state = folded(*before)
    untouched = folded(*before).encoded()
    assert problem in state.why_refused(commit)
    state.apply(state.number + 1, commit)
    assert state.void == 1
    state.void, state.number = 0, state.number - 1
    assert state.encoded() == untouched


def test_entries_follow_one_another() -> None:
    """A hole is a bug of the reader."""
    with pytest.raises(AssertionError, match="does not follow"):
        LakeState().apply(2, LakeCommit())


def test_given_up_files_are_remembered_up_to_a_bound() -> None:
    """The oldest go."""
    state = LakeState()
    names = [path(f"k-{number}") for number in range(CONDEMNED_MAX + 2)]
    state.apply(1, LakeCommit(condemned=tuple(names[:CONDEMNED_MAX])))
    state.apply(2, LakeCommit(condemned=tuple(names[CONDEMNED_MAX:])))
    assert list(state.condemned) == names[2:]


def test_the_time_of_a_state_never_goes_back() -> None:
    """Clocks of several writers differ."""
    assert folded(LakeCommit(at_ns=9), LakeCommit(at_ns=3)).at_ns == 9


EVERYTHING = (
    added("a", "b"),
    CONSUMED,
    FORGOTTEN,
    LakeCommit(removes=(path("a"),), condemned=(path("z"),)),
    LakeCommit(offsets={"t/0": OffsetSpan(0, 4)}, marks={"process": {"a": LakeMark(1, 2, "w", 3)}}),
    LakeCommit(removes=(path("none"),)),
)


def test_a_checkpoint_is_the_same_state() -> None:
    """And goes on the same."""
    state = folded(*EVERYTHING)
    copy = decode_state(state.encoded(), state.number, "x")
    assert copy.encoded() == state.encoded()
    for each in (state, copy):
        each.apply(7, LakeCommit(removes=(path("b"),)))
    assert copy.encoded() == state.encoded()


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_a_checkpoint_or_a_failure(data: bytes) -> None:
    """Never anything else."""
    with pytest.raises(FormatError):
        decode_state(data, 1, "x")


def test_a_checkpoint_of_another_number_or_format_is_refused() -> None:
    """And one that is too long."""
    data = folded(*EVERYTHING).encoded()
    with pytest.raises(FormatError, match="checkpoint 6"):
        decode_state(data, 5, "x")
    with pytest.raises(FormatError, match="newer evergauge"):
        decode_state(data.replace(b'"format":1', b'"format":2'), 6, "x")

    class Long(bytes):
        """Says that it is long."""

        def __len__(self) -> int:
            return CHECKPOINT_BYTES_MAX + 1

    with pytest.raises(FormatError, match="longer than"):
        decode_state(Long(data), 6, "x")
