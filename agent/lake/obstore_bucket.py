"""A bucket of object storage as the place of a lake, by obstore, which comes late.

Nothing is put in parts: parts of a larger upload could be left behind, and are not put on a condition everywhere. A put whose
answer was lost is told from somebody else's by its length and its digest, which stands in the object's own metadata.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, TypeVar

from agent.failpoint import failpoint
from agent.lake.bucket import BucketFailure, Content, FileGone, ObjectHead, PutOutcome, Tagged
from agent.model.checksum import blake2b
from agent.model.errors import ConfigError
from agent.object.access import ObjectAccess, open_store
from agent.object.refusal import refusal_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

PAGE = 1000
# What an object's own metadata says of its content, as sinks write it.
DIGEST_KEY = "evergauge-blake2b"
_PARQUET = "application/vnd.apache.parquet"
_CHUNK_BYTES = 1 << 20


class ObstoreBucket:
    """See `agent.lake.bucket.Bucket`. Opened at the first call, and again after a failure: credentials may be others."""

    def __init__(self, access: ObjectAccess) -> None:
        self._access = access
        self._opened: ObjectStore | None = None
        self._prefix = f"{access.place.prefix}/" if access.place.prefix else ""

    @property
    def shown(self) -> str:
        return self._access.place.shown

    def get(self, name: str, bytes_max: int) -> bytes | None:
        found = self.read_tagged(name, bytes_max)
        return None if found is None else found.content

    def put_new(self, name: str, content: Content) -> PutOutcome:
        def put(store: "ObjectStore") -> PutOutcome:
            return _put_new(store, self._prefix + name, content)

        return self._guarded("write", put)

    def put_file(self, name: str, path: str) -> PutOutcome:
        import mmap

        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                return self.put_new(name, b"")
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        # The library may hold its pages a moment longer than its call; they go with the last who does.
        return self.put_new(name, memoryview(mapped))

    def replace(self, name: str, content: Content) -> None:
        import obstore

        self._guarded("write", lambda store: obstore.put(store, self._prefix + name, content, use_multipart=False))

    def read_tagged(self, name: str, bytes_max: int) -> Tagged | None:
        import obstore

        def read(store: "ObjectStore") -> Tagged | None:
            try:
                found = obstore.get(store, self._prefix + name)
            except FileNotFoundError:
                return None
            if found.meta["size"] > bytes_max:
                raise BucketFailure(f"{self.shown}/{name}", f"it is longer than {bytes_max} bytes", "remove it", is_passing=False)
            return Tagged(bytes(found.bytes()), found.meta["e_tag"] or "")

        return self._guarded("read", read)

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def put(store: "ObjectStore") -> bool:
            mode: Any = "create" if tag is None else {"e_tag": tag}
            try:
                obstore.put(store, self._prefix + name, content, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError, FileNotFoundError):
                return False
            return True

        return self._guarded("write", put)

    def head(self, name: str) -> ObjectHead | None:
        import obstore

        def ask(store: "ObjectStore") -> ObjectHead | None:
            try:
                found = obstore.head(store, self._prefix + name)
            except FileNotFoundError:
                return None
            return self._head(found)

        return self._guarded("read", ask)

    def pages(self, prefix: str, after: str = "") -> Iterator[Sequence[ObjectHead]]:
        import obstore

        assert not prefix or prefix.endswith("/")
        below = f"{self._prefix}{prefix}".rstrip("/") or None
        offset = f"{self._prefix}{after}" if after else None
        listed: Any = self._guarded("list", lambda store: obstore.list(store, below, offset=offset, chunk_size=PAGE))
        while True:
            page = self._guarded("list", lambda _store: next(listed, None))
            if page is None:
                return
            yield [self._head(found) for found in page]

    def folders(self, prefix: str) -> Sequence[str]:
        import obstore

        assert not prefix or prefix.endswith("/")
        whole = f"{self._prefix}{prefix}"
        below = whole.rstrip("/") or None
        found = self._guarded("list", lambda store: obstore.list_with_delimiter(store, below))
        return sorted(path.removeprefix(whole).rstrip("/") for path in found["common_prefixes"])

    def delete(self, name: str) -> None:
        import obstore

        def remove(store: "ObjectStore") -> None:
            try:
                obstore.delete(store, self._prefix + name)
            except FileNotFoundError:
                # Some servers say so, most do not.
                return

        self._guarded("delete", remove)

    def open(self, name: str) -> IO[bytes]:
        import obstore

        def opened(store: "ObjectStore") -> Any:
            try:
                return obstore.open_reader(store, self._prefix + name)
            except FileNotFoundError:
                raise FileGone(name) from None

        found: Any = self._guarded("read", opened)

        def read(begin: int, size: int) -> bytes:
            def at(_store: "ObjectStore") -> bytes:
                try:
                    found.seek(begin)
                    return bytes(found.read(size))
                except FileNotFoundError:
                    raise FileGone(name) from None

            return self._guarded("read", at)

        return io.BufferedReader(_ObjectFile(read, found.size), _CHUNK_BYTES)

    def fetch(self, name: str, path: str) -> None:
        import obstore

        def copy(store: "ObjectStore") -> None:
            try:
                found = obstore.get(store, self._prefix + name)
            except FileNotFoundError:
                raise FileGone(name) from None
            chunks = found.stream(min_chunk_size=_CHUNK_BYTES)
            with open(path, "wb") as target:
                # Failures of the network are those of the next piece, and not of the file here.
                for chunk in chunks:
                    target.write(chunk)

        self._guarded("read", copy)

    def sweep(self, older_than_ns: int) -> int:
        """Nothing: an object is there in whole or not at all."""
        return 0

    # ---- below ----

    def _head(self, found: Any) -> ObjectHead:
        changed_ns = int(found["last_modified"].timestamp() * 1_000_000) * 1_000
        return ObjectHead(found["path"].removeprefix(self._prefix), found["size"], changed_ns)

    def _guarded(self, action: str, call: "Callable[[ObjectStore], T]") -> T:
        from obstore.exceptions import BaseError

        store = self._store()
        try:
            return call(store)
        except BucketFailure:
            raise
        except (BaseError, OSError, ValueError) as failure:
            self._opened = None
            refusal = refusal_of(str(failure), self._access.place, action, has_credentials=self._access.has_credentials)
            # Not the cause: it has addresses and what a server repeats of a request, where signatures stand.
            raise BucketFailure("", refusal.sentence, is_passing=refusal.is_passing) from None

    def _store(self) -> "ObjectStore":
        if self._opened is None:
            try:
                self._opened = open_store(self._access)
            except ConfigError as failure:
                raise BucketFailure(failure.where, failure.problem, failure.remedy, is_passing=False) from failure
        return self._opened


class _ObjectFile(io.RawIOBase):
    """An object as a file to read and to seek in."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self._read, self._size, self._place = read, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        content = self._read(self._place, wanted)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def _put_new(store: "ObjectStore", name: str, content: Content) -> PutOutcome:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError

    digest = _digest_of(content)
    attributes: Any = {DIGEST_KEY: digest}
    if name.endswith(".parquet"):
        attributes["Content-Type"] = _PARQUET
    # A server that refuses a large one by its name alone does so while we still send, and the connection breaks.
    if len(content) > _CHUNK_BYTES and (found := _compare(store, name, len(content), digest)) is not None:
        return found
    try:
        failpoint("lake.before_put")
        obstore.put(store, name, content, attributes=attributes, mode="create", use_multipart=False)
        failpoint("lake.put")
    except AlreadyExistsError:
        return _compare(store, name, len(content), digest) or PutOutcome.OTHER
    except BaseError as failure:
        # The answer may have been lost on its way: then it is there.
        with suppress(BaseError):
            if (found := _compare(store, name, len(content), digest)) is not None:
                return found
        raise failure from None
    return PutOutcome.STORED


def _digest_of(content: Content) -> str:
    state = blake2b(digest_size=16)
    view = memoryview(content)
    for begin in range(0, len(view), _CHUNK_BYTES):
        state.update(view[begin : begin + _CHUNK_BYTES])
    return state.hexdigest()


def _compare(store: "ObjectStore", name: str, size_bytes: int, digest: str) -> PutOutcome | None:
    """Whether an object has this content: by its length and its own metadata, or by reading it where it has none of ours.

    *Absent:* None where there is no such object.
    """
    import obstore

    try:
        found = obstore.get(store, name, options={"head": True})
    except FileNotFoundError:
        return None
    if found.meta["size"] != size_bytes:
        return PutOutcome.OTHER
    known = found.attributes.get(DIGEST_KEY)
    if known is None:
        state = blake2b(digest_size=16)
        for chunk in obstore.get(store, name).stream(min_chunk_size=_CHUNK_BYTES):
            state.update(chunk)
        known = state.hexdigest()
    return PutOutcome.SAME if known == digest else PutOutcome.OTHER
