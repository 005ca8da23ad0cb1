"""The report of an endurance run for a person: Markdown with a picture, and the JSON, in a folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from soaking.endurance import FIGURES, HOUR, MIB, Moment, cpu_points, points_of, roles, slope_per_hour
from soaking.picture import svg

MARKS = {True: "holds", False: "**FAILS**", None: "not said"}
# A day of moments every ten seconds is 8,640; no picture shows more than this.
KEPT_MOMENTS_MAX = 720


def write_report(folder: Path, report: dict[str, Any], moments: Sequence[Moment], warm_up_seconds: float) -> None:
    """`report.md`, `soak.svg` and `report.json` in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "soak.svg").write_text(picture(moments))
    (folder / "report.md").write_text(markdown(report, moments, warm_up_seconds))


def moment_rows(moments: Sequence[Moment]) -> list[dict[str, Any]]:
    """The moments as JSON, evenly thinned to at most KEPT_MOMENTS_MAX."""
    step = max(1, -(-len(moments) // KEPT_MOMENTS_MAX))
    return [
        {
            "at_seconds": each.at_seconds,
            "state_bytes": each.state_bytes,
            "spool_bytes": each.spool_bytes,
            "processes": {
                role: [it.pid, it.rss_bytes, it.pss_bytes, it.descriptors, it.threads, it.cpu_seconds]
                for role, it in each.processes.items()
            },
        }
        for each in moments[::step]
    ]


def slopes(moments: Sequence[Moment], warm_up_seconds: float) -> dict[str, dict[str, Any]]:
    """By role and figure: slope per hour, standard error, hours; null: too few points."""
    found: dict[str, dict[str, Any]] = {}
    for role in roles(moments):
        series = {figure.name: points_of(moments, role, figure.of) for figure in FIGURES}
        series["CPU s/min"] = cpu_points(moments, role)
        for name, points in series.items():
            slope = slope_per_hour(points, warm_up_seconds=warm_up_seconds)
            found.setdefault(role, {})[name] = (
                None
                if slope is None
                else {
                    "per_hour": round(slope.per_hour, 4),
                    "error": round(slope.error, 4) if slope.error < 1e12 else None,
                    "hours": round(slope.seconds / HOUR, 3),
                }
            )
    return found


def picture(moments: Sequence[Moment]) -> str:
    """PSS, descriptors, threads and CPU of each process, and the folder, over minutes."""
    rows: dict[str, dict[str, Any]] = {}
    for title, name in (("PSS, MiB", "PSS"), ("descriptors", "descriptors"), ("threads", "threads")):
        figure = next(each for each in FIGURES if each.name == name)
        rows[title] = {
            role: [(point.at_seconds / 60, point.value) for point in points_of(moments, role, figure.of)] for role in roles(moments)
        }
    rows["CPU, seconds per minute"] = {
        role: [(point.at_seconds / 60, point.value) for point in cpu_points(moments, role)] for role in roles(moments)
    }
    rows["folder, MiB"] = {
        "state": [(each.at_seconds / 60, each.state_bytes / MIB) for each in moments],
        "spool": [(each.at_seconds / 60, each.spool_bytes / MIB) for each in moments],
    }
    return svg(rows)


def markdown(report: dict[str, Any], moments: Sequence[Moment], warm_up_seconds: float) -> str:
    """The verdicts, bad ones first, then the slopes of each process."""
    order = {False: 0, None: 1, True: 2}
    verdicts = sorted(report["verdicts"], key=lambda each: order[each["is_good"]])
    host = report["host"]
    lines = [
        f"# Soak of evergauge {report['version']}",
        "",
        f"{report['seconds']:.0f} s, {report['kills']['sum']} kills, {len(moments)} moments, warm-up {warm_up_seconds:.0f} s; "
        f"Linux {host['kernel']}, Python {host['python']}, {host['processors']} processors, "
        f"load average at the end {host['load_average']}.",
        "",
        "![Memory, descriptors, threads, CPU and folder over time](soak.svg)",
        "",
        "| verdict | what | found |",
        "|---|---|---|",
        *(f"| {MARKS[each['is_good']]} | {each['name']} | {each['found'].replace('|', '/')} |" for each in verdicts),
        "",
        "## Slopes per hour",
        "A slope is that of block means after the warm-up, with its standard error.",
        "",
        "| process | " + " | ".join([*(figure.name for figure in FIGURES), "CPU s/min"]) + " |",
        "|---|" + "---|" * (len(FIGURES) + 1),
    ]
    for role, figures in slopes(moments, warm_up_seconds).items():
        lines.append(f"| {role} | " + " | ".join(_slope_text(each) for each in figures.values()) + " |")
    return "\n".join([*lines, ""])


def _slope_text(slope: dict[str, Any] | None) -> str:
    if slope is None:
        return "–"
    return f"{slope['per_hour']:+.2f}" + ("" if slope["error"] is None else f" ± {slope['error']:.2f}")
