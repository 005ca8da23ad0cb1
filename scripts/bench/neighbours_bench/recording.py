"""Recordings of real runs: the columns of all units second by second, small enough to keep; and variations of them by seeds."""

import gzip
import json
from array import array
from math import nan
from pathlib import Path
from random import Random
from typing import Any

from agent.cli.neighbour_rows import node_rows
from agent.cli.neighbour_unit import HostWindow, JudgedUnit, NodeWindow, UnitWindow
from agent.cli.time_bounds import EVERYTHING
from workers.registry import tables

LEAD_SECONDS = 60
DIGITS = 4


def record(state: Path, truths: list[dict[str, Any]], path: Path, below: str = "") -> None:
    """Write the columns of the time of all runs, with what was done when. `below`: only of units in this cgroup."""
    begin_s = min(truth["begin_s"] for truth in truths) - LEAD_SECONDS
    seconds = max(truth["end_s"] for truth in truths) + LEAD_SECONDS - begin_s
    with node_rows(str(state), tables(), EVERYTHING) as (rows, _):
        window = rows.window(begin_s, seconds)
    document = {
        "origin": "scripts/bench/neighbours --keep",
        "begin_s": begin_s,
        "seconds": seconds,
        "truths": truths,
        "units": [
            {**_identity(unit.unit), "columns": {name: _packed(series) for name, series in unit.columns.items()}}
            for unit in window.units
            if unit.unit.cgroup.startswith(below)
        ],
        "host": {name: _packed(value) if isinstance(value, array) else value for name, value in _host(window.host).items()},
    }
    path.write_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode(), mtime=0))


def _identity(unit: JudgedUnit) -> dict[str, Any]:
    return {"uid": unit.uid, "kind": unit.kind, "cgroup": unit.cgroup, "group": unit.group}


def _host(host: HostWindow) -> dict[str, Any]:
    return {name: getattr(host, name) for name in HostWindow.__struct_fields__}


def _packed(series: Any) -> list[float | None]:
    return [None if value != value else float(f"{value:.{DIGITS}g}") for value in series]


def load(path: Path) -> tuple[NodeWindow, list[dict[str, Any]]]:
    """A recording as a window, and what was done when."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    units = [
        UnitWindow(
            JudgedUnit(each["uid"], each["kind"], each["cgroup"], each["group"]),
            {name: _series(values) for name, values in each["columns"].items()},
        )
        for each in document["units"]
    ]
    host = {name: _series(value) if isinstance(value, list) else value for name, value in document["host"].items()}
    return NodeWindow(document["begin_s"], document["seconds"], units, _host_of(host)), document["truths"]


def _host_of(values: dict[str, Any]) -> HostWindow:
    return HostWindow(**values)


def _series(values: list[float | None]) -> "array[float]":
    return array("d", [nan if value is None else value for value in values])


def cut(window: NodeWindow, begin: int, end: int) -> NodeWindow:
    """The seconds from one on and before another."""
    units = [UnitWindow(unit.unit, {name: series[begin:end] for name, series in unit.columns.items()}) for unit in window.units]
    host = {name: value[begin:end] if isinstance(value, array) else value for name, value in _host(window.host).items()}
    return NodeWindow(window.begin_s + begin, end - begin, units, _host_of(host))


def varied(window: NodeWindow, kept: frozenset[str], seed: int) -> NodeWindow:
    """The same noise beside other neighbours: ordinary units turned in time and scaled, some gone or there twice, seconds lost.

    `kept` units, victims and culprits, stay as they are but for a common scale of what they use; names are others.
    """
    rng = Random(seed)
    lost = {rng.randrange(window.seconds) for _ in range(rng.randrange(8))}
    units: list[UnitWindow] = []
    for unit in window.units:
        if unit.unit.uid in kept or any(each.startswith(unit.unit.uid + "/") for each in kept):
            units.append(UnitWindow(unit.unit, {name: _without(series, lost) for name, series in unit.columns.items()}))
            continue
        for copy in range(rng.choice((0, 1, 1, 2, 3))):
            shift, scale = rng.randrange(window.seconds), rng.uniform(0.4, 1.6)
            uid = f"{unit.unit.uid}-{copy}-{rng.randrange(10_000)}"
            turned = {name: _turned(series, shift, _scale(name, scale)) for name, series in unit.columns.items()}
            columns = {name: _without(series, lost) for name, series in turned.items()}
            units.append(UnitWindow(JudgedUnit(uid, unit.unit.kind, uid), columns))
    rng.shuffle(units)
    host = {name: _without(value, lost) if isinstance(value, array) else value for name, value in _host(window.host).items()}
    return NodeWindow(window.begin_s, window.seconds, units, _host_of(host))


def _scale(name: str, scale: float) -> float:
    return 1.0 if name.startswith("pressure") or name in ("throttled", "memory_limit_bytes") else scale


def _turned(series: "array[float]", shift: int, scale: float) -> "array[float]":
    return array("d", [value * scale for value in (*series[shift:], *series[:shift])])


def _without(series: "array[float]", lost: set[int]) -> "array[float]":
    return array("d", [nan if place in lost else value for place, value in enumerate(series)])
