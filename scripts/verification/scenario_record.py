"""The last result of each scenario, kept outside of git for verdicts that do not run it again."""

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scenarios.judgement import ScenarioResult, from_document

from verification.sources import results_folder, source_digest

FOLDER = "scenarios"


@dataclass(frozen=True, slots=True)
class RecordedScenario:
    """A result, when it was kept (UNIX seconds), and the digest of the sources then."""

    result: ScenarioResult
    at: float
    sources: str


def keep_results(results: Iterable[ScenarioResult], folder: Path | None = None) -> None:
    """Each by its scenario and platform; of several runs of one a failed one, else the last.

    A full disk costs the record only.
    """
    found: dict[str, ScenarioResult] = {}
    for result in results:
        name = f"{result.scenario}@{result.platform}"
        if name not in found or found[name].has_passed:
            found[name] = result
    folder = folder or results_folder() / FOLDER
    sources = source_digest()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for name, result in found.items():
            part = folder / f".{os.getpid()}"
            part.write_text(json.dumps({"at": time.time(), "sources": sources, "result": result.document()}))
            part.replace(folder / f"{name.replace('/', '_')}.json")


def read_scenario_record(name: str, platform: str = "host", folder: Path | None = None) -> RecordedScenario | None:
    """*Absent:* None where it was not run, or the record is damaged."""
    path = (folder or results_folder() / FOLDER) / f"{name}@{platform}.json"
    try:
        found = json.loads(path.read_text())
        return RecordedScenario(from_document(found["result"]), float(found["at"]), str(found["sources"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
