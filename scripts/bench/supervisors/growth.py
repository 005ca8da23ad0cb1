"""What grows in evergauge over many deaths of its workers: descriptors, threads, zombies, memory."""

from dataclasses import dataclass

from harness import proc

from supervisors import ours
from supervisors.figures import Check, Row, Section
from supervisors.kill import WORKERS
from supervisors.rival import Bench, running
from supervisors.sequential_kills import Cell, KillSequence, measure

STAGES = 10
PAUSE = (0.0, 0.002)


@dataclass(frozen=True, slots=True)
class Census:
    """What the supervisor and its fork server hold."""

    cycles: int
    descriptors: int
    threads: int
    zombies: int
    private_bytes: int


def over_many_kills(bench: Bench) -> Section:
    """One after the other, as fast as replacements are ready; a census after each tenth, when everything has settled."""
    section = Section("growth", f"evergauge: growth over {bench.options.cycles:,} kills", unit="")
    bench.say(f"growth: {bench.options.cycles} kills")
    agent = ours.Agent(bench, WORKERS, is_own=True, rules=100)
    found = []
    with running([agent]):
        for stage in range(STAGES):
            cell = Cell("growth", bench.options.cycles // STAGES)
            measure(bench, [KillSequence(cell, agent, PAUSE)])
            bench.starts.rest(1.0)
            found.append(_census(agent, (stage + 1) * cell.wanted))
            agent.events.clear()
    section.rows = [
        Row(
            f"after {each.cycles:,}",
            values={
                "descriptors": each.descriptors,
                "threads": each.threads,
                "zombies": each.zombies,
                "private_MiB": each.private_bytes / proc.MIB,
            },
        )
        for each in found
    ]
    # What is filled once and has a maximum (the tally of deaths, the event history) is filled by then.
    first, last = found[STAGES // 2 - 1], found[-1]
    growth_mib = (last.private_bytes - first.private_bytes) / proc.MIB
    section.checks = [
        Check("descriptors", last.descriptors - found[0].descriptors, "", 0, 0),
        Check("threads", last.threads - found[0].threads, "", 0, 0),
        Check("zombies", last.zombies, "", 0, 0),
        Check("memory in the second half", growth_mib, "MiB", 1, None),
    ]
    section.remarks = ["supervisor and fork server together, what waits in reserve left out; ten thousand kills are the soak's"]
    return section


def _census(agent: ours.Agent, cycles: int) -> Census:
    # Without what waits in reserve: it comes and goes.
    members = [pid for pid in agent.supervisors() if proc.name(pid) != "eg:spare"]
    return Census(
        cycles,
        sum(proc.descriptors(pid) for pid in members),
        sum(proc.threads(pid) for pid in members),
        proc.zombies_of(*proc.family(agent.root)),
        sum(proc.memory(pid).private_bytes for pid in members),
    )
