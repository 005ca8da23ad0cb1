"""A lake's bucket in memory: as strict as a real one, and as slow or broken as a test wants."""

import io
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import IO, TypeVar

from msgspec import Struct

from agent.lake.bucket import BucketFailure, Content, FileGone, ObjectHead, PutOutcome, Tagged

T = TypeVar("T")

PAGE = 1000
# So that a listing is many steps.
STEPPED_PAGE = 20


class _Stored(Struct):
    content: bytes
    changed_ns: int
    version: int


class MemoryBucket:
    """See `agent.lake.bucket.Bucket`. `now_ns` is its own clock; `changes` counts what was put and deleted."""

    def __init__(self) -> None:
        self.objects: dict[str, _Stored] = {}
        self.now_ns = 0
        self.changes = 0
        self.on_put: Callable[[str, bytes], None] = lambda _name, _content: None
        self._names: list[str] = []

    @property
    def shown(self) -> str:
        return "memory://"

    def get(self, name: str, bytes_max: int) -> bytes | None:
        found = self.read_tagged(name, bytes_max)
        return None if found is None else found.content

    def put_new(self, name: str, content: Content) -> PutOutcome:
        found = self.objects.get(name)
        if found is not None:
            return PutOutcome.SAME if found.content == bytes(content) else PutOutcome.OTHER
        self._store(name, bytes(content))
        return PutOutcome.STORED

    def put_file(self, name: str, path: str) -> PutOutcome:
        return self.put_new(name, Path(path).read_bytes())

    def replace(self, name: str, content: Content) -> None:
        self._store(name, bytes(content))

    def read_tagged(self, name: str, bytes_max: int) -> Tagged | None:
        found = self.objects.get(name)
        if found is None:
            return None
        if len(found.content) > bytes_max:
            raise BucketFailure(name, f"it is longer than {bytes_max} bytes", is_passing=False)
        return Tagged(found.content, str(found.version))

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        found = self.objects.get(name)
        if (None if found is None else str(found.version)) != tag:
            return False
        self._store(name, content)
        return True

    def head(self, name: str) -> ObjectHead | None:
        found = self.objects.get(name)
        return None if found is None else ObjectHead(name, len(found.content), found.changed_ns)

    def next_page(self, prefix: str, after: str, most: int = PAGE) -> Sequence[ObjectHead]:
        """The next objects behind a name, as a server lists them."""
        begin = bisect_right(self._names, after) if after > prefix else bisect_left(self._names, prefix)
        page = []
        for name in self._names[begin : begin + most]:
            if not name.startswith(prefix):
                break
            page.append(ObjectHead(name, len(self.objects[name].content), self.objects[name].changed_ns))
        return page

    def pages(self, prefix: str, after: str = "") -> Iterator[Sequence[ObjectHead]]:
        while page := self.next_page(prefix, after):
            yield page
            after = page[-1].name

    def folders(self, prefix: str) -> Sequence[str]:
        rests = (name.removeprefix(prefix) for name in self.objects if name.startswith(prefix))
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    def delete(self, name: str) -> None:
        if self.objects.pop(name, None) is not None:
            self.changes += 1
            del self._names[bisect_left(self._names, name)]

    def open(self, name: str) -> IO[bytes]:
        if name not in self.objects:
            raise FileGone(name)
        return io.BytesIO(self.objects[name].content)

    def fetch(self, name: str, path: str) -> None:
        if name not in self.objects:
            raise FileGone(name)
        Path(path).write_bytes(self.objects[name].content)

    def sweep(self, older_than_ns: int) -> int:
        return 0

    def _store(self, name: str, content: bytes) -> None:
        self.changes += 1
        if name not in self.objects:
            insort(self._names, name)
        self.objects[name] = _Stored(content, self.now_ns, self.changes)
        self.on_put(name, content)


class Fate(Enum):
    """What becomes of one step."""

    GO = "go"
    FAIL_BEFORE = "fail before"
    FAIL_AFTER = "fail after"
    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"


class Killed(BaseException):
    """The end of a process: nothing in it catches this."""


class SteppedBucket:
    """A bucket of which each step waits for its fate. What was killed once does nothing any more."""

    def __init__(self, inner: MemoryBucket, wait: Callable[[], Fate]) -> None:
        self._inner = inner
        self._wait = wait
        self._is_killed = False

    @property
    def shown(self) -> str:
        return self._inner.shown

    def get(self, name: str, bytes_max: int) -> bytes | None:
        return self._do(lambda: self._inner.get(name, bytes_max))

    def put_new(self, name: str, content: Content) -> PutOutcome:
        return self._do(lambda: self._inner.put_new(name, content))

    def put_file(self, name: str, path: str) -> PutOutcome:
        return self._do(lambda: self._inner.put_file(name, path))

    def replace(self, name: str, content: Content) -> None:
        self._do(lambda: self._inner.replace(name, content))

    def read_tagged(self, name: str, bytes_max: int) -> Tagged | None:
        return self._do(lambda: self._inner.read_tagged(name, bytes_max))

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        return self._do(lambda: self._inner.exchange(name, content, tag))

    def head(self, name: str) -> ObjectHead | None:
        return self._do(lambda: self._inner.head(name))

    def pages(self, prefix: str, after: str = "") -> Iterator[Sequence[ObjectHead]]:
        while True:
            page = self._page(prefix, after)
            if not page:
                return
            yield page
            after = page[-1].name

    def folders(self, prefix: str) -> Sequence[str]:
        return self._do(lambda: self._inner.folders(prefix))

    def delete(self, name: str) -> None:
        self._do(lambda: self._inner.delete(name))

    def open(self, name: str) -> IO[bytes]:
        return self._do(lambda: self._inner.open(name))

    def fetch(self, name: str, path: str) -> None:
        self._do(lambda: self._inner.fetch(name, path))

    def sweep(self, older_than_ns: int) -> int:
        return self._do(lambda: self._inner.sweep(older_than_ns))

    def _page(self, prefix: str, after: str) -> Sequence[ObjectHead]:
        return self._do(lambda: self._inner.next_page(prefix, after, STEPPED_PAGE))

    def _do(self, call: Callable[[], T]) -> T:
        if self._is_killed:
            raise Killed
        fate = self._wait()
        if fate in (Fate.KILL_BEFORE, Fate.KILL_AFTER):
            self._is_killed = True
        if fate is Fate.KILL_BEFORE:
            raise Killed
        if fate is Fate.FAIL_BEFORE:
            raise BucketFailure("memory://", "no connection", is_passing=True)
        found = call()
        if fate is Fate.KILL_AFTER:
            raise Killed
        if fate is Fate.FAIL_AFTER:
            raise BucketFailure("memory://", "the answer was lost", is_passing=True)
        return found
