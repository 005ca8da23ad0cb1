"""The settings of a sink of kind `object`, the place that they name, and credentials in a file. PURE."""

import re
from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

from agent.model.errors import ConfigError
from agent.model.timebase import S
from agent.setting import AnySetting, Duration, Switch, Text
from workers.export.endpoint import parse_endpoint
from workers.export.http_option import CA_FILE, CONNECT_TIMEOUT
from workers.export.sink import SinkValues

URL = Text("url", "", "where the files go: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER")
REGION = Text("region", "", "region of an S3 bucket; empty: that of AWS_REGION, or us-east-1")
ENDPOINT = Text("endpoint", "", "address of a server other than the provider's, such as http://127.0.0.1:9000; for s3:// and az://")
ALLOW_HTTP = Switch("allow_http", False, "whether an endpoint may be http://, where anybody on the way can read along")
CREDENTIALS_FILE = Text("credentials_file", "", "file of lines KEY=value, read again after each failure; empty: the environment")
# A file of 5 MiB in it needs 90 kB/s.
TIMEOUT = Duration("timeout", 60 * S, 1 * S, 600 * S, "how long one file may take, the answer included")

OPTIONS: tuple[AnySetting, ...] = (URL, REGION, ENDPOINT, ALLOW_HTTP, CREDENTIALS_FILE, TIMEOUT, CONNECT_TIMEOUT, CA_FILE)
EXAMPLE = "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER"
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
    """Where files go. `prefix` has no `/` at its ends; of a folder `bucket` is its absolute path and `prefix` is empty."""

    provider: Provider
    bucket: str
    prefix: str = ""

    @property
    def shown(self) -> str:
        """As sentences name it."""
        below = f"/{self.prefix}" if self.prefix else ""
        return f"{self.provider.value}://{self.bucket}{below}"


def parse_place(url: str) -> ObjectPlace:
    """The place that a URL names. *Raises:* ConfigError, without the URL, which may hold a secret."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(URL.key, "it is missing" if not url else "it is no URL", EXAMPLE)
    scheme, bucket, path = found["scheme"], found["bucket"], found["path"] or ""
    if scheme not in {each.value for each in Provider}:
        raise ConfigError(URL.key, f"{scheme}:// is not supported", EXAMPLE)
    provider = Provider(scheme)
    if "@" in bucket or "?" in url or "#" in url:
        raise ConfigError(URL.key, "the URL has credentials or options in it", "credentials stand in credentials_file")
    if provider is Provider.FOLDER:
        if bucket or not path.strip("/"):
            raise ConfigError(URL.key, "it names no folder", "write file:///FOLDER, with three slashes before an absolute path")
        return ObjectPlace(provider, "/" + path.strip("/"))
    if _BUCKET.fullmatch(bucket) is None:
        raise ConfigError(URL.key, "it names no bucket", EXAMPLE)
    prefix = path.strip("/")
    for part in prefix.split("/") if prefix else ():
        if _PART.fullmatch(part) is None or part in (".", ".."):
            raise ConfigError(URL.key, "its prefix has other characters than letters, digits and . _ = + -", EXAMPLE)
    return ObjectPlace(provider, bucket, prefix)


def check_object(values: SinkValues) -> ObjectPlace:
    """The place of a section. *Raises:* ConfigError for settings that do not go together. No file is looked at."""
    place = parse_place(values.of(URL))
    endpoint = values.of(ENDPOINT)
    if endpoint:
        if place.provider not in (Provider.S3, Provider.AZURE):
            raise ConfigError(ENDPOINT.key, f"{place.provider.value}:// has no other endpoint", "take it out")
        if not parse_endpoint(endpoint).is_tls and not values.of(ALLOW_HTTP):
            raise ConfigError(
                ENDPOINT.key, "it is http://, where anybody on the way can read along", "write https:// or allow_http = true"
            )
    if values.of(REGION) and place.provider is not Provider.S3:
        raise ConfigError(REGION.key, f"{place.provider.value}:// has no region", "take it out")
    if place.provider is Provider.FOLDER:
        for option in (CREDENTIALS_FILE, CA_FILE):
            if values.of(option):
                raise ConfigError(option.key, "a folder has none", "take it out")
    return place


def parse_credentials(text: str, provider: Provider) -> dict[str, str]:
    """The values by key in lower case, as the library takes them.

    *Raises:* ConfigError, with the number of the line and no value.
    """
    known = CREDENTIAL_KEYS[provider]
    found: dict[str, str] = {}
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        raise ConfigError(CREDENTIALS_FILE.key, f"it has more than {FILE_LINES_MAX} lines", "name another file")
    for number, line in enumerate(lines, start=1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals or not value:
            raise ConfigError(f"{CREDENTIALS_FILE.key}, line {number}", "it is not KEY=value", f"write {known[0]}=…")
        if key.upper() not in known:
            raise ConfigError(f"{CREDENTIALS_FILE.key}, line {number}", "it has another key", f"write one of {', '.join(known)}")
        found[key.lower()] = value
    if not found:
        raise ConfigError(CREDENTIALS_FILE.key, "there are no credentials in it", f"write {known[0]}=…, one a line")
    return found
