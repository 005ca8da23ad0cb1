"""The medians as a picture: CPU of each program by the number of processes. Runs in the rivals' environment.

As a program: the results as JSON, and where the picture goes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

# Colours that people with colour blindness can tell apart (Okabe and Ito); variants of one program differ by their dashes.
STYLES = {
    "evergauge, sampler alone": ("#000000", "-", 2.6),
    "evergauge, whole agent": ("#000000", "--", 1.8),
    "evergauge-before, sampler alone": ("#777777", "-", 2.0),
    "evergauge-before, whole agent": ("#777777", "--", 1.2),
    "apps.plugin": ("#0072B2", "-", 1.6),
    "apps.plugin-no-files": ("#0072B2", "--", 1.6),
    "pidstat": ("#009E73", "-", 1.6),
    "atop": ("#E69F00", "-", 1.6),
    "process-exporter": ("#D55E00", "-", 1.6),
    "process-exporter-pids": ("#D55E00", "--", 1.6),
    "psutil": ("#CC79A7", "-", 1.6),
    "psutil-more": ("#CC79A7", "--", 1.6),
}


def main() -> None:
    """Draw."""
    document = json.loads(Path(sys.argv[1]).read_text())
    loads = list(dict.fromkeys(row["load"] for row in document["rows"]))
    figure, axes = plt.subplots(
        1, len(loads), figsize=(5.4 * len(loads) + 2.4, 5.2), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, load in zip(axes[0], loads, strict=True):
        _draw(axis, [row for row in document["rows"] if row["load"] == load])
        axis.set_title(f"{load} processes", loc="left", fontsize=11)
    axes[0, 0].set_ylabel("percent of one core (logarithmic)")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5, frameon=False)
    machine = document["machine"]
    figure.suptitle(
        f"{document['date']}, {machine['cpus']} processors ({machine['cpu']}), Linux {machine['kernel']}, one look a second, "
        f"medians of {document['options']['repeats']} windows",
        fontsize=9, x=0.01, ha="left", color="#777777",
    )  # fmt: skip
    figure.savefig(sys.argv[2], dpi=130)


def _draw(axis: Axes, rows: list[dict[str, Any]]) -> None:
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if row["sampler_cpu_percent"] is None:
            curves.setdefault(row["program"], []).append((row["processes"], row["cpu_percent"]))
        else:
            for part, column in (("sampler alone", "sampler_cpu_percent"), ("whole agent", "cpu_percent")):
                curves.setdefault(f"{row['program']}, {part}", []).append((row["processes"], row[column]))
    for name, points in curves.items():
        colour, dashes, width = STYLES.get(name, ("#777777", ":", 1.2))
        axis.plot(*zip(*sorted(points), strict=True), dashes, color=colour, linewidth=width, marker="o", markersize=3.5, label=name)
    counts = sorted({row["processes"] for row in rows})
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(counts, [f"{count:,}" for count in counts])
    axis.minorticks_off()
    axis.set_xlabel("processes of the load")
    axis.grid(visible=True, color="#dddddd", linewidth=0.7)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


if __name__ == "__main__":
    main()
