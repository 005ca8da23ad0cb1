"""A made-up node: units with ordinary loads, and a neighbour that takes what one of them needs; every run from a seed."""

from array import array
from dataclasses import dataclass, field
from math import nan
from random import Random

from agent.cli.neighbour_series import Series
from agent.cli.neighbour_unit import (
    BANDWIDTH,
    CPU,
    IO_BYTES,
    IO_OPERATIONS,
    LLC,
    MEMORY,
    PRESSURE_CPU,
    PRESSURE_IO,
    PRESSURE_MEMORY,
    THROTTLED,
    HostWindow,
    JudgedUnit,
    NodeWindow,
    UnitWindow,
)

MIB = 1 << 20
# When the segments of tests were made.
BEGIN_S = 1_704_067_200
CORES = 8


@dataclass
class Actor:
    """A unit and its columns, by second."""

    uid: str
    cgroup: str
    kind: str = "service"
    columns: dict[str, list[float]] = field(default_factory=dict)


class Node:
    """Units with ordinary loads: each has a level, slow changes, and short bursts of its own."""

    def __init__(self, seed: int, *, seconds: int = 600, units: int = 12) -> None:
        self.rng = Random(seed)
        self.seconds = seconds
        self.actors = [self._ordinary(index) for index in range(units)]
        self.memory_free = [0.5] * seconds
        self.disk_bytes = 200.0 * MIB

    def _ordinary(self, index: int) -> Actor:
        name = f"unit-{index}.service"
        actor = Actor(name, f"/system.slice/{name}")
        rng = self.rng
        level = rng.uniform(0.02, 0.3)
        cpu = [max(0.0, rng.gauss(level, level / 4)) for _ in range(self.seconds)]
        io = [max(0.0, rng.gauss(2e5, 1e5)) if rng.random() < 0.3 else 0.0 for _ in range(self.seconds)]
        self._bursts(cpu, rng.uniform(0.2, 0.8), every=rng.uniform(40, 200))
        self._bursts(io, rng.uniform(1e6, 1e7), every=rng.uniform(60, 300))
        memory = rng.uniform(20, 400) * MIB
        walk, held = 0.0, []
        for _ in range(self.seconds):
            walk = max(-memory / 4, walk + rng.gauss(0, MIB / 8))
            held.append(memory + walk)
        llc = rng.uniform(1, 4) * MIB
        actor.columns = {
            CPU: cpu,
            IO_BYTES: io,
            IO_OPERATIONS: [each / 65536 for each in io],
            MEMORY: held,
            PRESSURE_CPU: [max(0.0, rng.gauss(0.012, 0.01)) for _ in cpu],
            PRESSURE_MEMORY: [0.0 for _ in cpu],
            PRESSURE_IO: [min(1.0, each / 2e8 + max(0.0, rng.gauss(0.004, 0.006))) for each in io],
            THROTTLED: [0.0 for _ in cpu],
            LLC: [max(0.0, rng.gauss(llc, llc / 15)) for _ in cpu],
            BANDWIDTH: [max(0.0, rng.gauss(40 * MIB, 8 * MIB)) for _ in cpu],
        }
        return actor

    def _bursts(self, series: list[float], size: float, *, every: float) -> None:
        at = self.rng.expovariate(1 / every)
        while at < self.seconds:
            for second in range(int(at), min(self.seconds, int(at + self.rng.uniform(2, 12)))):
                series[second] += size * self.rng.uniform(0.7, 1.3)
            at += self.rng.expovariate(1 / every) + 12

    def add(self, actor: Actor, column: str, begin: int, end: int, size: float, *, noise: float = 0.1) -> None:
        """Add to a column from one second on and before another; a size below 0 takes away, down to 0."""
        series = actor.columns[column]
        for second in range(begin, min(end, self.seconds)):
            series[second] = max(0.0, series[second] + size * self.rng.gauss(1, noise))

    def suffer(self, actor: Actor, column: str, begin: int, end: int, part: float) -> None:
        """Raise a pressure; it swings as real ones do."""
        series = actor.columns[column]
        for second in range(begin, min(end, self.seconds)):
            series[second] = min(1.0, max(0.0, series[second] + self.rng.gauss(part, part / 4)))

    def window(self, *, gaps: int = 0) -> NodeWindow:
        """What the judge sees, with some seconds in which the agent was not there."""
        lost = {self.rng.randrange(self.seconds) for _ in range(gaps)}
        units = tuple(
            UnitWindow(
                JudgedUnit(actor.uid, actor.kind, actor.cgroup),
                {name: _series(values, lost) for name, values in actor.columns.items()},
            )
            for actor in self.actors
        )
        busy = [min(CORES, sum(actor.columns[CPU][second] for actor in self.actors) + 0.2) for second in range(self.seconds)]
        disk = [
            min(1.0, sum(actor.columns[IO_BYTES][second] for actor in self.actors) / self.disk_bytes)
            for second in range(self.seconds)
        ]
        total = 16 * 1024 * MIB
        free = [part * total for part in self.memory_free]
        return NodeWindow(
            BEGIN_S, self.seconds, units, HostWindow(CORES, _series(busy, lost), total, _series(free, lost), _series(disk, lost))
        )


