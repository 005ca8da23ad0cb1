"""What was judged, for people and programs: lines on standard output, Markdown with pictures, JSON."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from supervisors.toolchain import FOLDER as BENCH

from scenarios.judgement import Judgement, ScenarioResult, coverage
from scenarios.shapes import GOALS

TITLE = "Scenarios"
PICTURE = Path(__file__).with_name("picture.py")
Say = Callable[[str], None]


def line(judgement: Judgement) -> str:
    """`G-2 pass CPU of the agent 1.4 % (<= 2 %): evidence`."""
    verdict = "pass" if judgement.is_good else "FAIL"
    return f"{judgement.goal or '-':4} {verdict} {judgement.what}{_figure(judgement)}: {judgement.evidence}"


def _figure(judgement: Judgement) -> str:
    if judgement.figure is None or judgement.limit is None:
        return ""
    sign = ">=" if judgement.at_least else "<="
    unit = f" {judgement.unit}" if judgement.unit else ""
    return f" {judgement.figure:.4g}{unit} ({sign} {judgement.limit:.4g}{unit})"


def say_result(result: ScenarioResult) -> None:
    """One line for each judgement, on standard output."""
    known = result.circumstances
    load = f"load {known['load_before']:.2f} before, {known.get('load_after', 0):.2f} after" if "load_before" in known else ""
    verdict = "pass" if result.has_passed else "FAIL"
    print(f"{result.scenario} on {result.platform}: {verdict} ({known.get('took_seconds', 0):g} s, {load})")
    for judgement in result.judgements:
        print(f"  {line(judgement)}")
    for note in result.notes:
        print(f"  note: {note}")
    for failure in result.failures:
        print(f"  FAILED {failure}")
    sys.stdout.flush()


def document(results: Sequence[ScenarioResult]) -> dict[str, Any]:
    """All runs, and the table of coverage."""
    table = [
        {"goal": goal, "scenario": scenario, "platform": platform, "passed": verdict}
        for (goal, scenario, platform), verdict in coverage(results).items()
    ]
    return {"passed": all(each.has_passed for each in results), "coverage": table, "runs": [each.document() for each in results]}


def write_json(results: Sequence[ScenarioResult], path: Path) -> None:
    """*Raises:* OSError."""
    path.write_text(json.dumps(document(results), indent=1, ensure_ascii=False) + "\n")


def write_report(results: Sequence[ScenarioResult], folder: Path, say: Say, *, title: str = TITLE) -> None:
    """report.md, report.json and a picture for each run that has something to show. *Raises:* OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(results, folder / "report.json")
    pictures = _draw(results, folder, say)
    (folder / "report.md").write_text(markdown(results, pictures, title=title))
    say(f"wrote {folder / 'report.md'}")


def _draw(results: Sequence[ScenarioResult], folder: Path, say: Say) -> dict[int, str]:
    """The pictures by the number of the run; none, and a sentence, without matplotlib."""
    python = _python_with_matplotlib()
    if python is None:
        say("no pictures: needs matplotlib in this environment: .venv/bin/python -m pip install matplotlib")
        return {}
    found = {}
    for number, result in enumerate(results):
        if any(result.series.values()):
            name = f"{result.scenario}-{number + 1}.png"
            words = [python, str(PICTURE), str(folder / "report.json"), str(number), str(folder / name)]
            if subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode == 0:
                found[number] = name
    return found


def _python_with_matplotlib() -> str | None:
    if importlib.util.find_spec("matplotlib") is not None:
        return sys.executable
    # Where a benchmark has fetched it.
    python = BENCH / "python/bin/python"
    if (
        python.exists()
        and subprocess.run([str(python), "-c", "import matplotlib"], capture_output=True, check=False).returncode == 0
    ):
        return str(python)
    return None


