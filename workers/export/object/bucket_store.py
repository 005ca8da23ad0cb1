"""A bucket as the place of files, by obstore. It brings obstore, and that late."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from agent.model.checksum import blake2b
from agent.model.errors import ConfigError
from agent.model.timebase import S
from workers.export.http_credential import text_of
from workers.export.http_option import CA_FILE, CONNECT_TIMEOUT
from workers.export.object.option import (
    ALLOW_HTTP,
    CREDENTIAL_KEYS,
    CREDENTIALS_FILE,
    ENDPOINT,
    REGION,
    TIMEOUT,
    ObjectPlace,
    Provider,
    parse_credentials,
)
from workers.export.object.store import StoreFailure
from workers.export.sink import Later, Paused, SinkValues

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

# What an object's own metadata says of its content.
DIGEST_KEY = "evergauge-blake2b"
_MEDIA_TYPE = "application/vnd.apache.parquet"
_CHUNK_BYTES = 1 << 20
# What obstore says of a failure, in words that later versions may change: then a sentence is less exact, and no verdict worse.
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_KIND = re.compile(r"kind: (Timeout|Connect|Interrupted|Decode|Request)")
_OWN_CREDENTIALS = ("169.254.", "metadata.google", "/latest/", "/metadata/")
# 409: another request for this name is under way. 425 and 429: come again.
_PASSING = frozenset({408, 409, 425, 429})
_NO_RETRIES: dict[str, Any] = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}


class BucketSetup(Struct, frozen=True):
    """What a bucket is opened with."""

    place: ObjectPlace
    values: SinkValues
    variables: Mapping[str, str]

    @property
    def has_credentials(self) -> bool:
        """Whether there are any, beside those that a cloud gives its machines."""
        return bool(self.values.of(CREDENTIALS_FILE)) or any(
            self.variables.get(key) for key in CREDENTIAL_KEYS[self.place.provider]
        )


class BucketStore:
    """See `workers.export.object.store.Store`. Opened at the first call, and again after a failure: credentials may be others."""

    def __init__(self, setup: BucketSetup) -> None:
        self._setup = setup
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
            for _ in obstore.list(store, f"{self._setup.place.prefix}/.probe".strip("/"), chunk_size=1):
                break
        except Exception as failure:
            if _found(_CODE, str(failure)) not in ("AccessDenied", "AuthorizationPermissionMismatch"):
                raise
            return f"{self._setup.place.shown} may not be listed, which the agent does not need; whether it may write is not known"
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
        from obstore.exceptions import BaseError

        if self._opened is None:
            try:
                self._opened = _open(self._setup)
            except ConfigError as failure:
                raise StoreFailure(Paused(failure.sentence)) from failure
            except (BaseError, OSError, ValueError):
                # Not its words: they may repeat a part of what it could not read.
                where, keys = self._setup.place.shown, ", ".join(CREDENTIAL_KEYS[self._setup.place.provider])
                problem = f"the credentials for {where} are incomplete or of another form"
                raise StoreFailure(Paused(f"{problem}; look at {keys}")) from None
        return self._opened

    def _verdict(self, text: str, action: str) -> Later | Paused:
        where = self._setup.place.shown
        status, code = int(_found(_STATUS, text) or 0), _found(_CODE, text)
        said = " ".join(filter(None, (str(status or ""), code)))
        if not self._setup.has_credentials and any(word in text for word in _OWN_CREDENTIALS):
            keys = CREDENTIAL_KEYS[self._setup.place.provider]
            return Paused(f"there are no credentials for {where}; name them in credentials_file, or set {keys[0]} for the agent")
        if not status:
            return self._without_answer(text, where)
        if status >= 500 or status in _PASSING or code in ("SlowDown", "RequestTimeout"):
            return Later(f"{where} is busy or not ready ({said})")
        if code == "RequestTimeTooSkewed":
            return Paused(f"{where} says that this host's clock is wrong ({said}); set it")
        if status in (401, 403):
            return Paused(
                f"{where} does not let us {action} ({said}); look at the credentials, and give them the right to {action}"
            )
        if status == 404:
            return Paused(f"{where} is not there ({said}); make the bucket, or correct url and credentials")
        return Paused(f"{where} refuses to {action} ({said}); look at url, region and endpoint")

    def _without_answer(self, text: str, where: str) -> Later | Paused:
        if "certificate" in text.lower():
            return Paused(f"the certificate of {where} is not known; name its authority in ca_file")
        match _found(_KIND, text):
            case "Timeout":
                return Later(f"{where} gave no answer in time")
            case "Connect":
                return Later(f"{where} cannot be reached")
        return Later(f"the connection to {where} broke")


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


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


def _open(setup: BucketSetup) -> "ObjectStore":
    """*Raises:* ConfigError, and what the library raises."""
    from obstore.store import AzureStore, GCSStore, S3Store

    values, place = setup.values, setup.place
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=values.of(TIMEOUT) / S),
        "connect_timeout": timedelta(seconds=values.of(CONNECT_TIMEOUT) / S),
        "allow_http": values.of(ALLOW_HTTP),
    }
    if path := values.of(CA_FILE):
        client["root_certificate"] = text_of(path, CA_FILE.key)
    # Its types list every key of every provider.
    config: Any = {}
    if path := values.of(CREDENTIALS_FILE):
        config = parse_credentials(text_of(path, CREDENTIALS_FILE.key), place.provider)
    common: dict[str, Any] = {"client_options": client, "retry_config": _NO_RETRIES}
    match place.provider:
        case Provider.S3:
            config["conditional_put"] = "etag"
            config["region"] = values.of(REGION) or setup.variables.get("AWS_REGION") or "us-east-1"
            if endpoint := values.of(ENDPOINT):
                config["endpoint"] = endpoint
            return S3Store(place.bucket, config=config, **common)
        case Provider.GCS:
            return GCSStore(place.bucket, config=config, **common)
        case Provider.AZURE:
            if endpoint := values.of(ENDPOINT):
                config["endpoint"] = endpoint
            return AzureStore(place.bucket, config=config, **common)
        case Provider.FOLDER:
            raise AssertionError("a folder is no bucket")
