"""The settings of a fleet's store: where it is, and what the compactor does with it. PURE."""

from msgspec import Struct

from agent.endpoint import Endpoint, parse_endpoint
from agent.model.errors import ConfigError
from agent.model.timebase import DAY, HOUR, MINUTE, MS, S
from agent.object.place import ObjectPlace, parse_place
from agent.setting import MIB, AnySetting, AutoSwitch, Duration, Size, Switch, Text

LAKE_URL = Text(
    "lake.url",
    "",
    "the fleet's store: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, file:///FOLDER, or clickhouse+http://HOST:PORT/"
    "DATABASE; empty: none",
)
LAKE_ENDPOINT = Text(
    "lake.endpoint", "", "address of a server other than the provider's, such as http://127.0.0.1:9000; for s3:// and az://"
)
LAKE_REGION = Text("lake.region", "", "region of an S3 bucket; empty: that of AWS_REGION, or us-east-1")
LAKE_ALLOW_HTTP = Switch("lake.allow_http", False, "whether an endpoint may be http://, where anybody on the way can read along")
LAKE_CREDENTIALS_FILE = Text(
    "lake.credentials_file", "", "file of lines KEY=value, read again after each failure; empty: the environment"
)
LAKE_CA_FILE = Text(
    "lake.ca_file", "", "PEM file of the authorities that sign the server's certificate; empty: those of the system"
)
# A file of 512 MiB in it needs 900 kB/s.
LAKE_TIMEOUT = Duration("lake.timeout", 600 * S, 1 * S, 1 * HOUR, "how long one request may take, the answer included")
LAKE_CONNECT_TIMEOUT = Duration("lake.connect_timeout", 5 * S, 100 * MS, 60 * S, "how long it may take to reach the server")
# A query of a whole day takes minutes; a reader that meets a deleted file begins again with a newer snapshot.
LAKE_GRACE = Duration(
    "lake.grace", 10 * MINUTE, 0, 7 * DAY, "how long files that count no more stay for those who read them already"
)

COMPACTOR_ENABLED = AutoSwitch(
    "compactor.enabled",
    "auto",
    "whether this agent compacts the store at lake.url, a bucket or a folder; auto: where it merges too",
)
COMPACTOR_INTERVAL = Duration("compactor.interval", 5 * MINUTE, 1 * S, 1 * DAY, "how often to look for files to compact")
# Engines read large files with few requests; a file of this size is written in a minute, and read in parallel by row groups.
COMPACTOR_FILE_BYTES = Size("compactor.file_bytes", 256 * MIB, 1 * MIB, 512 * MIB, "how large a compacted file is to become")
COMPACTOR_FILE_BYTES_MIN = Size(
    "compactor.file_bytes_min",
    128 * MIB,
    1 * MIB,
    512 * MIB,
    "a file of this size is not compacted again; smaller ones are made of days that are over, and of very many small files",
)
COMPACTOR_MEMORY = Size("compactor.memory", 256 * MIB, 64 * MIB, 16384 * MIB, "how much memory the rows of one compaction may take")

LAKE_SETTINGS: tuple[AnySetting, ...] = (
    LAKE_URL,
    LAKE_ENDPOINT,
    LAKE_REGION,
    LAKE_ALLOW_HTTP,
    LAKE_CREDENTIALS_FILE,
    LAKE_CA_FILE,
    LAKE_TIMEOUT,
    LAKE_CONNECT_TIMEOUT,
    LAKE_GRACE,
)
COMPACTOR_SETTINGS: tuple[AnySetting, ...] = (
    COMPACTOR_ENABLED,
    COMPACTOR_INTERVAL,
    COMPACTOR_FILE_BYTES,
    COMPACTOR_FILE_BYTES_MIN,
    COMPACTOR_MEMORY,
)

_CLICKHOUSE = {"clickhouse+http": "http", "clickhouse+https": "https"}


class ClickHousePlace(Struct, frozen=True):
    """A ClickHouse server as the fleet's store, over its HTTP interface."""

    endpoint: Endpoint
    database: str

    @property
    def shown(self) -> str:
        """As sentences name it."""
        return f"clickhouse+http{'s' if self.endpoint.is_tls else ''}://{self.endpoint.place}/{self.database}"


LakePlace = ObjectPlace | ClickHousePlace


def parse_lake_url(url: str) -> LakePlace:
    """The place that `lake.url` names. *Raises:* ConfigError, without the URL, which may hold a secret."""
    scheme, _, rest = url.partition("://")
    if scheme not in _CLICKHOUSE:
        return parse_place(url, LAKE_URL.key)
    endpoint = parse_endpoint(f"{_CLICKHOUSE[scheme]}://{rest}", key=LAKE_URL.key)
    database = endpoint.path.strip("/") or "default"
    if endpoint.query or not (database.isascii() and database.isidentifier()):
        raise ConfigError(LAKE_URL.key, "it names no database", "write clickhouse+http://HOST:PORT/DATABASE")
    return ClickHousePlace(Endpoint(endpoint.is_tls, endpoint.host, endpoint.port), database)
