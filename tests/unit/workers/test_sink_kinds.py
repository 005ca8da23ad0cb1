"""What must hold of each kind of sink that is found, and of the workers made of sections."""

from pathlib import Path
from typing import Any

import pytest

from agent.config import Config
from agent.model.errors import ConfigError
from agent.sink_section import COMMON
from agent.worker_set import agent_worker_set
from workers import registry
from workers.export.sink import SinkKind

ROOT = Path(__file__).parents[3]
EVERY_TABLE = {table.name for table in registry.tables()}
each_kind = pytest.mark.parametrize("kind", registry.all_sink_kinds(), ids=lambda kind: kind.name)


@each_kind
def test_its_options_are_its_own(kind: SinkKind) -> None:
    """No key is given twice, or means something else for this kind than for all."""
    keys = [setting.key for setting in (*COMMON, *kind.options)]
    assert sorted(set(keys)) == sorted(keys)
    assert {setting.key for setting in kind.identity} <= set(keys)


@each_kind
def test_its_tables_exist(kind: SinkKind) -> None:
    """A table that was renamed is renamed here too."""
    assert {*kind.tables, *kind.context_tables} <= EVERY_TABLE


@each_kind
def test_it_has_a_page_with_a_section_that_works(kind: SinkKind) -> None:
    """The page shows how a section of this kind begins."""
    page = (ROOT / "docs" / "sinks" / f"{kind.name}.md").read_text()
    assert f'kind = "{kind.name}"' in page


def with_sinks(**sections: dict[str, Any]) -> Config:
    """A configuration with these sections."""
    return Config({}, sinks=sections)


def test_each_sink_is_a_worker_behind_the_samplers() -> None:
    """It starts after what it sends, and before the gateway that shows it."""
    config = with_sinks(b={"kind": "file"}, a={"kind": "otlp"})
    names = list(agent_worker_set(config).kinds)
    assert [name for name in names if name.startswith("exporter/")] == ["exporter/a", "exporter/b"]
    assert names.index("sampler/process") < names.index("exporter/a") < names.index("gateway")


def test_sinks_that_name_a_process_share_it() -> None:
    """They are members of one worker; the statistics of each have its own name."""
    config = with_sinks(a={"kind": "otlp", "process": "both"}, b={"kind": "file", "process": "both"}, c={"kind": "file"})
    workers = registry.exporters_of(config)
    assert [(worker.name, [member.name for member in worker.members]) for worker in workers] == [
        ("exporter/both", ["exporter/a", "exporter/b"]),
        ("exporter/c", []),
    ]
    assert {"exporter/a", "exporter/b", "exporter/c"} <= set(registry.statistics(config))


def test_a_table_that_a_kind_has_no_place_for_is_refused() -> None:
    """At the check of the configuration, not as silence at the sink."""
    config = with_sinks(a={"kind": "otlp", "tables": "container_name"})
    with pytest.raises(ConfigError, match="no place for table container_name"):
        registry.exporters_of(config)[0].check(config, "f.toml")


def test_a_table_that_does_not_exist_is_refused() -> None:
    """With the way to those that do."""
    config = with_sinks(a={"kind": "file", "tables": "proces"})
    with pytest.raises(ConfigError, match=r"there is no table proces; .agentctl schema. lists them"):
        registry.exporters_of(config)[0].check(config, "f.toml")


def test_without_sinks_no_kind_is_loaded() -> None:
    """An agent without sinks pays nothing for them."""
    assert registry.exporters_of(Config({})) == ()
