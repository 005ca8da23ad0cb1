"""The URL of a store."""

import pytest

from agent.endpoint import Endpoint
from agent.lake_setting import COMPACTOR_SETTINGS, LAKE_SETTINGS, ClickHousePlace, parse_lake_url
from agent.model.errors import ConfigError
from agent.object.place import ObjectPlace, Provider


@pytest.mark.parametrize(
    ("url", "place", "shown"),
    [
        ("file:///srv/lake", ObjectPlace(Provider.FOLDER, "/srv/lake"), "file:///srv/lake"),
        ("s3://b/x", ObjectPlace(Provider.S3, "b", "x"), "s3://b/x"),
        ("clickhouse+http://h:8123/fleet", ClickHousePlace(Endpoint(False, "h", 8123), "fleet"), "clickhouse+http://h:8123/fleet"),
        ("clickhouse+https://h", ClickHousePlace(Endpoint(True, "h", 443), "default"), "clickhouse+https://h:443/default"),
    ],
)
def test_a_store_is_a_bucket_a_folder_or_clickhouse(url: str, place: ObjectPlace | ClickHousePlace, shown: str) -> None:
    """By its scheme."""
    assert parse_lake_url(url) == place
    assert place.shown == shown


@pytest.mark.parametrize("url", ["clickhouse+http://h/a/b", "clickhouse+http://h/a?x=y", "clickhouse+http://h/é", "ftp://x", "x"])
def test_other_urls_are_refused_by_the_name_of_the_setting(url: str) -> None:
    """With what would be right."""
    with pytest.raises(ConfigError, match=r"lake\.url"):
        parse_lake_url(url)


def test_each_setting_has_a_default_that_it_accepts() -> None:
    """As it is shown."""
    for setting in (*LAKE_SETTINGS, *COMPACTOR_SETTINGS):
        assert setting.parse(setting.show(setting.default)) == setting.default  # type: ignore[arg-type]  # its own
