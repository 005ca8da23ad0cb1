"""Workloads x configurations x failures, and guests whose kernels are there: every pair once, in short runs."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scenarios.definition import Scenario, parse_scenario
from scenarios.judgement import ScenarioResult
from scenarios.options import Options
from scenarios.pairs import Row, all_pairs, each_once
from scenarios.report import say_result
from scenarios.running import prefixed, run, shortened
from scenarios.shapes import HOST, PLATFORMS, WORKLOADS

SECONDS = 8.0
# What disturbs whom: such runs are judged by what the agent says of its loss, and not by sums of a window that lacks parts.
FAILURES: Mapping[str, str] = {
    "none": "",
    "kill_sampler": "{at: 3s, do: kill, part: sampler/process}",
    "kill_writer": "{at: 3s, do: kill, part: writer}",
    "kill_supervisor": "{at: 3s, do: kill, part: supervisor}",
    "hang_sampler": "{at: 2s, do: kill, part: sampler/process, signal: STOP}",
    "restart": "{at: 3s, do: restart_agent}",
    "cpu_limit": "{at: 2s, do: limit_cpu, percent: 20, lasts: 3s}",
    "memory_limit": "{at: 2s, do: limit_memory, bytes: 512m, lasts: 3s}",
    "few_descriptors": "{at: 2s, do: limit_descriptors, part: sampler/process, most: 40, lasts: 3s}",
    "bad_spool_record": "{at: 3s, do: corrupt, what: spool_record}",
    "bad_rules": "{at: 3s, do: corrupt, what: rules}",
    "full_disk": "{at: 2s, do: fill_disk, lasts: 3s}",
    "frozen_disk": "{at: 2s, do: freeze_disk, lasts: 2s}",
    "slow_network": "{at: 2s, do: slow_network, delay: 3s, lasts: 4s}",
    "partition": "{at: 2s, do: partition, lasts: 4s}",
    "clock_step": "{at: 3s, do: step_clock, seconds: 3600}",
}
KILLS = ("kill_sampler", "kill_writer", "kill_supervisor", "hang_sampler", "restart")
# The sampler goes on undisturbed, and its rows are all stored in the end.
HARMLESS = ("none", "kill_writer", "bad_rules", "slow_network", "partition")
_WORKLOADS = tuple(name for name in WORKLOADS if name != "none")
_TEMPLATE = """
name: "{name}"
about: "{workload} x {configuration} x {failure}"
workload: {workload}
configuration: {configuration}
{settings}
{disk}
{sink}
warm_up: 3s
duration: 8s
failures: [{order}]
validators: [{validators}]
platforms: [{platforms}]
"""
Say = Callable[[str], None]


def cached_guests() -> tuple[str, ...]:
    """The guests whose kernels have been fetched."""
    cache = Path(os.environ.get("LAB_CACHE", "~/.cache/evergauge-lab")).expanduser()
    guests = [name for name in PLATFORMS if name != HOST]
    return tuple(name for name in guests if any(path.is_dir() for path in cache.glob(f"{name}-*[0-9a-f]")))


def is_allowed(row: Mapping[str, str]) -> bool:
    """Only a guest's clock may be set; loads that need 500 processes or thousands of forks take a guest too long."""
    failure, platform = row.get("failure"), row.get("platform")
    if failure == "clock_step":
        return platform is None or platform != HOST
    if platform not in (None, HOST):
        return failure not in ("frozen_disk", "memory_limit") and row.get("workload") in (None, "cpu_spikes", "memory_pressure")
    return True


def plan(*, quick: bool, guests: bool) -> list[Row]:
    """The rows that run."""
    platforms = (HOST, *cached_guests()) if guests else (HOST,)
    failures = tuple(name for name in FAILURES if guests or name != "clock_step")
    factors = {
        "workload": _WORKLOADS,
        "configuration": ("standard", "minimal", "full", "custom"),
        "failure": failures,
        "platform": platforms,
    }
    return each_once(factors, is_allowed) if quick else all_pairs(factors, is_allowed)


def planned_lines(rows: Sequence[Row]) -> list[str]:
    """For people."""
    lines = [
        f"{number:3} {row['platform']:12} {row['workload']:18} {row['configuration']:10} {row['failure']}"
        for number, row in enumerate(rows, 1)
    ]
    return [*lines, f"{len(rows)} runs"]


def scenario_of(row: Row) -> Scenario:
    """A short scenario of these values, with the validators that can be asked."""
    failure, workload, configuration = row["failure"], row["workload"], row["configuration"]
    validators = ["{judge: continuity}"]
    if failure in KILLS:
        validators.append("{judge: replacement, seconds: 20}")
    if failure in HARMLESS:
        validators.append("{judge: closing, command_percent: 20}")
    if failure == "none" and workload == "standard":
        validators += ["{judge: cost}", "{judge: capture}", "{judge: sketch_error}"]
    text = _TEMPLATE.format(
        name="-".join(row[key] for key in ("workload", "configuration", "failure")),
        workload=workload,
        configuration=configuration,
        failure=failure,
        settings='settings: {sampler.process.tcp: "false", writer.sync_interval: 500ms}' if configuration == "custom" else "",
        disk={"full_disk": "disk: {kind: tmpfs, size: 64m}", "frozen_disk": "disk: {kind: loop, size: 256m}"}.get(failure, ""),
        sink="sink: true" if failure in ("slow_network", "partition") else "",
        order=FAILURES[failure],
        validators=", ".join(validators),
        platforms=row["platform"],
    )
    return parse_scenario(text, origin="matrix")


def run_matrix(wanted: Options, say: Say) -> list[ScenarioResult]:
    """Every row of the plan, one after another."""
    rows, results = plan(quick=wanted.quick, guests=wanted.guests), []
    for number, row in enumerate(rows, 1):
        scenario = shortened(scenario_of(row), wanted.seconds)
        say(f"{number} of {len(rows)}: {scenario.about} on {row['platform']}")
        results.append(run(scenario, say=prefixed(say, scenario.name), platform=row["platform"]))
        say_result(results[-1])
    return results
