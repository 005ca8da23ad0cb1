"""What an option costs beyond the default: agents with and without it by turns, over the same node."""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

from fakes.nvml import NvmlStub
from harness.waiting import wait_until
from msgspec import structs

from footprint_bench.agent import HERE, Cost, a_workload, agent, costs, total, wait_settled

# In a flag: where the emulator is mounted.
RESCTRL = "{resctrl}"
WORKLOAD = "a workload: the keeper and worker workloads"
_EMULATE = f"import sys; sys.path[:0] = [{str(HERE)!r}]; from evergauge import agentctl; sys.exit(agentctl())"
# Flags by what they switch on or off. The default has NRI where there are pods.
OPTIONS: dict[str, dict[str, str]] = {
    "process sampler every 200 ms": {"--sampler-process-interval": "200ms"},
    "host and unit samplers every 200 ms": {"--sampler-host-interval": "200ms", "--sampler-unit-interval": "200ms"},
    "a row for each of up to 500 processes": {"--sampler-process-top-rows-least": "500", "--sampler-process-top-rows": "500"},
    "resctrl, emulated": {"--resctrl-mount": RESCTRL},
    WORKLOAD: {},
    "a GPU, of a stand-in library": {"--sampler-gpu-enabled": "true"},
    "names over CRI alone, without a runtime there": {"--nri-enabled": "false"},
    "without TCP bytes": {"--sampler-process-tcp": "false"},
    "without proportional memory of processes": {"--sampler-process-pss-budget": "0s"},
    "without the unit sampler": {"--sampler-unit-enabled": "false"},
    "without the host and unit samplers": {"--sampler-unit-enabled": "false", "--sampler-host-enabled": "false"},
    "without the process sampler": {"--sampler-process-enabled": "false"},
    "without the gateway": {"--gateway-address": ""},
    "without a standby process": {"--supervisor-spare-workers": "0"},
}


def rounded(cost: Cost) -> dict[str, float]:
    """For a report."""
    return {name: round(value, 3) for name, value in structs.asdict(cost).items()}


def median_cost(found: Sequence[Cost]) -> Cost:
    """Of each figure."""
    return Cost(*(median(getattr(each, name) for each in found) for name in Cost.__struct_fields__))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Each option against a default agent just before it; the medians of the differences."""
    nri = {"--nri-socket-path": str(folder / "nri.sock")} if options.pods else {}
    asked_for = {name: flags for name, flags in OPTIONS.items() if options.only in name}
    found: dict[str, list[Cost]] = {name: [] for name in asked_for}
    default: list[Cost] = []
    (folder / "gpu").mkdir()
    variables = NvmlStub(folder / "gpu").environment
    with _emulator(folder / "r") as mount:
        for turn in range(options.repeats):
            for number, (name, flags) in enumerate(asked_for.items()):
                plain = _total(folder / f"d{turn}-{number}", nri, options)
                asked = {flag: word.replace(RESCTRL, str(mount)) for flag, word in flags.items()}
                with_gpu = variables if "--sampler-gpu-enabled" in flags else {}
                other = _total(folder / f"o{turn}-{number}", nri | asked, options, with_gpu, has_workload=name == WORKLOAD)
                default.append(plain)
                found[name].append(Cost(*(getattr(other, each) - getattr(plain, each) for each in Cost.__struct_fields__)))
                print(f"{turn + 1}: {name}: {found[name][-1]}", file=sys.stderr)
    return {
        "processes": options.processes,
        "pods": options.pods,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "default": rounded(median_cost(default)),
        "beyond_default": {name: rounded(median_cost(each)) for name, each in found.items()},
    }


@contextmanager
def _emulator(mount: Path) -> Iterator[Path]:
    mount.mkdir()
    command = [sys.executable, "-c", _EMULATE, "emulate-resctrl", "--mount", str(mount), "--names-valid", "10s"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: (mount / "info").exists(), "resctrl is emulated")
        yield mount
    finally:
        process.terminate()
        process.wait(20)


def _total(
    folder: Path,
    flags: dict[str, str],
    options: argparse.Namespace,
    variables: dict[str, str] | None = None,
    *,
    has_workload: bool = False,
) -> Cost:
    with agent(folder, flags, variables=variables or {}) as one:
        wait_settled(one, 0 if flags.get("--nri-enabled") == "false" else options.pods)
        with a_workload(one) if has_workload else nullcontext():
            return total(costs(one, options.seconds))