def markdown(results: Sequence[ScenarioResult], pictures: dict[int, str], *, title: str = TITLE) -> str:
    """The whole report: circumstances, verdicts, versions, coverage, then each run with figure against limit."""
    first = results[0].circumstances if results else {}
    about = first.get("machine", {})
    head = [
        f"# {title}",
        "",
        f"{first.get('date', '')}, {about.get('cpus', '?')} x {about.get('cpu', '?')}, Linux {about.get('kernel', '?')}, "
        f"Python {about.get('python', '?')}",
        "",
        f"{sum(each.has_passed for each in results)} of {len(results)} runs passed.",
        "",
        *_overview(results),
        "",
        *_programs(results),
        "## Coverage",
        "",
        *coverage_table(results),
    ]
    for number, result in enumerate(results):
        head += ["", *_section(result, pictures.get(number))]
    return "\n".join(head) + "\n"


def _overview(results: Sequence[ScenarioResult]) -> list[str]:
    """A row for each run: its verdict, how many figures were within their limits, how long it took."""
    rows = [["scenario", "platform", "verdict", "within limits", "seconds"], ["---"] * 5]
    for each in results:
        good = sum(judgement.is_good for judgement in each.judgements)
        verdict, took = "pass" if each.has_passed else "**FAIL**", f"{each.circumstances.get('took_seconds', '')}"
        rows.append([each.scenario, each.platform, verdict, f"{good} of {len(each.judgements)}", took])
    whole = sum(float(each.circumstances.get("took_seconds", 0)) for each in results)
    return [*(_row(cells) for cells in rows), "", f"{whole:.0f} s in all."]


def _programs(results: Sequence[ScenarioResult]) -> list[str]:
    """The versions of the programs that ran beside the agent; nothing where none did."""
    found = {name: version for each in results for name, version in each.circumstances.get("programs", {}).items()}
    if not found:
        return []
    rows = [["program", "version"], ["---"] * 2, *([name, version] for name, version in sorted(found.items()))]
    return ["## Programs", "", *(_row(cells) for cells in rows), ""]


def coverage_table(results: Iterable[ScenarioResult]) -> list[str]:
    """Goal by scenario and platform: `pass`, `FAIL`, or empty where it was not judged."""
    found = coverage(results)
    columns = list(dict.fromkeys((scenario, platform) for _goal, scenario, platform in found))
    rows = [["goal", *(f"{scenario} ({platform})" for scenario, platform in columns)], ["---"] * (len(columns) + 1)]
    words = {True: "pass", False: "FAIL", None: ""}
    rows += [[goal, *(words[found.get((goal, *column))] for column in columns)] for goal in GOALS]
    return [_row(cells) for cells in rows]


def _section(result: ScenarioResult, picture: str | None) -> list[str]:
    known = result.circumstances
    lines = [
        f"## {result.scenario} on {result.platform}: {'pass' if result.has_passed else 'FAIL'}",
        "",
        result.about,
        "",
        f"Workload {result.workload}, configuration {result.configuration}; {known.get('took_seconds', '?')} s; load "
        f"{known.get('load_before', 0):.2f} before, {known.get('load_after', 0):.2f} after.",
        "",
        _row(["goal", "what", "figure", "limit", "verdict", "evidence"]),
        _row(["---"] * 6),
    ]
    for each in result.judgements:
        sign = ">=" if each.at_least else "<="
        figure = "" if each.figure is None else f"{each.figure:.4g} {each.unit}".strip()
        limit = "" if each.limit is None else f"{sign} {each.limit:.4g} {each.unit}".strip()
        lines.append(_row([each.goal or "", each.what, figure, limit, "pass" if each.is_good else "**FAIL**", each.evidence]))
    lines += [line for failure in result.failures for line in ("", f"**Failed:** {failure}")]
    lines += [line for note in result.notes for line in ("", f"- {note}")]
    if picture:
        lines += ["", f"![CPU by tick]({picture})"]
    if result.profile:
        lines += ["", "### Profile", "", "```json", json.dumps(result.profile, indent=1), "```"]
    return lines


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"
