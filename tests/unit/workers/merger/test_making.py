"""A merger's parts from settings."""

import pytest

from agent.config import Config
from agent.lake.known_columns import KnownColumns
from agent.lake.setup import lake_setup
from agent.model.errors import ConfigError
from workers.merger.clickhouse_store import ClickHouseStore
from workers.merger.files_store import FilesStore
from workers.merger.making import MergerPlace, engine_parts, mark_cache, reader_setup, store_of
from workers.process.schema import PROCESS_TAIL

TABLES = (PROCESS_TAIL,)
PLACE = MergerPlace("m", "merger/h")


def config(**values: object) -> Config:
    """Settings by their keys, with a double underscore for each dot."""
    found = {key.replace("__", "."): value for key, value in values.items()}
    return Config({"merger.brokers": "k:1", "lake.url": "file:///srv/lake", **found})  # type: ignore[dict-item]  # values of settings


def test_settings_become_parts() -> None:
    """The store is opened when it is needed."""
    parts = engine_parts(config(merger__interval=5, merger__commit_bytes=7, marks__redis="redis://h"), PLACE, TABLES, {})
    assert (parts.terms.interval_ns, parts.terms.commit_bytes, parts.terms.gathered_bytes) == (5, 7, 14)
    assert isinstance(parts.open_store(), FilesStore)
    assert parts.marks is not None
    assert mark_cache(config()) is None


def test_a_store_is_a_folder_a_bucket_or_clickhouse() -> None:
    """As its URL says."""
    found = lake_setup(config(lake__url="clickhouse+http://h:8123/lab"))
    assert found is not None
    store = store_of(found, "by", TABLES, KnownColumns(TABLES), {})
    assert isinstance(store, ClickHouseStore)
    assert store.shown == "clickhouse+http://h:8123/lab"
    store.close()


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"lake__url": ""}, "lake.url"),
        ({"merger__brokers": ""}, "merger.brokers"),
        ({"merger__user": "u"}, "merger.user"),
        ({"merger__password_file": "/f"}, "merger.password_file"),
        ({"merger__security": "sasl_ssl"}, "merger.user"),
        ({"merger__security": "sasl_ssl", "merger__user": "u"}, "merger.password_file"),
        (
            {
                "merger__security": "sasl_ssl",
                "merger__user": "u",
                "merger__password_file": "/f",
                "merger__password_variable": "V",
            },
            "merger.password_file",
        ),
        ({"merger__ca_file": "/f"}, "merger.ca_file"),
        ({"merger__security": "ssl", "merger__key_file": "/f"}, "merger.key_file"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values: dict[str, object], key: str) -> None:
    """With the key."""
    with pytest.raises(ConfigError, match=key):
        engine_parts(config(**values), PLACE, TABLES, {})


def test_the_member_has_a_name_of_its_own() -> None:
    """By which it has its partitions back."""
    setup = reader_setup(config(merger__group="g", merger__security="ssl", merger__cert_file="/c"), "m", {})
    assert (setup.group, setup.member, setup.security, setup.cert_file) == ("g", "m", "ssl", "/c")
