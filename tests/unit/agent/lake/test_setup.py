"""Where a store is, from settings."""

import pytest

from agent.config import Config
from agent.lake.setup import files_of, lake_setup
from agent.lake_setting import ClickHousePlace
from agent.model.errors import ConfigError
from agent.object.place import ObjectPlace, PlaceOptions, Provider


def test_without_a_url_there_is_no_store() -> None:
    """Most agents have none."""
    assert lake_setup(Config({})) is None


def test_a_bucket_has_its_options() -> None:
    """They begin with lake. in sentences."""
    values: dict[str, int | str | bool] = {
        "lake.url": "s3://b/x",
        "lake.endpoint": "http://h:9000",
        "lake.allow_http": True,
        "lake.region": "r",
    }
    setup = lake_setup(Config(values))
    assert setup is not None
    assert setup.place == ObjectPlace(Provider.S3, "b", "x")
    assert setup.options == PlaceOptions("http://h:9000", "r", True, "", "", "lake.")
    assert (setup.is_files, setup.is_folder) == (True, False)
    assert files_of(setup, has_library=True) is setup
    with pytest.raises(ConfigError, match="pip install"):
        files_of(setup, has_library=False)


def test_a_url_on_the_command_line_comes_before_the_setting() -> None:
    """A folder needs no library."""
    setup = lake_setup(Config({"lake.url": "s3://b"}), "file:///srv/lake")
    assert setup is not None
    assert setup.is_folder
    assert files_of(setup, has_library=False) is setup


def test_clickhouse_keeps_its_own_files() -> None:
    """And has no other endpoint."""
    setup = lake_setup(Config({"lake.url": "clickhouse+http://h:8123/d"}))
    assert setup is not None
    assert isinstance(setup.place, ClickHousePlace)
    assert (setup.is_files, setup.is_folder) == (False, False)
    with pytest.raises(ConfigError, match="keeps its own files"):
        files_of(setup, has_library=True)
    with pytest.raises(ConfigError, match="no other endpoint"):
        lake_setup(Config({"lake.url": "clickhouse+http://h:8123/d", "lake.endpoint": "https://x"}))


def test_options_that_do_not_fit_are_refused() -> None:
    """By the name of the setting."""
    with pytest.raises(ConfigError, match=r"lake\.region"):
        lake_setup(Config({"lake.url": "file:///x", "lake.region": "r"}))
    with pytest.raises(ConfigError, match=r"lake\.url: it is not set"):
        files_of(None, has_library=True)
