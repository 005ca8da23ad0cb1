"""What is tried again, and what is not."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from fakes.memory_bucket import Fate, MemoryBucket, SteppedBucket

from agent.lake.bucket import Bucket, BucketFailure, FileGone, PutOutcome
from agent.lake.patient_bucket import TRIES_MAX, PatientBucket


class Story:
    """A bucket whose first steps have these fates; all others go."""

    def __init__(self, *fates: Fate) -> None:
        self.inner = MemoryBucket()
        self.inner.put_new("a/1", b"one")
        self._fates = list(fates)
        self.waited_ns: list[int] = []
        stepped = SteppedBucket(self.inner, lambda: self._fates.pop(0) if self._fates else Fate.GO)
        self.bucket = PatientBucket(stepped, Random(1), self.waited_ns.append)


CALLS: dict[str, Callable[[Bucket], object]] = {
    "get": lambda bucket: bucket.get("a/1", 9),
    "put_new": lambda bucket: bucket.put_new("a/2", b"two") in (PutOutcome.STORED, PutOutcome.SAME),
    "replace": lambda bucket: bucket.replace("a/1", b"uno"),
    "read_tagged": lambda bucket: bucket.read_tagged("a/1", 9),
    "exchange": lambda bucket: bucket.exchange("a/3", b"x", None),
    "head": lambda bucket: bucket.head("a/1"),
    "pages": lambda bucket: [head.name for page in bucket.pages("") for head in page],
    "folders": lambda bucket: bucket.folders(""),
    "delete": lambda bucket: bucket.delete("a/1"),
    "open": lambda bucket: bucket.open("a/1").read(),
    "sweep": lambda bucket: bucket.sweep(0),
}


@pytest.mark.parametrize("fate", [Fate.FAIL_BEFORE, Fate.FAIL_AFTER])
@pytest.mark.parametrize("name", CALLS)
def test_what_may_pass_is_tried_again(name: str, fate: Fate) -> None:
    """Whether the request was lost or its answer: the outcome is the same as without."""
    wanted, story = Story(), Story(fate, fate)
    assert CALLS[name](story.bucket) == CALLS[name](wanted.bucket)
    assert story.bucket.tries == len(story.waited_ns) == 2
    assert {name: each.content for name, each in story.inner.objects.items()} == {
        name: each.content for name, each in wanted.inner.objects.items()
    }


def test_files_are_put_and_fetched_with_patience(tmp_path: Path) -> None:
    """As everything else."""
    story = Story(Fate.FAIL_BEFORE)
    story.bucket.fetch("a/1", str(tmp_path / "one"))
    assert (tmp_path / "one").read_bytes() == b"one"
    assert story.bucket.put_file("a/2", str(tmp_path / "one")) is PutOutcome.STORED
    assert story.bucket.shown == "memory://"


def test_after_some_tries_it_is_a_failure() -> None:
    """With waits that grow."""
    story = Story(*[Fate.FAIL_BEFORE] * TRIES_MAX)
    with pytest.raises(BucketFailure):
        story.bucket.get("a/1", 9)
    assert len(story.waited_ns) == TRIES_MAX - 1
    with pytest.raises(BucketFailure):
        list(Story(*[Fate.FAIL_BEFORE] * TRIES_MAX).bucket.pages(""))


def test_what_does_not_pass_is_told_at_once() -> None:
    """And so is a file that is gone."""
    story = Story()
    with pytest.raises(BucketFailure, match="longer than"):
        story.bucket.get("a/1", 1)
    with pytest.raises(FileGone):
        story.bucket.open("nothing")
    assert story.waited_ns == []


def test_an_exchange_of_somebody_else_is_told_from_ours() -> None:
    """Also where the answer to ours was lost."""
    story = Story(Fate.FAIL_BEFORE)
    story.inner.put_new("a/3", b"theirs")
    assert not story.bucket.exchange("a/3", b"ours!!", None)
    assert story.inner.objects["a/3"].content == b"theirs"


def test_a_listing_that_breaks_off_gives_each_name_once() -> None:
    """It begins again, and passes over what it had."""
    story = Story(Fate.GO, Fate.FAIL_BEFORE)
    for number in range(50):
        story.inner.put_new(f"b/{number:02d}", b"")
    names = [head.name for page in story.bucket.pages("b/") for head in page]
    assert names == [f"b/{number:02d}" for number in range(50)]
