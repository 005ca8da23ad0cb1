"""What `agentctl status` says of compaction."""

from agent.cli.worker_statistics import written_lines


def compaction_lines(**fields: object) -> list[str]:
    """The lines of a writer with these statistics."""
    return [text for name, text in written_lines({"writer": {"compaction": fields}}) if name == "compacted"]


def test_compacted_days_are_counted() -> None:
    """With rows and files, and the last problem where there was one."""
    counts = {"days": 3, "rows": 1200, "files": 12, "given_up": 1, "enabled": True, "last_problem": ""}
    assert compaction_lines(**counts) == ["3 days since the writer started, 1200 rows of 12 files"]
    assert compaction_lines(**{**counts, "last_problem": "no room"})[1:] == ["last problem: no room"]


def test_a_writer_that_does_not_compact_says_so() -> None:
    """And an older one says nothing."""
    assert compaction_lines(enabled=False) == ["nothing: writer.compaction is off"]
    assert compaction_lines() == []
