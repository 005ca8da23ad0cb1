"""The place that a URL names in object storage, and credentials in a file. PURE."""

import re
from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

from agent.endpoint import parse_endpoint
from agent.model.errors import ConfigError

EXAMPLE = "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER"
MISSING = "the library for object storage is not installed; run: pip install 'evergauge[object]', or use file:///FOLDER"
FILE_LINES_MAX = 64


class Provider(Enum):
    """Whose storage it is."""

    S3 = "s3"
    GCS = "gs"
    AZURE = "az"
    FOLDER = "file"


# As each provider's own tools call them. A place or an option is none of these: it stands in the section.
CREDENTIAL_KEYS: Mapping[Provider, tuple[str, ...]] = {
    Provider.S3: ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    Provider.GCS: ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"),
    Provider.AZURE: (
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
    ),
    Provider.FOLDER: (),
}
_URL = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[^/]*)(?P<path>/.*)?")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_PART = re.compile(r"[A-Za-z0-9._=+-]{1,255}")


class ObjectPlace(Struct, frozen=True):
    """Where files are. `prefix` has no `/` at its ends; of a folder `bucket` is its absolute path and `prefix` is empty."""

    provider: Provider
    bucket: str
    prefix: str = ""

    @property
    def shown(self) -> str:
        """As sentences name it."""
        below = f"/{self.prefix}" if self.prefix else ""
        return f"{self.provider.value}://{self.bucket}{below}"


class PlaceOptions(Struct, frozen=True):
    """What is said of a place beside its URL, and `key`, how the settings of it begin: `lake.` for `lake.endpoint`."""

    endpoint: str = ""
    region: str = ""
    allow_http: bool = False
    credentials_file: str = ""
    ca_file: str = ""
    key: str = ""


def parse_place(url: str, key: str = "url") -> ObjectPlace:
    """The place that a URL names. *Raises:* ConfigError, without the URL, which may hold a secret."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(key, "it is missing" if not url else "it is no URL", EXAMPLE)
    scheme, bucket, path = found["scheme"], found["bucket"], found["path"] or ""
    if scheme not in {each.value for each in Provider}:
        raise ConfigError(key, f"{scheme}:// is not supported", EXAMPLE)
    provider = Provider(scheme)
    if "@" in bucket or "?" in url or "#" in url:
        raise ConfigError(key, "the URL has credentials or options in it", "credentials stand in credentials_file")
    if provider is Provider.FOLDER:
        if bucket or not path.strip("/"):
            raise ConfigError(key, "it names no folder", "write file:///FOLDER, with three slashes before an absolute path")
        return ObjectPlace(provider, "/" + path.strip("/"))
    if _BUCKET.fullmatch(bucket) is None:
        raise ConfigError(key, "it names no bucket", EXAMPLE)
    prefix = path.strip("/")
    for part in prefix.split("/") if prefix else ():
        if _PART.fullmatch(part) is None or part in (".", ".."):
            raise ConfigError(key, "its prefix has other characters than letters, digits and . _ = + -", EXAMPLE)
    return ObjectPlace(provider, bucket, prefix)


def check_options(place: ObjectPlace, options: PlaceOptions) -> None:
    """*Raises:* ConfigError for options that do not fit the place. No file is looked at."""
    key = options.key
    if options.endpoint:
        if place.provider not in (Provider.S3, Provider.AZURE):
            raise ConfigError(f"{key}endpoint", f"{place.provider.value}:// has no other endpoint", "take it out")
        if not parse_endpoint(options.endpoint, key=f"{key}endpoint").is_tls and not options.allow_http:
            raise ConfigError(
                f"{key}endpoint",
                "it is http://, where anybody on the way can read along",
                f"write https:// or {key}allow_http = true",
            )
    if options.region and place.provider is not Provider.S3:
        raise ConfigError(f"{key}region", f"{place.provider.value}:// has no region", "take it out")
    if place.provider is Provider.FOLDER:
        for name, path in (("credentials_file", options.credentials_file), ("ca_file", options.ca_file)):
            if path:
                raise ConfigError(f"{key}{name}", "a folder has none", "take it out")


def parse_credentials(text: str, provider: Provider, key: str = "credentials_file") -> dict[str, str]:
    """The values by key in lower case, as the library takes them.

    *Raises:* ConfigError, with the number of the line and no value.
    """
    known = CREDENTIAL_KEYS[provider]
    found: dict[str, str] = {}
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        raise ConfigError(key, f"it has more than {FILE_LINES_MAX} lines", "name another file")
    for number, line in enumerate(lines, start=1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals or not value:
            raise ConfigError(f"{key}, line {number}", "it is not KEY=value", f"write {known[0]}=…")
        if name.upper() not in known:
            raise ConfigError(f"{key}, line {number}", "it has another key", f"write one of {', '.join(known)}")
        found[name.lower()] = value
    if not found:
        raise ConfigError(key, "there are no credentials in it", f"write {known[0]}=…, one a line")
    return found
