"""Where a fleet's store is and how it is reached, as the settings say. PURE."""

from msgspec import Struct

from agent.config import Config
from agent.lake_setting import (
    LAKE_ALLOW_HTTP,
    LAKE_CA_FILE,
    LAKE_CONNECT_TIMEOUT,
    LAKE_CREDENTIALS_FILE,
    LAKE_ENDPOINT,
    LAKE_GRACE,
    LAKE_REGION,
    LAKE_TIMEOUT,
    LAKE_URL,
    ClickHousePlace,
    LakePlace,
    parse_lake_url,
)
from agent.model.errors import ConfigError
from agent.object.place import MISSING, ObjectPlace, PlaceOptions, Provider, check_options


class LakeSetup(Struct, frozen=True):
    """Where the store is, and how it is reached."""

    place: LakePlace
    options: PlaceOptions
    timeout_ns: int = LAKE_TIMEOUT.default
    connect_timeout_ns: int = LAKE_CONNECT_TIMEOUT.default
    grace_ns: int = LAKE_GRACE.default

    @property
    def is_files(self) -> bool:
        """Whether it is a bucket or a folder."""
        return isinstance(self.place, ObjectPlace)

    @property
    def is_folder(self) -> bool:
        """Whether it needs no library."""
        return isinstance(self.place, ObjectPlace) and self.place.provider is Provider.FOLDER


def lake_setup(config: Config, url: str = "") -> LakeSetup | None:
    """What the settings say; `url`: another place than theirs. *Absent:* None where there is no store.

    *Raises:* ConfigError for settings that do not go together. No file is looked at.
    """
    url = url or config.of(LAKE_URL)
    if not url:
        return None
    place = parse_lake_url(url)
    options = PlaceOptions(
        config.of(LAKE_ENDPOINT),
        config.of(LAKE_REGION),
        config.of(LAKE_ALLOW_HTTP),
        config.of(LAKE_CREDENTIALS_FILE),
        config.of(LAKE_CA_FILE),
        "lake.",
    )
    if isinstance(place, ObjectPlace):
        check_options(place, options)
    elif isinstance(place, ClickHousePlace) and options.endpoint:
        raise ConfigError(LAKE_ENDPOINT.key, "ClickHouse has no other endpoint than lake.url", "take it out")
    return LakeSetup(place, options, config.of(LAKE_TIMEOUT), config.of(LAKE_CONNECT_TIMEOUT), config.of(LAKE_GRACE))


def files_of(setup: LakeSetup | None, *, has_library: bool) -> LakeSetup:
    """The setup of a store that is a bucket or a folder. *Raises:* ConfigError: there is none, or not such a one."""
    if setup is None:
        raise ConfigError(LAKE_URL.key, "it is not set", "name the fleet's store, such as file:///srv/lake or s3://BUCKET/PREFIX")
    if not isinstance(setup.place, ObjectPlace):
        raise ConfigError(LAKE_URL.key, f"{setup.place.shown} keeps its own files", "name a bucket or a folder")
    if setup.place.provider is not Provider.FOLDER and not has_library:
        raise ConfigError(LAKE_URL.key, MISSING)
    return setup
