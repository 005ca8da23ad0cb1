"""Medians, verdicts, the table on stderr."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from process_bench.cost import Cost

Document = dict[str, Any]
MEASURES = ("cpu_percent", "rss_mib", "pss_mib", "sampler_cpu_percent", "sampler_rss_mib", "sampler_pss_mib")
# Percent of a core of the sampler, by processes of the load: more than before the new columns is refused.
SAMPLER_MUST = {500: 0.7, 2000: 2.0, 5000: 5.0}
SAMPLER_GOAL = {500: 0.6}
AGENT_MUST = {500: 2.0}
AGENT_GOAL = {500: 1.5}
PSS_MUST_MIB = 8.0


def medians(costs: Sequence[Cost]) -> dict[str, float | None]:
    """The median of each figure over the windows."""
    found: dict[str, float | None] = {}
    for name in MEASURES:
        known = [value for cost in costs if (value := asdict(cost)[name]) is not None]
        found[name] = round(median(known), 3) if known else None
    return found


def row(load: str, count: int, name: str, costs: Sequence[Cost], on_host: int) -> Document:
    """One line of the results with every window."""
    return {
        "load": load, "processes": count, "processes_on_host": on_host, "program": name, **medians(costs),
        "windows": [asdict(cost) for cost in costs],
    }  # fmt: skip


def verdicts(rows: Sequence[Document]) -> list[Document]:
    """Ours against what it must and should cost; the load that sleeps is judged as the busy one is."""
    found = []
    for each in rows:
        if each["program"] != "evergauge":
            continue
        count = each["processes"]
        for what, must, goal in (
            ("sampler_cpu_percent", SAMPLER_MUST.get(count), SAMPLER_GOAL.get(count)),
            ("cpu_percent", AGENT_MUST.get(count), AGENT_GOAL.get(count)),
            ("sampler_pss_mib", PSS_MUST_MIB if count == 500 else None, None),
        ):
            if must is not None and each[what] is not None:
                met = "MISSED" if each[what] > must else "goal met" if goal is None or each[what] <= goal else "must met"
                about = {"load": each["load"], "processes": count, "what": what}
                found.append({**about, "value": each[what], "must": must, "goal": goal, "verdict": met})
    return found


def say_row(document: Document) -> None:
    """One line for people, as soon as it is known."""
    shown: Mapping[str, Any] = document
    sampler = ""
    if shown["sampler_cpu_percent"] is not None:
        sampler = f"   sampler alone {shown['sampler_cpu_percent']:6.2f} %  PSS {shown['sampler_pss_mib']:5.1f}"
    print(
        f"  {shown['load']:9} {shown['processes']:6,}  {shown['program']:22} {shown['cpu_percent']:7.2f} %  "
        f"RSS {shown['rss_mib']:6.1f}  PSS {shown['pss_mib']:6.1f} MiB{sampler}",
        file=sys.stderr,
        flush=True,
    )
