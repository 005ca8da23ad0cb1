"""The limits on the disk: what is written is found again, and what is damaged is set aside."""

from pathlib import Path

from harness.waiting import wait_until

from agent.model.limit import Resource
from supervisor.core.effect import LimitsPersisted, Persisted
from supervisor.shell.background_thread import BackgroundThread
from supervisor.shell.limits_store import FILE_NAME, LimitsStore, load_limits
from supervisor.shell.rules_store import RulesStore

LIMITS = {"sampler/process": {Resource.CPU: 500}}


def _outcome(thread: BackgroundThread[Persisted | LimitsPersisted]) -> Persisted | LimitsPersisted:
    found: list[Persisted | LimitsPersisted] = []

    def has_answered() -> bool:
        found.extend(thread.results())
        return bool(found)

    wait_until(has_answered, "the disk answers")
    return found[0]


def test_what_is_written_is_in_force_at_the_next_start(tmp_path: Path) -> None:
    """The outcome has the token, the file only the owner's rights."""
    rules = RulesStore(str(tmp_path))
    LimitsStore(str(tmp_path), rules.thread).write(7, LIMITS)
    assert _outcome(rules.thread) == LimitsPersisted(7)
    rules.thread.close(5)
    assert load_limits(str(tmp_path), 0) == (LIMITS, "")
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_folder_that_cannot_be_written_is_a_problem_with_a_sentence(tmp_path: Path) -> None:
    """The old document stays."""
    rules = RulesStore(str(tmp_path / "gone"))
    LimitsStore(str(tmp_path / "gone"), rules.thread).write(1, LIMITS)
    outcome = _outcome(rules.thread)
    rules.thread.close(5)
    assert isinstance(outcome, LimitsPersisted)
    assert "cannot be written" in outcome.problem


def test_a_damaged_document_is_set_aside(tmp_path: Path) -> None:
    """The agent starts with the limits of its settings, and says so."""
    (tmp_path / FILE_NAME).write_bytes(b"{")
    limits, problem = load_limits(str(tmp_path), 0)
    assert limits == {}
    assert "set aside" in problem
    assert [path.name.startswith(f"{FILE_NAME}.damaged-") for path in tmp_path.iterdir()] == [True]


def test_without_a_document_there_are_none(tmp_path: Path) -> None:
    """A first start."""
    assert load_limits(str(tmp_path), 0) == ({}, "")
