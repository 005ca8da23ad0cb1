"""What the runbook must have, from the code: features, settings, metrics, events."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.cli.program import MODULES
from agent.config import POLICY_SETTINGS, policy_key
from agent.model.control import OPERATIONS
from agent.model.event_catalogue import KINDS
from agent.model.workload_section import ACCEPTED
from agent.sink_section import COMMON
from verification.runbook_page import CodeFacts, cells_of
from verification.sources import ROOT
from workers import registry
from workers.export.declaration import STATISTICS as EXPORT_STATISTICS
from workers.export.series.catalogue import RANKED, SKETCHED, VIEWS

METRIC = re.compile(r"evergauge_[a-z0-9_]*[a-z0-9]")
FOLDERS = ("agent", "supervisor", "workers")
# What is no worker, sampler, sink, command or operation, and yet a feature.
FURTHER = (
    "supervision",
    "reload",
    "rules",
    "governor",
    "events",
    "storage quota",
    "compaction",
    "sketches",
    "capture and tail",
    "exit records",
    "resctrl",
    "nri",
    "cri",
    "keeper",
    "reader group",
    "service",
)
PAGES = ("docs/metrics.md", "docs/exports.md", "docs/processes.md")


def code_facts() -> CodeFacts:
    """Of this checkout."""
    return CodeFacts(_settings(), _metrics(), _events(), frozenset(_features()))


def _features() -> Iterator[str]:
    for worker in registry.all_workers():
        yield f"worker {worker.name}"
        yield from (f"worker {member.name}" for member in worker.members)
    yield from (f"sink {kind.name}" for kind in registry.all_sink_kinds())
    yield from (f"command {name}" for name in MODULES)
    yield from (f"operation {name}" for name in OPERATIONS)
    yield from FURTHER


def _settings() -> dict[str, tuple[str, ...]]:
    found = {setting.key: _cells(setting) for setting in registry.settings()}
    found |= {policy_key(setting, '"NAME"'): _cells(setting) for setting in POLICY_SETTINGS}
    found |= {f'sink."NAME".{setting.key}': _cells(setting) for setting in COMMON}
    for kind, options in registry.sink_options().items():
        found |= {f"sink {kind}: {setting.key}": _cells(setting) for setting in options}
    found |= {f'workload."NAME".{key}': (words, "", "") for key, words in ACCEPTED.items()}
    return found


def _cells(setting: Any) -> tuple[str, ...]:
    # A setting of any type shows its own default.
    return setting.accepted, setting.show(setting.default) or "(empty)", setting.about


def _events() -> dict[str, tuple[str, ...]]:
    return {
        each.name: (f"{each.form.value}, {each.severity.value}: {each.about}", each.remedy, each.normal) for each in KINDS.values()
    }


def _metrics() -> dict[str, tuple[str, ...]]:
    """Every name that stands alone in a text of the source, and those that are put together; what each is from its declaration."""
    about: dict[str, str] = {}
    for page in PAGES:
        about |= _explained(ROOT / page)
    for statistics in (*registry.statistics().values(), EXPORT_STATISTICS):
        about |= {each.name: each.about for each in statistics}
    names = {name for view in VIEWS for name in view.families}
    names |= {each.name for each in RANKED} | {name for each in SKETCHED for name in (each.histogram, each.quantile)}
    names |= {each.name for each in EXPORT_STATISTICS}
    names |= set(_written(FOLDERS))
    return {name: (about.get(name, ""),) for name in sorted(names)}


def _explained(page: Path) -> dict[str, str]:
    rows = [cells_of(line) for line in page.read_text().splitlines() if line.startswith("| `evergauge_")]
    return {cells[0].strip("`"): cells[-1] for cells in rows}


def _written(folders: tuple[str, ...]) -> Iterator[str]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            if "evergauge_" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and METRIC.fullmatch(node.value):
                    yield node.value
