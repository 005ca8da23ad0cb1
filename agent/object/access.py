"""Opens a bucket by obstore, and says of its failures what they mean. It brings obstore, and that late."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agent.model.errors import ConfigError
from agent.model.timebase import S
from agent.object.place import CREDENTIAL_KEYS, ObjectPlace, PlaceOptions, Provider, parse_credentials
from agent.secret_text import text_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_NO_RETRIES: dict[str, Any] = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}


class ObjectAccess(Struct, frozen=True):
    """What a bucket is opened with. `variables`: the environment, where credentials may stand."""

    place: ObjectPlace
    options: PlaceOptions
    timeout_ns: int
    connect_timeout_ns: int
    variables: Mapping[str, str]

    @property
    def has_credentials(self) -> bool:
        """Whether there are any, beside those that a cloud gives its machines."""
        return bool(self.options.credentials_file) or any(self.variables.get(key) for key in CREDENTIAL_KEYS[self.place.provider])


def open_store(access: ObjectAccess) -> "ObjectStore":
    """The bucket, which is not asked for anything yet.

    *Raises:* ConfigError: a file that cannot be read, or what the library does not take of the credentials.
    """
    from obstore.exceptions import BaseError

    try:
        return _open(access)
    except (BaseError, OSError, ValueError):
        # Not its words: they may repeat a part of what it could not read.
        where, keys = access.place.shown, ", ".join(CREDENTIAL_KEYS[access.place.provider])
        raise ConfigError("", f"the credentials for {where} are incomplete or of another form", f"look at {keys}") from None


def _open(access: ObjectAccess) -> "ObjectStore":
    """*Raises:* ConfigError, and what the library raises."""
    from obstore.store import AzureStore, GCSStore, S3Store

    place, options = access.place, access.options
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=access.timeout_ns / S),
        "connect_timeout": timedelta(seconds=access.connect_timeout_ns / S),
        "allow_http": options.allow_http,
    }
    if path := options.ca_file:
        client["root_certificate"] = text_of(path, f"{options.key}ca_file")
    # Its types list every key of every provider.
    config: Any = {}
    if path := options.credentials_file:
        key = f"{options.key}credentials_file"
        config = parse_credentials(text_of(path, key), place.provider, key)
    common: dict[str, Any] = {"client_options": client, "retry_config": _NO_RETRIES}
    match place.provider:
        case Provider.S3:
            config["conditional_put"] = "etag"
            config["region"] = options.region or access.variables.get("AWS_REGION") or "us-east-1"
            if options.endpoint:
                config["endpoint"] = options.endpoint
            return S3Store(place.bucket, config=config, **common)
        case Provider.GCS:
            return GCSStore(place.bucket, config=config, **common)
        case Provider.AZURE:
            if options.endpoint:
                config["endpoint"] = options.endpoint
            return AzureStore(place.bucket, config=config, **common)
        case Provider.FOLDER:
            raise AssertionError("a folder is no bucket")
