"""A bucket as the place of files, by obstore. It brings obstore, and that late."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from agent.model.checksum import blake2b
from agent.model.errors import ConfigError
from agent.object.access import ObjectAccess, open_store
from agent.object.refusal import forbids_listing, refusal_of
from workers.export.object.store import StoreFailure
from workers.export.sink import Later, Paused

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

# What an object's own metadata says of its content.
DIGEST_KEY = "evergauge-blake2b"
_MEDIA_TYPE = "application/vnd.apache.parquet"
_CHUNK_BYTES = 1 << 20


class BucketStore:
    """See `workers.export.object.store.Store`. Opened at the first call, and again after a failure: credentials may be others."""

    def __init__(self, access: ObjectAccess) -> None:
        self._access = access
        self._opened: ObjectStore | None = None

    def put(self, name: str, content: bytes) -> bool:
        return self._guarded("write", lambda store: self._put(store, name, content))

    def probe(self) -> str:
        return self._guarded("list", self._probe)

    def _put(self, store: "ObjectStore", name: str, content: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        digest = blake2b(content, digest_size=16).hexdigest()
        attributes = {"Content-Type": _MEDIA_TYPE, DIGEST_KEY: digest}
        try:
            # Whole and once: parts of a larger upload could be left behind, and would not be put on a condition everywhere.
            obstore.put(store, name, content, attributes=attributes, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return _is_same(store, name, len(content), digest)
        return True

    def _probe(self, store: "ObjectStore") -> str:
        import obstore

        try:
            # A name that nobody has: nothing is listed, whatever the bucket holds.
            for _ in obstore.list(store, f"{self._access.place.prefix}/.probe".strip("/"), chunk_size=1):
                break
        except Exception as failure:
            if not forbids_listing(str(failure)):
                raise
            return f"{self._access.place.shown} may not be listed, which the agent does not need; whether it may write is not known"
        return ""

    def _guarded(self, action: str, call: "Callable[[ObjectStore], T]") -> T:
        from obstore.exceptions import BaseError

        store = self._store()
        try:
            return call(store)
        except (BaseError, OSError, ValueError) as failure:
            self._opened = None
            # Not the cause: it has addresses and what a server repeats of a request, where signatures stand.
            raise StoreFailure(self._verdict(str(failure), action)) from None

    def _store(self) -> "ObjectStore":
        if self._opened is None:
            try:
                self._opened = open_store(self._access)
            except ConfigError as failure:
                raise StoreFailure(Paused(failure.sentence)) from failure
        return self._opened

    def _verdict(self, text: str, action: str) -> Later | Paused:
        refusal = refusal_of(text, self._access.place, action, has_credentials=self._access.has_credentials)
        return Later(refusal.sentence) if refusal.is_passing else Paused(refusal.sentence)


def _is_same(store: "ObjectStore", name: str, size_bytes: int, digest: str) -> bool:
    """Whether an object has this content: by its length and its own metadata, or by reading it where it has none of ours."""
    import obstore

    found = obstore.get(store, name, options={"head": True})
    if found.meta["size"] != size_bytes:
        return False
    if (known := found.attributes.get(DIGEST_KEY)) is not None:
        return known == digest
    state = blake2b(digest_size=16)
    for chunk in obstore.get(store, name).stream(min_chunk_size=_CHUNK_BYTES):
        state.update(chunk)
    return state.hexdigest() == digest
