"""A bucket that tries again what may pass by itself: a lost connection, a busy server, one answer in a hundred that is lost.

Each operation of `agent.lake.bucket.Bucket` can be done twice: names are put once and compared, and what is exchanged is read where
the answer was lost.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import IO, TypeVar

from agent.lake.bucket import Bucket, BucketFailure, Content, FileGone, ObjectHead, PutOutcome, Tagged
from agent.model.timebase import MS, S

T = TypeVar("T")

# Full jitter: half of 0.1, 0.2, 0.4 and 0.8 s together on average.
TRIES_MAX = 5
WAIT_FIRST_NS = 100 * MS


def _sleep(duration_ns: int) -> None:
    time.sleep(duration_ns / S)


class PatientBucket:
    """See `agent.lake.bucket.Bucket`. `tries` counts what was tried again."""

    def __init__(self, inner: Bucket, chance: Random | None = None, wait_ns: Callable[[int], None] = _sleep) -> None:
        self._inner = inner
        self._chance = chance or Random(os.urandom(16))
        self._wait_ns = wait_ns
        self.tries = 0

    @property
    def shown(self) -> str:
        return self._inner.shown

    def get(self, name: str, bytes_max: int) -> bytes | None:
        return self._again(lambda: self._inner.get(name, bytes_max))

    def put_new(self, name: str, content: Content) -> PutOutcome:
        return self._again(lambda: self._inner.put_new(name, content))

    def put_file(self, name: str, path: str) -> PutOutcome:
        return self._again(lambda: self._inner.put_file(name, path))

    def replace(self, name: str, content: Content) -> None:
        self._again(lambda: self._inner.replace(name, content))

    def read_tagged(self, name: str, bytes_max: int) -> Tagged | None:
        return self._again(lambda: self._inner.read_tagged(name, bytes_max))

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        tries = 0

        def exchange() -> bool:
            nonlocal tries
            tries += 1
            if self._inner.exchange(name, content, tag):
                return True
            # The answer to the first try may have been lost: then it is ours that is there.
            found = self._inner.read_tagged(name, len(content)) if tries > 1 else None
            return found is not None and found.content == content

        return self._again(exchange)

    def head(self, name: str) -> ObjectHead | None:
        return self._again(lambda: self._inner.head(name))

    def pages(self, prefix: str, after: str = "") -> Iterator[Sequence[ObjectHead]]:
        listed = self._inner.pages(prefix, after)
        done: set[str] = set()
        for turn in range(TRIES_MAX):
            try:
                for page in listed:
                    # Within a folder they are in order, but folders need not be.
                    new = [head for head in page if head.name not in done] if turn else page
                    done.update(head.name for head in page)
                    yield new
                return
            except BucketFailure as failure:
                self._bear(failure, turn)
            listed = self._inner.pages(prefix, after)

    def folders(self, prefix: str) -> Sequence[str]:
        return self._again(lambda: self._inner.folders(prefix))

    def delete(self, name: str) -> None:
        self._again(lambda: self._inner.delete(name))

    def open(self, name: str) -> IO[bytes]:
        return self._again(lambda: self._inner.open(name))

    def fetch(self, name: str, path: str) -> None:
        self._again(lambda: self._inner.fetch(name, path))

    def sweep(self, older_than_ns: int) -> int:
        return self._again(lambda: self._inner.sweep(older_than_ns))

    def _again(self, call: Callable[[], T]) -> T:
        for turn in range(TRIES_MAX):
            try:
                return call()
            except BucketFailure as failure:
                self._bear(failure, turn)
        raise AssertionError("the last turn returns or raises")

    def _bear(self, failure: BucketFailure, turn: int) -> None:
        """Wait before the next try. *Raises:* the failure, where there is none."""
        if isinstance(failure, FileGone) or not failure.is_passing or turn == TRIES_MAX - 1:
            raise failure
        self.tries += 1
        self._wait_ns(self._chance.randrange(WAIT_FIRST_NS << turn))
