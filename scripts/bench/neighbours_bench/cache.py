"""Runs over an emulated cache: real units with monitoring groups of a real agent; what they bring into the cache is declared.

Memory traffic of the noisy unit goes up at known times and takes the cache. In every other quiet run the victim itself works less.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

from fakes.resctrl_mount import EmulatedResctrl
from harness.waiting import wait_until

from neighbours_bench.place import AGENT_GROUP, Units, agent, place, with_us
from neighbours_bench.real import CALM_SECONDS, NOISE_SECONDS, SETTLE_SECONDS, WARM_SECONDS, WEIGHT, alternate, judged
from neighbours_bench.replay import NOISY, VICTIMS

ORDINARY = 6
VICTIM = VICTIMS["cache"]
MB = 10**6
# Bytes per second into each cache.
VICTIM_BRINGS, LITTLE = 400 * MB, 5 * MB
# Together they cannot take a quarter of what anybody holds, which would be noise.
ORDINARY_BRINGS = (40 * MB, 80 * MB)
NOISE_BRINGS = (800 * MB, 4000 * MB)
# An ordinary unit keeps its pace for so long.
PACE_SECONDS = (2.0, 15.0)
# Into a quiet run, and for how long the victim works less: a quarter. Noise is far enough behind it to be an episode of its own.
LESS_AFTER, LESS_SECONDS, LESS_PART = 2.0, 10.0, 4
ATTACH_SECONDS = 120.0
# Only what is declared comes into the cache, nothing of other work on the machine.
SCENARIO = "bytes_per_cpu_second = 0\n"


class Emulator(EmulatedResctrl):
    """An emulator that ends with the bench."""

    def command_line(self) -> list[str]:
        """How it is started."""
        return with_us(super().command_line(), "TERM")


@dataclass
class Traffic:
    """What the units bring into the cache. `groups` are the paths of their monitoring groups by name."""

    emulator: EmulatedResctrl
    groups: Mapping[str, str]
    rng: Random
    quiet_runs: int = 0

    def declare(self, name: str, bytes_per_second: int) -> None:
        """From now on a unit brings so much into each cache."""
        self.emulator.control({"do": "traffic", "path": self.groups[name], "bytes_per_second": bytes_per_second})

    def begin(self) -> None:
        """The units as they are while it is calm."""
        self.declare(VICTIM, VICTIM_BRINGS)
        self.declare(NOISY, LITTLE)
        self.live(0)

    def live(self, seconds: float) -> None:
        """Let time pass, in which ordinary units change their pace."""
        until = time.monotonic() + seconds
        ordinary = [name for name in self.groups if name not in (VICTIM, NOISY)]
        while True:
            self.declare(self.rng.choice(ordinary), self.rng.randint(*ORDINARY_BRINGS))
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, self.rng.uniform(*PACE_SECONDS) / len(ordinary)))

    def calm(self) -> None:
        """A quiet run."""
        self.quiet_runs += 1
        begin = time.monotonic()
        self.live(SETTLE_SECONDS + LESS_AFTER)
        if self.quiet_runs % 2 == 0:
            self.declare(VICTIM, VICTIM_BRINGS // LESS_PART)
        self.live(LESS_SECONDS)
        self.declare(VICTIM, VICTIM_BRINGS)
        self.live(CALM_SECONDS - (time.monotonic() - begin))

    def noise(self, _kind: str) -> None:
        """A noisy run."""
        self.declare(NOISY, self.rng.randint(*NOISE_BRINGS))
        self.live(NOISE_SECONDS)
        self.declare(NOISY, LITTLE)


def run(runs: int, keep: str | None, seed: int) -> dict[str, Any]:
    """So many noisy runs, and as many quiet ones; what was named in each."""
    with place() as folder, closing(Units()) as units, Emulator(folder, scenario=SCENARIO) as emulator:
        processes = _populate(units)
        flags = {"--resctrl-mount": str(emulator.mount), "--sampler-resctrl-enabled": "true"}
        with agent(folder, flags) as options:
            groups = wait_until(
                lambda: _groups(emulator, processes), "each unit is in a group of its own", seconds=ATTACH_SECONDS, pause_seconds=1
            )
            traffic = Traffic(emulator, groups, Random(seed))
            traffic.begin()
            traffic.live(WARM_SECONDS)
            truths = alternate(["cache"] * runs, traffic.calm, traffic.noise)
            return judged(folder, options, truths, keep)


def _populate(units: Units) -> dict[str, int]:
    """The process of each unit by the unit's name."""
    units.make()
    units.limit("cpu", AGENT_GROUP, "cpu.shares", WEIGHT)
    processes = {}
    for name in (VICTIM, NOISY, *(f"ordinary-{number}.service" for number in range(ORDINARY))):
        units.make(name)
        processes[name] = units.start(name, "rest").pid
    return processes


def _groups(emulator: EmulatedResctrl, processes: Mapping[str, int]) -> dict[str, str]:
    """The path of the group of each unit. *Absent:* empty while one is in none."""
    group_of = {thread: path for path, group in emulator.groups().items() if path for thread in group["threads"]}
    found = {name: group_of[process] for name, process in processes.items() if process in group_of}
    return found if len(found) == len(processes) else {}
