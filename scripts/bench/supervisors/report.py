"""The results as a table for people and as JSON for everything else."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import machine

from supervisors.figures import Section, Value
from supervisors.rival import Bench

Document = dict[str, Any]
# Work of others that would be in the figures.
QUIET_LOAD_MAX = 0.5


def circumstances(bench: Bench) -> Document:
    """What the machine, the rivals and the options are before anything is measured."""
    return {
        **machine.circumstances(),
        "versions": bench.toolchain.versions,
        "missing": bench.toolchain.missing,
        "options": {name: value for name, value in asdict(bench.options).items() if not name.endswith("_path")},
    }


def document(bench: Bench, before: Document, sections: list[Section], failures: list[str]) -> Document:
    """Everything that was measured, and under which circumstances."""
    took = {"took_seconds": round(time.time() - before.pop("began_at")), "load_after": os.getloadavg()[0]}
    return {**before, **took, "failures": failures, "lines": [section.document() for section in sections]}


def encode(document: Document) -> str:
    """JSON that a person can read: the samples of a row on one line."""
    lists: list[str] = []

    def shorten(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shorten(inner) for key, inner in value.items()}
        if isinstance(value, list) and value and all(isinstance(each, int | float) for each in value):
            lists.append(json.dumps(value, separators=(",", ":")))
            return f"<list {len(lists) - 1}>"
        return [shorten(each) for each in value] if isinstance(value, list) else value

    text = json.dumps(shorten(document), indent=1, ensure_ascii=False)
    for number, written in enumerate(lists):
        text = text.replace(f'"<list {number}>"', written)
    return text + "\n"


def print_table(document: Document) -> None:
    """Sections one below the other: who, figures, checks with their verdicts, remarks."""
    machine = document["machine"]
    print(f"\n{document['date']}, {machine['cpus']} x {machine['cpu']}, Linux {machine['kernel']}, Python {machine['python']}")
    print(f"load {document['load_before']:.2f} before, {document['load_after']:.2f} after; {document['took_seconds']} s")
    if document["load_before"] > QUIET_LOAD_MAX:
        print("The machine was not quiet: these figures are not to be quoted.")
    print(", ".join(f"{name} {version}" for name, version in document["versions"].items()))
    for name, reason in document["missing"].items():
        print(f"missing: {name}: {reason}")
    for line in document["lines"]:
        _print_section(line)
    for failure in document["failures"]:
        print(f"\nFAILED {failure}")


def _print_section(line: Document) -> None:
    unit = f", {line['unit']}" if line["unit"] else ""
    print(f"\n{line['title']}{unit}")
    hidden = ("who", "note", "samples")
    columns = list(dict.fromkeys(name for row in line["rows"] for name in row if name not in hidden))
    width = 2 + max((len(row["who"]) for row in line["rows"]), default=0)
    widths = {name: max(len(name), *(len(_shown(row.get(name))) for row in line["rows"])) + 2 for name in columns}
    if columns:
        print(" " * width + "".join(name.rjust(widths[name]) for name in columns))
    for row in line["rows"]:
        note = f"  {row['note']}" if row.get("note") else ""
        print(f"  {row['who']:{width - 2}}" + "".join(_shown(row.get(name)).rjust(widths[name]) for name in columns) + note)
    for check in line["checks"]:
        asked = _asked(check)
        print(f"  -> {check['what']}: {_shown(check['value'])} {check['unit']}".rstrip() + f" ({asked}): {check['verdict']}")
    for remark in line["remarks"]:
        print(f"  {remark}")


def _asked(check: Mapping[str, Value]) -> str:
    parts = [f"{name} <= {_shown(check[name])}" for name in ("must", "goal") if check[name] is not None]
    return ", ".join(parts)


def _shown(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
