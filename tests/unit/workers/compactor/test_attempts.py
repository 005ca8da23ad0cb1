"""Which days ended their compactor."""

from pathlib import Path

import pytest

from workers.compactor.attempts import TRIES_MAX, CompactionAttempts


def test_a_day_that_ended_its_compactor_again_and_again_is_known(tmp_path: Path) -> None:
    """Each compactor begins it, and none ends it."""
    path = str(tmp_path / "attempts.json")
    for number in range(TRIES_MAX):
        attempts = CompactionAttempts(path)
        assert not attempts.has_failed("process/1"), number
        attempts.begin("process/1")
    assert CompactionAttempts(path).failed() == ["process/1"]
    assert not CompactionAttempts(path).has_failed("process/2")


def test_a_day_that_was_done_is_forgotten(tmp_path: Path) -> None:
    """And the file goes with the last."""
    path = tmp_path / "attempts.json"
    attempts = CompactionAttempts(str(path))
    attempts.begin("a/1")
    attempts.begin("b/1")
    attempts.end("a/1")
    assert path.exists()
    attempts.end("b/1")
    attempts.end("b/1")
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"a":"b"}', b"[]"])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, content: bytes) -> None:
    """It only saves work."""
    path = tmp_path / "attempts.json"
    path.write_bytes(content)
    assert CompactionAttempts(str(path)).failed() == []


def test_a_bounded_number_of_days_is_kept(tmp_path: Path) -> None:
    """The first go."""
    attempts = CompactionAttempts(str(tmp_path / "attempts.json"))
    for number in range(105):
        attempts.begin(f"a/{number}")
    assert len((tmp_path / "attempts.json").read_bytes()) < 1_200
