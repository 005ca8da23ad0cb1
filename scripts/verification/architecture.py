"""Reports from the code what the architecture is: modules, lifecycle, patterns, boundaries, limits, deviations."""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from agent.config import SETTINGS, Config
from agent.limit_setting import CPU_LIMIT, DESCRIPTOR_LIMIT, MEMORY_LIMIT, QUEUE_LIMIT
from agent.model.limit import CPU_PER_CORE
from agent.setting import MIB, AutoSwitch, Switch
from verification.collecting import lint_imports
from verification.sources import ROOT
from workers import registry
from workers.framework.declaration import Worker
from workers.framework.work import BaseWork

# What each step of a life is in `agent.ports.Work`; making one is calling its class.
LIFECYCLE = {"init": ("__init__",), "start": ("on_start",), "stop": ("on_stop", "is_done"), "resources": ("stats", "on_level")}
BREAKERS = {
    "supervisor/core/governor.py": "of a worker: closed, open, half open",
    "workers/process/breaker.py": "of a kind of files of one process sampler",
    "workers/export/attempt.py": "of a sink: up, down, paused",
}
_GOALS = re.compile(r"^Goals: (.+)$", re.MULTILINE)
_BROKEN = re.compile(r"(\d+) broken")


def architecture_lines() -> tuple[list[str], bool]:
    """The report, and whether every part of it is as it must be."""
    lines, problems = ["# Architecture", "", "## Modules"], lifecycle_problems()
    lines += [line for worker in registry.all_workers() for line in _module(worker)]
    lines += [
        f"sink {kind.name}: {_file_of(type(kind), kind.name)}, {len(kind.options)} options" for kind in registry.all_sink_kinds()
    ]
    lines += [
        "",
        "## Lifecycle",
        "init = the work is made; start = on_start; stop = on_stop, is_done; resources = stats, on_level, limits",
    ]
    lines += [f"{name}: {', '.join(own) or 'as BaseWork has it'}" for name, own in lifecycles()]
    lines += [f"PROBLEM {each}" for each in problems] or []
    lines += ["", "## Patterns", "breakers:"]
    lines += [f"  {path}: {about}" for path, about in BREAKERS.items() if (ROOT / path).exists()]
    problems += [f"there is no {path}" for path in BREAKERS if not (ROOT / path).exists()]
    lines += ["feature flags:", *(f"  {key}: {about}" for key, about in feature_flags())]
    lines += ["lifecycle: agent/ports.py (Work), workers/framework/work.py (BaseWork), workers/runtime/loop.py calls it"]
    code, output = lint_imports()
    broken = _BROKEN.search(output)
    lines += ["", "## Boundaries", f"lint-imports: {broken[1] if broken else '?'} violations"]
    problems += [] if code == 0 else ["the law of imports is broken"]
    lines += ["", "## Resource limits", *_limits(), "", "## Deviations"]
    decisions = list(deviations())
    lines += [f"{page}: {title} (goals: {goals})" for page, title, goals in decisions]
    problems += [f"{page} does not say which goals it touches" for page, _title, goals in decisions if not goals]
    lines += ["", f"{len(problems)} problems", *(f"- {each}" for each in problems)]
    return lines, not problems


def _module(worker: Worker) -> Iterator[str]:
    for each in (worker, *worker.members):
        tables = ", ".join(table.name for table in each.tables) or "none"
        kept = ", ".join(each.capabilities) or "none"
        yield f"{each.name}: {worker_file(each)}; tables {tables}; capabilities {kept}"


def worker_file(worker: Worker) -> str:
    """The file that declares it: of a sampler its own, else that of its kind."""
    sampler = ROOT / "workers" / "samplers" / f"{worker.name.rpartition('/')[2]}.py"
    if worker.name.startswith("sampler/"):
        return (
            str(sampler.relative_to(ROOT))
            if sampler.exists()
            else "workers/framework/shared_work.py (samplers that share a process)"
        )
    return f"workers/{worker.name.replace('-', '_')}/worker.py"


def _file_of(kind: type, name: str) -> str:
    path = ROOT / "workers" / "exporters" / f"{name}.py"
    return str(path.relative_to(ROOT)) if path.exists() else kind.__module__


def work_classes() -> list[type]:
    """Every class of `workers` that is built on BaseWork, by reading the source and importing what has one."""
    found: list[type] = []
    for path in sorted((ROOT / "workers").rglob("*.py")):
        text = path.read_text()
        if "(BaseWork" not in text:
            continue
        names = [
            node.name
            for node in ast.parse(text).body
            if isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id == "BaseWork" for base in node.bases)
        ]
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        found += [getattr(module, name) for name in names]
    return found


def lifecycles() -> list[tuple[str, list[str]]]:
    """Each kind of work and the steps of its life that it has of its own."""
    methods = [name for names in LIFECYCLE.values() for name in names]
    return [
        (f"{work.__module__}.{work.__name__}", [name for name in methods if name in vars(work)])
        for work in sorted(work_classes(), key=lambda each: each.__module__)
    ]


def lifecycle_problems(works: list[type] | None = None) -> list[str]:
    """Steps that a work lacks, or has with other parameters than the loop gives; and a kind that has no work at all."""
    problems = []
    found = work_classes() if works is None else works
    for work in found:
        for name in (name for names in LIFECYCLE.values() for name in names if name != "__init__"):
            method = getattr(work, name, None)
            if not callable(method):
                problems.append(f"{work.__name__} has no {name}")
            elif list(inspect.signature(method).parameters) != list(inspect.signature(getattr(BaseWork, name)).parameters):
                problems.append(f"{work.__name__}.{name} takes other parameters than the loop gives")
    return problems if found else ["no work was found"]


def feature_flags() -> list[tuple[str, str]]:
    """Settings that switch something on or off."""
    samplers = {each.key: each for worker in registry.all_workers() for each in worker.settings}
    every = {setting.key: setting for setting in SETTINGS} | samplers
    return [(key, each.about) for key, each in every.items() if isinstance(each, Switch | AutoSwitch)]


def _limits() -> Iterator[str]:
    nothing = Config({})
    for setting in (CPU_LIMIT, MEMORY_LIMIT, DESCRIPTOR_LIMIT, QUEUE_LIMIT):
        yield f"{setting.key}: {setting.show(nothing.of(setting))}, {setting.accepted}"
    for worker in registry.all_workers():
        kind = worker.kind
        steps = ", ".join(worker.ladder.steps) or "none"
        behind = "breaker" if worker.ladder.is_dispensable else "it stays there"
        cpu, memory = 100 * kind.cpu_limit / CPU_PER_CORE, kind.memory_limit // MIB
        yield f"{worker.name}: CPU {cpu:g} % of a core, memory {memory} MiB, steps {steps}, behind the last {behind}"


def deviations(folder: Path = ROOT / "docs" / "decisions") -> Iterator[tuple[str, str, str]]:
    """Page, title and goals of each decision. *Absent:* goals empty where it does not say."""
    for path in sorted(folder.glob("[0-9]*.md")):
        text = path.read_text()
        goals = _GOALS.search(text)
        yield path.stem[:4], text.splitlines()[0].partition(". ")[2], goals[1] if goals else ""
