"""Settings, metrics and reasons that pages name are those that the program has."""

import json
import re
from pathlib import Path

import pytest

from agent.config import Config
from agent.model.absence import Absence
from workers import registry
from workers.export.declaration import STATISTICS as EXPORT_STATISTICS
from workers.export.series.catalogue import VIEWS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
SETTINGS = {setting.key: setting for setting in registry.settings()}
SECTIONS = sorted({re.escape(setting.section) for setting in SETTINGS.values() if setting.section})
SETTING = re.compile(rf"`((?:{'|'.join(SECTIONS)})\.[a-z_]+)`")
# A pattern of the runbook, which ends with a star, is no name.
METRIC = re.compile(r"\bevergauge_[a-z_]+(?![a-z_*])")
REASON = re.compile(r"\bAbsence\.([A-Z_]+)")


def cells(line: str) -> list[list[str]]:
    """The words in code type of each cell of a table's line."""
    return [re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")]


def reasons_of(page: Path) -> set[str]:
    """What the tables of reasons on a page explain."""
    reasons: set[str] = set()
    is_table = False
    for line in page.read_text().splitlines():
        is_head = line.startswith("| reason")
        is_table = is_head or (is_table and line.startswith("|"))
        if is_table and not is_head:
            reasons.update(cells(line)[0])
    return reasons


def chart_values() -> set[str]:
    """Every value of the chart that stands in a section, as its schema has them."""
    schema = json.loads((ROOT / "scripts" / "kubernetes" / "chart" / "values.schema.json").read_text())
    sections = {name: section.get("properties", {}) for name, section in schema["properties"].items()}
    return {f"{name}.{key}" for name, section in sections.items() for key in section}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_on_a_page_exists(page: Path) -> None:
    """A setting that was renamed takes its pages along; the page on Kubernetes names values of the chart too."""
    known = SETTINGS.keys() | (chart_values() if page.name == "kubernetes.md" else set())
    assert set(SETTING.findall(page.read_text())) - known == set()


def test_the_page_of_processes_lists_each_setting_of_its_sampler_with_the_default() -> None:
    """A changed default changes the table."""
    shown: dict[str, str] = {}
    for line in (ROOT / "docs" / "processes.md").read_text().splitlines():
        if line.startswith("| `sampler.process."):
            keys, defaults = cells(line)[:2]
            shown.update(zip(keys, defaults, strict=True))
    defaults_now = {key: Config({}).show(setting) for key, setting in SETTINGS.items() if key.startswith("sampler.process.")}
    assert shown == defaults_now


def test_every_metric_on_a_page_is_made_somewhere() -> None:
    """Nobody builds an alarm on a metric that does not exist."""
    source = "".join(path.read_text() for folder in ("agent", "supervisor", "workers") for path in (ROOT / folder).rglob("*.py"))
    named = {metric for page in PAGES for metric in METRIC.findall(page.read_text())}
    # Names of units, containers and exports are put together from one declaration.
    declared = {name for view in VIEWS for name in view.families} | {each.name for each in EXPORT_STATISTICS}
    assert named - set(METRIC.findall(source)) - declared == set()


@pytest.mark.parametrize(
    ("folder", "pages"), [("process", ("processes.md", "host.md")), ("host", ("host.md",))], ids=["process", "host"]
)
def test_every_reason_that_a_sampler_gives_is_explained(folder: str, pages: tuple[str, ...]) -> None:
    """Who finds a word in column `absent` finds it on the page of the table."""
    sources = [*(ROOT / "workers" / folder).rglob("*.py"), ROOT / "workers" / "samplers" / f"{folder}.py"]
    given = {Absence[name].value for path in sources for name in REASON.findall(path.read_text())}
    explained = set().union(*(reasons_of(ROOT / "docs" / page) for page in pages))
    assert given - explained == set()


def test_every_explained_reason_is_one_of_the_program() -> None:
    """A reason that is not given any more leaves the pages."""
    words = {reason.value for reason in Absence}
    pages = [ROOT / "docs" / name for name in ("processes.md", "host.md")]
    assert set().union(*map(reasons_of, pages)) - words == set()


def test_the_page_of_processes_lists_each_metric_of_its_sampler() -> None:
    """A new metric is explained beside the others."""
    (worker,) = [worker for worker in registry.all_workers() if worker.name == "sampler/process"]
    page = (ROOT / "docs" / "processes.md").read_text()
    assert [each.name for each in worker.statistics if f"`{each.name}`" not in page] == []
