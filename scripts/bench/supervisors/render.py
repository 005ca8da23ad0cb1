"""The distributions as a picture: how many of all deaths were made good within a time. Runs in the rivals' environment.

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

# Colours that people with colour blindness can tell apart (Okabe and Ito); curves of one program differ by their dashes.
BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE, BLACK, GREY = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#000000", "#777777",
)  # fmt: skip
Dashes = tuple[int, tuple[float, float]]
DASHED: Dashes = (0, (4, 1.5))
STYLES: dict[str, tuple[str, str | Dashes, float]] = {
    "evergauge": (BLACK, "-", 2.6),
    "evergauge, nothing in reserve": (BLACK, DASHED, 1.8),
    "s6, child tells readiness": (BLUE, "-", 1.6),
    "s6, without readiness": (BLUE, DASHED, 1.6),
    "runit": (SKY, "-", 1.6),
    "systemd, RestartSec=0": (GREEN, "-", 1.6),
    "systemd, default (100 ms)": (GREEN, DASHED, 1.6),
    "gunicorn": (PURPLE, "-", 1.6),
    "circus, check_delay=0.1": (ORANGE, "-", 1.6),
    "circus, default (5 s)": (ORANGE, DASHED, 1.6),
    "supervisord": (VERMILION, "-", 1.6),
    "evergauge, 0 rules": (GREY, "-", 1.6),
    "evergauge, 1,000 rules": (BLACK, "-", 2.6),
    "evergauge, 10,000 rules": (BLACK, DASHED, 1.8),
}
TICKS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def main() -> None:
    """Draw."""
    document = json.loads(Path(sys.argv[1]).read_text())
    lines = {line["line"]: line for line in document["lines"]}
    wanted = [line for line in ("kill", "ready") if line in lines]
    if not wanted:
        sys.exit("picture: neither of the lines kill and ready was measured")
    heights = [{"kill": 4.6, "ready": 2.9}[line] for line in wanted]
    figure, axes = plt.subplots(
        len(wanted), 1, figsize=(10.5, sum(heights) + 0.8), height_ratios=heights, sharex=True, squeeze=False, layout="constrained"
    )
    titles = {
        "kill": "kill −9 of a child to its replacement running: the same tiny C program below every supervisor",
        "ready": "kill −9 of a Python worker to its replacement ready: it has taken all rules and acknowledged their digest",
    }
    for axis, line in zip(axes[:, 0], wanted, strict=True):
        _draw(axis, lines[line]["rows"])
        _draw_limits(axis, lines[line]["checks"])
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5, frameon=False, title="p50 / p99", alignment="left")
        axis.set_title(titles[line], loc="left", fontsize=11, pad=12)
    axes[-1, 0].set_xlabel("milliseconds since the kill (logarithmic)")
    figure.suptitle(_headline(document), fontsize=9, x=0.01, ha="left", color=GREY)
    figure.savefig(sys.argv[2], dpi=130)


def _draw(axis: Axes, rows: list[dict[str, Any]]) -> None:
    drawn = [row for row in rows if row["samples"]]
    for row in sorted(drawn, key=lambda row: row["p50"]):
        colour, dashes, width = STYLES.get(row["who"], (GREY, ":", 1.2))
        times = sorted(row["samples"])
        shares = [number / len(times) * 100 for number in range(1, len(times) + 1)]
        label = f"{row['who']}: {_time(row['p50'])} / {_time(row['p99'])}"
        # From zero: the first step is a sample like the others.
        axis.step([times[0], *times], [0, *shares], where="post", color=colour, linestyle=dashes, linewidth=width, label=label)
        axis.plot(row["p50"], 50, "o", color=colour, markersize=4)
    axis.set_xscale("log")
    axis.set_xlim(min(0.8, *(row["samples"][0] * 0.8 for row in drawn)), 7000)
    axis.set_xticks(TICKS_MS, [f"{tick:,}" for tick in TICKS_MS])
    axis.minorticks_off()
    axis.set_ylim(0, 101)
    axis.set_yticks([0, 25, 50, 75, 99], ["0 %", "25 %", "50 %", "75 %", "99 %"])
    axis.set_ylabel("share of all deaths")
    axis.grid(visible=True, color="#dddddd", linewidth=0.7)
    axis.tick_params(labelbottom=True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _draw_limits(axis: Axes, checks: list[dict[str, Any]]) -> None:
    """Where the curve of evergauge is hoped to, and must, have reached 99 percent."""
    for check in checks:
        if check["what"].endswith("p99"):
            limits = [check["goal"], check["must"]]
            label = f"evergauge's goal and must: 99 % within {limits[0]:g} and {limits[1]:g} ms"
            axis.plot(
                limits, [99, 99], linestyle="", marker=7, color=VERMILION, markersize=10, label=label, zorder=5, clip_on=False
            )


def _time(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"


def _headline(document: dict[str, Any]) -> str:
    machine, versions = document["machine"], document["versions"]
    samples = document["options"]["samples"]
    tools = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "matplotlib")
    return (
        f"{document['date']}, {machine['cpus']} processors ({machine['cpu']}), Linux {machine['kernel']}, "
        f"Python {machine['python']}, at least {samples} deaths each\n{tools}"
    )


if __name__ == "__main__":
    main()
