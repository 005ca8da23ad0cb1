"""Draws the CPU of one run by tick: rows of the agent, stacked, and what the kernel counts. Run with a Python that has matplotlib.

python picture.py REPORT.json NUMBER FILE.png
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot


def main() -> None:
    """Read, draw, write."""
    report, number, picture = sys.argv[1:]
    run = json.loads(Path(report).read_text())["runs"][int(number)]
    series = run["series"]
    figure, axes = pyplot.subplots(figsize=(9, 3.6), layout="constrained")
    parts = [name for name in ("named", "tail", "dead") if series.get(name)]
    if parts:
        times = [point[0] for point in series[parts[0]]]
        axes.stackplot(times, *([point[1] for point in series[name]] for name in parts), labels=parts, alpha=0.7)
    if series.get("kernel"):
        axes.plot(*zip(*series["kernel"], strict=True), color="black", linewidth=1, label="kernel, host")
    axes.set(xlabel="seconds after the window began", ylabel="CPU, cores", title=f"{run['scenario']} on {run['platform']}")
    axes.legend(loc="upper right")
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
