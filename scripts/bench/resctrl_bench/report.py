"""The results as a table for people and as JSON for everything else."""

import os
import time
from collections.abc import Mapping
from typing import Any

import machine

from resctrl_bench.figures import Section

Document = dict[str, Any]
# Work of others that would be in the figures.
QUIET_LOAD_MAX = 0.5


def circumstances(options: Mapping[str, Any]) -> Document:
    """What the machine and the options are before anything is measured."""
    return {**machine.circumstances(), "options": dict(options)}


def document(before: Document, sections: list[Section], failures: list[str]) -> Document:
    """Everything that was measured, and under which circumstances."""
    took = {"took_seconds": round(time.time() - before["began_at"]), "load_after": os.getloadavg()[0]}
    known = {name: value for name, value in before.items() if name != "began_at"}
    return {**known, **took, "failures": failures, "parts": [section.document() for section in sections]}


def print_table(document: Document) -> None:
    """Parts one below the other: what, measured, must, goal, verdict."""
    machine = document["machine"]
    print(f"\n{document['date']}, {machine['cpus']} x {machine['cpu']}, Linux {machine['kernel']}, Python {machine['python']}")
    print(f"load {document['load_before']:.2f} before, {document['load_after']:.2f} after; {document['took_seconds']} s")
    if document["load_before"] > QUIET_LOAD_MAX:
        print("The machine was not quiet: these figures are not to be quoted.")
    for part in document["parts"]:
        _print_part(part)
    for failure in document["failures"]:
        print(f"\nFAILED {failure}")


def _print_part(part: Document) -> None:
    print(f"\n{part['part']}: {part['title']}")
    rows = [("", "measured", "must", "goal", "")] + [_row(figure) for figure in part["figures"]]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for what, measured, must, goal, verdict in rows:
        columns = (measured.rjust(widths[1]), must.rjust(widths[2]), goal.rjust(widths[3]), verdict)
        print(f"  {what.ljust(widths[0])}  {'  '.join(columns)}".rstrip())
    for remark in part["remarks"]:
        print(f"  {remark}")


def _row(figure: Document) -> tuple[str, str, str, str, str]:
    unit = f", {figure['unit']}" if figure["unit"] else ""
    sign = ">=" if figure.get("at_least") else "<="
    asked = [f"{sign} {_shown(figure[name])}" if figure.get(name) is not None else "" for name in ("must", "goal")]
    return figure["what"] + unit, _shown(figure["value"]), asked[0], asked[1], figure.get("verdict", "")


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