def _series(values: list[float], lost: set[int]) -> Series:
    return array("d", [nan if second in lost else value for second, value in enumerate(values)])


def noisy_node(seed: int, kind: str) -> tuple[NodeWindow, str, str]:
    """A node on which one unit takes CPU, I/O, memory or cache; the window, the victim and the culprit."""
    node = Node(seed, units=Random(seed).randrange(4, 30))
    rng = node.rng
    victim, culprit = rng.sample(node.actors, 2)
    begin = rng.randrange(60, node.seconds - 120)
    end = min(node.seconds, begin + rng.randrange(8, 200))
    lag = rng.randrange(0, 2)
    match kind:
        case "cpu":
            free = CORES - sum(sum(actor.columns[CPU][begin:end]) / (end - begin) for actor in node.actors)
            node.add(culprit, CPU, begin - lag, end, max(1.0, free * rng.uniform(0.95, 1.0)), noise=0.02)
            node.suffer(victim, PRESSURE_CPU, begin, end, rng.uniform(0.12, 0.6))
            node.add(victim, CPU, begin, end, -0.05)
        case "io":
            size = rng.uniform(5, 300) * MIB
            node.disk_bytes = size / rng.uniform(0.6, 1.0)
            node.add(culprit, IO_BYTES, begin - lag, end, size, noise=0.3)
            node.add(culprit, IO_OPERATIONS, begin - lag, end, size / 131072, noise=0.3)
            node.suffer(victim, PRESSURE_IO, begin, end, rng.uniform(0.12, 0.7))
        case "memory":
            ramp = rng.randrange(3, 30)
            size = rng.uniform(200, 4000) * MIB
            held = culprit.columns[MEMORY]
            for second in range(max(0, begin - ramp), end):
                held[second] += size * min(1.0, (second - begin + ramp) / ramp)
            for second in range(begin - 2, end):
                node.memory_free[second] = rng.uniform(0.01, 0.05)
            node.suffer(victim, PRESSURE_MEMORY, begin, end, rng.uniform(0.06, 0.5))
        case "cache":
            usual = sum(victim.columns[LLC]) / node.seconds
            node.add(victim, LLC, begin, end, -usual * rng.uniform(0.45, 0.9))
            node.add(culprit, LLC, begin - lag, end, usual * rng.uniform(1, 4))
            node.add(culprit, BANDWIDTH, begin - lag, end, rng.uniform(500, 5000) * MIB)
    # Others that suffer as well change nothing.
    return node.window(gaps=rng.randrange(8)), victim.uid, culprit.uid


def quiet_node(seed: int) -> NodeWindow:
    """A node with ordinary loads alone; some units throttle themselves, or want more of their own accord."""
    node = Node(seed, units=Random(seed).randrange(4, 30))
    rng = node.rng
    for actor in rng.sample(node.actors, 2):
        begin = rng.randrange(60, node.seconds - 60)
        end = begin + rng.randrange(6, 60)
        match rng.randrange(4):
            case 0:
                node.suffer(actor, PRESSURE_CPU, begin, end, 0.4)
                node.suffer(actor, THROTTLED, begin, end, 0.45)
                node.add(actor, CPU, begin, end, 0.5)
            case 1:
                node.suffer(actor, PRESSURE_IO, begin, end, 0.3)
                node.add(actor, IO_BYTES, begin, end, 4e7)
                node.add(actor, IO_OPERATIONS, begin, end, 400)
            case 2:
                node.suffer(actor, PRESSURE_CPU, begin, end, 0.3)
                node.add(actor, CPU, begin, end, 2.0)
            case _:
                node.suffer(actor, PRESSURE_IO, begin, end, 0.15)
    return node.window(gaps=rng.randrange(8))
