"""Failures of a bucket."""

from agent.lake.bucket import BucketFailure, FileGone


def test_a_failure_says_whether_it_may_pass() -> None:
    """In its sentence there is nothing of that."""
    failure = BucketFailure("file:///x", "it is full", "free space", is_passing=True)
    assert failure.is_passing
    assert failure.sentence == "file:///x: it is full; free space"


def test_a_file_that_is_gone_has_its_name() -> None:
    """A reader takes a new snapshot."""
    gone = FileGone("a/b")
    assert (gone.name, gone.is_passing) == ("a/b", True)
