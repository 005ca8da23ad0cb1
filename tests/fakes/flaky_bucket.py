"""A bucket of which some puts fail: the request is lost, or its answer."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import IO, TypeVar

from agent.lake.bucket import Bucket, BucketFailure, Content, ObjectHead, PutOutcome, Tagged

T = TypeVar("T")


class FlakyBucket:
    """See `agent.lake.bucket.Bucket`. `share`: how many of its puts fail, as a part of 1. `failed` counts them."""

    def __init__(self, inner: Bucket, share: float, chance: Random) -> None:
        self._inner = inner
        self._share = share
        self._chance = chance
        self.failed = 0

    @property
    def shown(self) -> str:
        return self._inner.shown

    def get(self, name: str, bytes_max: int) -> bytes | None:
        return self._inner.get(name, bytes_max)

    def put_new(self, name: str, content: Content) -> PutOutcome:
        return self._put(lambda: self._inner.put_new(name, content))

    def put_file(self, name: str, path: str) -> PutOutcome:
        return self._put(lambda: self._inner.put_file(name, path))

    def replace(self, name: str, content: Content) -> None:
        self._put(lambda: self._inner.replace(name, content))

    def read_tagged(self, name: str, bytes_max: int) -> Tagged | None:
        return self._inner.read_tagged(name, bytes_max)

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        return self._put(lambda: self._inner.exchange(name, content, tag))

    def head(self, name: str) -> ObjectHead | None:
        return self._inner.head(name)

    def pages(self, prefix: str, after: str = "") -> Iterator[Sequence[ObjectHead]]:
        return self._inner.pages(prefix, after)

    def folders(self, prefix: str) -> Sequence[str]:
        return self._inner.folders(prefix)

    def delete(self, name: str) -> None:
        self._inner.delete(name)

    def open(self, name: str) -> IO[bytes]:
        return self._inner.open(name)

    def fetch(self, name: str, path: str) -> None:
        self._inner.fetch(name, path)

    def sweep(self, older_than_ns: int) -> int:
        return self._inner.sweep(older_than_ns)

    def _put(self, put: Callable[[], T]) -> T:
        chance = self._chance.random()
        if chance < self._share / 2:
            self.failed += 1
            raise BucketFailure(self.shown, "the request was lost", is_passing=True)
        found = put()
        if chance < self._share:
            self.failed += 1
            raise BucketFailure(self.shown, "the answer was lost", is_passing=True)
        return found
