"""docs/sinks/otlp.md and docs/sinks/file.md say what the code has."""

import tomllib
from pathlib import Path

import pytest
from fakes.otlp_reference import reference

from agent.setting import AnySetting
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.export.sink import SinkKind, SinkValues
from workers.exporters import file, otlp

DOCS = Path(__file__).parents[5] / "docs" / "sinks"
KINDS = {"otlp": otlp.SINK, "file": file.SINK}


def settings_table(options: tuple[AnySetting, ...]) -> str:
    """As the pages have it."""
    lines = [f"| `{each.key}` | `{_shown(each)}` | {each.about} |" for each in options]
    return "\n".join(["| setting | default | what it is |", "|---|---|---|", *lines])


def _shown(setting: AnySetting) -> str:
    return setting.show(setting.default) or '""'  # type: ignore[arg-type]  # of its own kind


def test_the_page_has_the_whole_mapping() -> None:
    """`PYTHONPATH=tests:. python -m fakes.otlp_reference` prints it."""
    assert reference() in (DOCS / "otlp.md").read_text() + "\n"
    assert f"semantic conventions {CONVENTIONS.version}" in (DOCS / "otlp.md").read_text()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_page_has_each_setting_with_its_default(kind: SinkKind) -> None:
    """A changed default changes the page."""
    assert settings_table(kind.options) in (DOCS / f"{kind.name}.md").read_text()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_each_configuration_on_a_page_can_be_used(kind: SinkKind) -> None:
    """As it stands."""
    blocks = (DOCS / f"{kind.name}.md").read_text().split("```toml\n")[1:]
    assert blocks
    for block in blocks:
        for name, section in tomllib.loads(block.partition("```")[0])["sink"].items():
            assert section.pop("kind") == kind.name
            assert set(section) <= {option.key for option in kind.options}
            values = {option.key: option.parse(section[option.key]) for option in kind.options if option.key in section}
            assert kind.check(SinkValues(name, kind.name, values)) == ""
